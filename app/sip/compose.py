"""Writes the requests of one leg. Knows which headers we send and in what form, not when."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.calls.uri import NameAddr, SipUri
from app.sip import build
from app.sip.headers import hostport
from app.sip.message import SipMessage
from app.sip.transport import Hop

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
SUPPORTED = "100rel, timer"
USER_AGENT = "Dial-to-SIP"
_UNDERSTOOD = frozenset(SUPPORTED.split(", "))
SDP = "application/sdp"

# What nobody varies, in every INVITE, re-INVITE and UPDATE, and in the answers to them.
CAPABILITIES: tuple[build.Header, ...] = (("Allow", ALLOW), ("Supported", SUPPORTED), ("User-Agent", USER_AGENT))
READ: tuple[build.Header, ...] = (("Accept", SDP), ("Accept-Encoding", "identity"))  # for a 415 (RFC 3261 §8.2.3)


class Here:
    """How we are seen from one hop: sent-by of the Via, and the Contact."""

    __slots__ = ("_via", "contact", "host", "port", "secure", "sent_by", "transport", "user")

    def __init__(self, transport: str, host: str, port: int, user: str | None, *, secure: bool = False) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.user = user
        self.secure = secure  # the call is to sips:, and so is the Contact (RFC 3261 §8.1.1.8)
        where = self.sent_by = hostport(host, port)
        self._via = f"SIP/2.0/{transport.upper()} {where};rport;branch="
        userinfo = f"{user}@" if user else ""
        parameter = "" if transport == "udp" or secure else f";transport={transport}"
        self.contact = f"<{'sips' if secure else 'sip'}:{userinfo}{where}{parameter}>"

    def via(self, branch: str) -> str:
        return self._via + branch

    def over(self, transport: str, port: int) -> "Here":
        """The same, seen over another transport."""
        return Here(transport, self.host, port, self.user, secure=self.secure)


MAX_FORWARDS: build.Header = ("Max-Forwards", "70")


@dataclass(frozen=True, slots=True)
class Invite:
    """One INVITE as it leaves, and the parts of it that what follows must repeat."""

    hop: Hop
    branch: str
    data: bytes
    uri: str
    via: str
    from_value: str
    to_value: str
    call_id: str
    cseq: int
    credentials: tuple[build.Header, ...]  # its Authorization rows: the ACK of a 2xx carries the same


def plain(text: str) -> str:
    """`text` fit for a header of ours, quoted or not, whoever wrote it."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else " " for c in text)


def unsupported(request: SipMessage) -> str:
    """The extensions that it requires and we do not know, for Unsupported (RFC 3261 §8.2.2.3); "" without any."""
    unknown = [option for option in request.all("require") if option.lower() not in _UNDERSTOOD]
    return plain(", ".join(unknown))


def from_value(caller: NameAddr, tag: str) -> str:
    """From: the caller without transport, maddr, ttl, lr, method and headers (RFC 3261 §19.1.1)."""
    return f"{NameAddr(caller.uri.as_address(), caller.display)};tag={tag}"


def to_value(target: SipUri) -> str:
    return f"<{target.as_address()}>"


def request(method: str, uri: str, headers: Sequence[build.Header], *, body: bytes = b"") -> bytes:
    """A request with `headers` in the order in which they are given; a `body` is SDP. Raises UnsafeText."""
    rows = [*headers, ("Content-Type", SDP)] if body else headers
    return build.request_in_order(method, uri, rows, body=body)
