"""pyVoIP's typed headers and body for a message of ours: its parse_header and parse_body, fed what is safe.

pyVoIP 1.6.8 splits on fixed strings and raises, or loses parts, on much that is legal. So it gets each value in the
one notation that it reads right, and what it cannot express (IPv6, quoted display names, sips:) is put right after it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app.sip.digest import parse as parse_challenges
from app.sip.headers import Address, HeaderError, Target, Via, hostport, split_list
from app.sip.multipart import media_type
from app.sip.names import LISTS, USUAL, key_of
from app.sip.pyvoip import PayloadType, SIPStatus
from app.sip.sdp import EVENTS, Remote, UnusableSdp

if TYPE_CHECKING:
    from app.sip.message import SipMessage

_NAMES = {name.lower(): name for name in USUAL}
_ALWAYS = ("Via", "From", "To", "CSeq", "Call-ID", "Contact", "Content-Length")  # pyVoIP looks these up unasked
_AUTHENTICATION = ("WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Proxy-Authorization")
_CODECS = {"PCMU": PayloadType.PCMU, "PCMA": PayloadType.PCMA, EVENTS: PayloadType.EVENT}


class TypedHeaders(dict[str, Any]):
    """pyVoIP's dictionary of typed headers, each made by parse_header when it is first looked up (60 µs for all)."""

    def __init__(self, message: "SipMessage") -> None:
        super().__init__()
        self._message = message

    def __missing__(self, name: str) -> Any:
        """Keys are the usual spelling; raises KeyError for a header that is neither there nor always there."""
        if name in _READERS:
            _READERS[name](self._message, name)
        else:
            _other(self._message, name)
        return dict.__getitem__(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.complete())

    def __len__(self) -> int:
        return len(self.complete())

    def complete(self) -> dict[str, Any]:
        """All of it, as a plain dictionary."""
        for name in _ALWAYS:
            _ = self[name]
        for received, _value in self._message.raw_headers:
            self.get(_NAMES.get(key_of(received), received))
        return dict(self.items())


def status(code: int) -> SIPStatus:
    """pyVoIP's enum for any code: an unknown one is the x00 of its class, 183 for 1xx (RFC 3261 §8.1.3.2)."""
    try:
        return SIPStatus(code)
    except ValueError:
        return SIPStatus(183 if code < 200 else code // 100 * 100)


def authentication(message: "SipMessage") -> dict[str, str]:
    """The first challenge or credentials, ``{}`` without."""
    for name in _AUTHENTICATION:
        found: dict[str, str] | None = message.headers.get(name)
        if found:
            return found
    return {}


def body(message: "SipMessage") -> dict[str, Any]:
    """What parse_body makes of the usable SDP: one c=, one m=audio, only codecs of ours; empty lists without any."""
    try:
        remote = message.sdp()
    except UnusableSdp:
        return {"c": [], "m": []}
    typed: dict[str, Any] = {}
    headers = message.headers
    # pyVoIP reads SDP only under exactly this type and without an encoding; the part was found and is plain by now.
    message.__dict__.update(body=typed, headers={"Content-Type": "application/sdp"})
    message.parse_raw_body(
        "\r\n".join(f"{kind}={value}" for kind, value in _lines(remote)).encode(), message.parse_body
    )
    message.__dict__["headers"] = headers
    for codec in remote.codecs:
        # A dynamic number for PCMU makes VoIPCall.answered look up PayloadType("PCMU"), which pyVoIP does not know;
        # a member looked up is itself.
        typed["m"][0]["attributes"][str(codec.payload)]["rtpmap"]["name"] = _CODECS[codec.name]
    return typed


def _vias(message: "SipMessage", name: str) -> None:
    message.headers[name] = []
    for value in message.all("via"):
        _via(message, value)


def _via(message: "SipMessage", value: str) -> None:
    try:
        via = Via.parse(value)
    except HeaderError:
        return
    own = [f"SIP/2.0/{via.transport} host"]
    message.parse_header("Via", own)  # type: ignore[arg-type]  # annotated str, but for Via it takes a list
    entry = message.headers["Via"][-1]
    entry["address"] = (via.host, str(via.port or 5060))
    entry.update({name.lower(): text for name, text in via.params if name.lower() not in ("type", "address")})


def _address(message: "SipMessage", name: str) -> None:
    value = message.first(name) or ""
    try:
        address = Address.parse(value)
    except HeaderError:
        address = Address("")
    try:
        target = Target.parse(address.uri)
        user, host = target.user, hostport(target.host, target.port)
    except HeaderError:  # tel:, or worse
        user, host = None, address.uri.partition(":")[2]
    message.parse_header(name, "<sip:host>")
    message.headers[name] |= {
        "raw": value.partition(";tag=")[0] if '"' not in value else str(Address(address.uri, address.display)),
        "tag": address.tag or "",
        "address": address.uri.partition(":")[2],
        "number": user,
        "caller": address.display or "",
        "host": host,
    }


def _cseq(message: "SipMessage", name: str) -> None:
    number, method = message.cseq
    message.parse_header(name, f"{number} {method}")


def _content_length(message: "SipMessage", name: str) -> None:
    message.parse_header(name, str(len(message.content)))


def _content_type(message: "SipMessage", name: str) -> None:
    if message.content_type is None:
        raise KeyError(name)
    message.parse_header(name, media_type(message.content_type))


def _credentials(message: "SipMessage", name: str) -> None:
    """Names through parse_header, values put right after: its pattern is quadratic and stops at a quoted comma."""
    found = [params for row in message.rows(name) for _, params in parse_challenges(row)]
    if not found:
        raise KeyError(name)
    headers, own = message.headers, "WWW-Authenticate"
    kept = dict.get(headers, own)
    message.parse_header(own, ", ".join(f'{key}="x"' for key in found[0] if key.isidentifier()))
    typed = headers.pop(own) | found[0]
    if kept is not None:
        headers[own] = kept
    headers[name] = typed
    message.__dict__.pop("authentication")  # parse_header leaves the newest there; authentication() finds the first


def _other(message: "SipMessage", name: str) -> None:
    key = key_of(name)
    rows = message.rows(key)
    if not rows and name not in _ALWAYS:
        raise KeyError(name)
    joined = ", ".join(part for row in rows for part in split_list(row)) if key in LISTS else "".join(rows[:1])
    message.parse_header(name, joined)


_READERS: Mapping[str, Callable[["SipMessage", str], None]] = {
    "Via": _vias,
    "From": _address,
    "To": _address,
    "CSeq": _cseq,
    "Content-Length": _content_length,
    "Content-Type": _content_type,
} | dict.fromkeys(_AUTHENTICATION, _credentials)


def _lines(remote: Remote) -> list[tuple[str, str]]:
    family = "IP6" if ":" in remote.address else "IP4"
    # pyVoIP splits a line at each "=", and words at each space: what is no number could hold either.
    number, version = (word if word.isdigit() else "0" for word in remote.origin or ("0", "0"))
    lines = [
        ("o", f"- {number} {version} IN {family} {remote.address}"),
        ("c", f"IN {family} {remote.address}"),
        ("m", f"audio {remote.port} RTP/AVP {' '.join(str(codec.payload) for codec in remote.codecs)}"),
    ]
    lines += [("a", f"rtpmap:{codec.payload} {codec.name}/8000") for codec in remote.codecs]
    return [*lines, ("a", remote.direction)]
