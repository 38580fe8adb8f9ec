"""pyVoIP's typed headers and body for a message of ours: its parse_header and parse_body, fed what is safe.

pyVoIP 1.6.8 splits on fixed strings and raises, or loses parts, on much that is legal. So it gets each value in the
one notation that it reads right, and what it cannot express (IPv6, quoted display names, sips:) is put right after it.
"""

from typing import TYPE_CHECKING, Any

from app.sip.digest import parse as parse_challenges
from app.sip.headers import Address, HeaderError, Target, Via, hostport, split_list
from app.sip.names import LISTS, USUAL, key_of
from app.sip.pyvoip import PayloadType, SIPStatus
from app.sip.sdp import EVENTS, Remote, UnusableSdp

if TYPE_CHECKING:
    from app.sip.message import SipMessage

_NAMES = {name.lower(): name for name in USUAL}
_AUTHENTICATION = ("WWW-Authenticate", "Proxy-Authenticate", "Authorization", "Proxy-Authorization")
_OWN_WAY = frozenset({"via", "from", "to", "cseq", "content-length"} | {name.lower() for name in _AUTHENTICATION})
_CODECS = {"PCMU": PayloadType.PCMU, "PCMA": PayloadType.PCMA, EVENTS: PayloadType.EVENT}


def status(code: int) -> SIPStatus:
    """pyVoIP's enum for any code: an unknown one is the x00 of its class, 183 for 1xx (RFC 3261 §8.1.3.2)."""
    try:
        return SIPStatus(code)
    except ValueError:
        return SIPStatus(183 if code < 200 else code // 100 * 100)


def headers(message: "SipMessage") -> dict[str, Any]:
    """Keys in their usual spelling, repeated list headers joined; From, To, CSeq, Call-ID, Contact always there."""
    typed: dict[str, Any] = {"Via": [], "Call-ID": "", "Contact": ""}
    message.__dict__["headers"] = typed  # where parse_header writes
    for value in message.all("via"):
        _via(message, value)
    for name in ("From", "To"):
        _address(message, name)
    number, method = message.cseq
    message.parse_header("CSeq", f"{number} {method}")
    message.parse_header("Content-Length", str(len(message.content)))
    for received, value in message.raw_headers:
        key = key_of(received)
        name = _NAMES.get(key, received)
        if key in _OWN_WAY or typed.get(name):
            continue
        joined = ", ".join(part for row in message.rows(key) for part in split_list(row)) if key in LISTS else value
        message.parse_header(name, joined)
    for name in _AUTHENTICATION:
        _credentials(message, name)
    if isinstance(typed.get("Content-Type"), str):
        typed["Content-Type"] = typed["Content-Type"].partition(";")[0].strip().lower()
    return typed


def authentication(message: "SipMessage") -> dict[str, str]:
    """The first challenge or credentials, ``{}`` without; parse_header stores it beside the headers."""
    message.__dict__.setdefault("authentication", {})
    _ = message.headers
    found: dict[str, str] = message.__dict__["authentication"]
    return found


def body(message: "SipMessage") -> dict[str, Any]:
    """What parse_body makes of the usable SDP: one c=, one m=audio, only codecs of ours; empty lists without any."""
    typed: dict[str, Any] = {}
    try:
        remote = message.sdp()
    except UnusableSdp:
        message.__dict__["body"] = typed
        return {"c": [], "m": []}
    # pyVoIP reads SDP only under exactly this type and without an encoding; the part was found and is plain by now.
    message.headers["Content-Type"] = "application/sdp"
    message.headers.pop("Content-Encoding", None)
    message.__dict__["body"] = typed
    for kind, value in _lines(remote):
        message.parse_body(kind, value)
    for codec in remote.codecs:
        # A dynamic number for PCMU makes VoIPCall.answered look up PayloadType("PCMU"), which pyVoIP does not know;
        # a member looked up is itself.
        typed["m"][0]["attributes"][str(codec.payload)]["rtpmap"]["name"] = _CODECS[codec.name]
    return typed


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


def _credentials(message: "SipMessage", name: str) -> None:
    """Through parse_header one parameter at a time: its pattern is quadratic, and stops at a comma in quotes."""
    found = [params for row in message.rows(name) for _, params in parse_challenges(row)]
    if not found:
        return
    typed = message.headers
    first_of_all = message.__dict__.get("authentication") or None
    kept = typed.get("WWW-Authenticate")
    message.parse_header("WWW-Authenticate", ", ".join(f'{key}="x"' for key in found[0] if key.isidentifier()))
    typed[name] = typed.pop("WWW-Authenticate") | found[0]
    if kept is not None and name != "WWW-Authenticate":
        typed["WWW-Authenticate"] = kept
    message.authentication = first_of_all or typed[name]


def _lines(remote: Remote) -> list[tuple[str, str]]:
    family = "IP6" if ":" in remote.address else "IP4"
    number, version = remote.origin or ("0", "0")
    lines = [
        ("v", "0"),
        ("o", f"- {number} {version} IN {family} {remote.address}"),
        ("s", "-"),
        ("c", f"IN {family} {remote.address}"),
        ("t", "0 0"),
        ("m", f"audio {remote.port} RTP/AVP {' '.join(str(codec.payload) for codec in remote.codecs)}"),
    ]
    lines += [("a", f"rtpmap:{codec.payload} {codec.name}/8000") for codec in remote.codecs]
    return [*lines, ("a", remote.direction)]
