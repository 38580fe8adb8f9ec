"""Writes the requests of one leg. Knows which headers we send and in what form, not when."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.calls.uri import NameAddr, SipUri
from app.sip import build
from app.sip.headers import hostport
from app.sip.transport import Hop

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
SUPPORTED = "100rel, timer"
USER_AGENT = "Dial-to-SIP"
SDP = "application/sdp"

# What nobody varies, in every INVITE, re-INVITE and UPDATE, and in the answers to them.
CAPABILITIES: tuple[build.Header, ...] = (("Allow", ALLOW), ("Supported", SUPPORTED), ("User-Agent", USER_AGENT))


class Here:
    """How we are seen from one hop: sent-by of the Via, and the Contact."""

    __slots__ = ("_via", "contact", "host", "port", "transport", "user")

    def __init__(self, transport: str, host: str, port: int, user: str | None) -> None:
        self.transport = transport
        self.host = host
        self.port = port
        self.user = user
        where = hostport(host, port)
        self._via = f"SIP/2.0/{transport.upper()} {where};rport;branch="
        userinfo = f"{user}@" if user else ""
        parameter = "" if transport == "udp" else f";transport={transport}"
        self.contact = f"<sip:{userinfo}{where}{parameter}>"

    def via(self, branch: str) -> str:
        return self._via + branch

    def over(self, transport: str) -> "Here":
        """The same, seen over another transport."""
        return self if transport == self.transport else Here(transport, self.host, self.port, self.user)


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what its transaction is found by."""

    method: str
    branch: str
    hop: Hop
    data: bytes


def plain(text: str) -> str:
    """`text` fit for a header of ours, quoted or not, whoever wrote it."""
    return "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else " " for c in text)


def from_value(caller: NameAddr, tag: str) -> str:
    """From: the caller without transport, maddr, ttl, lr, method and headers (RFC 3261 §19.1.1)."""
    return f"{NameAddr(caller.uri.as_address(), caller.display)};tag={tag}"


def to_value(target: SipUri) -> str:
    return f"<{target.as_address()}>"


def request(
    method: str,
    uri: str,
    headers: Sequence[build.Header],
    *,
    body: bytes = b"",
    content_type: str | None = None,
) -> bytes:
    """The request's bytes; raises app.sip.build.UnsafeText."""
    typed = (("Content-Type", content_type),) if body and content_type else ()
    return build.request(method, uri, [*headers, ("Max-Forwards", "70"), *typed], body)
