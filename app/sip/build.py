"""Writes SIP requests and responses as bytes, tidily and strictly; refuses anything that could inject a line."""

import re
from collections.abc import Iterable

from app.sip import typed
from app.sip.headers import HeaderError, Via, split_list
from app.sip.message import SipMessage

Header = tuple[str, str]

# The routing headers first, the body's last; what is not here stands in between, as given.
_ORDER = {
    "via": 0,
    "max-forwards": 1,
    "route": 2,
    "record-route": 3,
    "from": 4,
    "to": 5,
    "call-id": 6,
    "cseq": 7,
    "contact": 8,
    "content-type": 90,
}
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++\Z")
_URI = re.compile(r"[^\s<>\"]++\Z")
_CONTROLS = bytes(range(32)) + b"\x7f"
_UNICODE_BREAKS = re.compile(r"[\x80-\x9f\u2028\u2029\ud800-\udfff]")


class UnsafeText(ValueError):
    """A method, URI, reason, header name or value that must not go on the wire: control characters, or no token."""


def request(method: str, uri: str, headers: Iterable[Header], body: bytes = b"") -> bytes:
    """A request with `headers` in tidy order; Content-Length is added. Raises UnsafeText."""
    if not _TOKEN.match(method) or not _URI.match(uri):
        raise UnsafeText("the method is no token, or the Request-URI has white space, quotes or angle brackets")
    rows = sorted(headers, key=lambda row: _ORDER.get(row[0].lower(), 50))
    return _written([f"{method} {uri} SIP/2.0", *_rows(rows, body)]) + b"\r\n\r\n" + body


def request_in_order(method: str, uri: str, headers: Iterable[Header], *, body: bytes = b"") -> bytes:
    """Like `request` for headers that stand in their final order under names of ours: a third of its cost."""
    lines = [f"{name}: {value}" for name, value in headers]
    if not _URI.match(uri):
        raise UnsafeText("the Request-URI has white space, quotes or angle brackets")
    start = f"{method} {uri} SIP/2.0"
    return _written([start, *lines, f"Content-Length: {len(body)}"]) + b"\r\n\r\n" + body


def token(name: str) -> str:
    """`name` if it may name a header; raises UnsafeText."""
    if not _TOKEN.match(name) or name.lower() in ("content-length", "l"):
        raise UnsafeText("a header name is no token, or is Content-Length, which is counted here")
    return name


def response(
    to: SipMessage,
    code: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[Header] = (),
    body: bytes = b"",
    content_type: str | None = None,
    source: tuple[str, int] | None = None,
) -> bytes:
    """A response to request `to`, whose Vias, From, To, Call-ID, CSeq, and Record-Route where due, are copied.

    `to_tag` is added when the request's To has none and `code` is not 100. `source` (host, port) is where the request
    came from and goes into the topmost Via as `received` and `rport`. Without `reason` the usual one of the code, or
    none. Raises UnsafeText.
    """
    if to_tag is not None and not _TOKEN.match(to_tag):
        raise UnsafeText("the To tag is no token")
    usual = typed.status(code)
    phrase = (usual.phrase if usual.value == code else "") if reason is None else reason
    own = [*headers, ("Content-Type", content_type)] if content_type else list(headers)
    rows = sorted(own, key=lambda row: _ORDER.get(row[0].lower(), 50))
    copied = "\r\n".join(_copied(to, code, to_tag, source))
    start = _written([f"SIP/2.0 {code} {phrase}"])
    return b"\r\n".join((start, copied.encode("latin-1"), _written(_rows(rows, body)), b"", body))


def ack_for(request: SipMessage, response: SipMessage) -> bytes:
    """The ACK of a non-2xx response to our own INVITE `request` (RFC 3261 §17.1.1.3): same branch, same routes."""
    return _within(request, "ACK", response.to_value)


def cancel_for(request: SipMessage) -> bytes:
    """The CANCEL of our own INVITE `request` (§9.1): same branch, same routes, To without a tag."""
    return _within(request, "CANCEL", request.first("to") or "")


def _within(invite: SipMessage, method: str, to: str) -> bytes:
    headers = [
        ("Via", invite.first("via") or ""),
        ("Max-Forwards", "70"),
        *(("Route", route) for route in invite.all("route")),
        ("From", invite.first("from") or ""),
        ("To", to),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq[0]} {method}"),
    ]
    return request(method, invite.request_uri, headers)


def _copied(to: SipMessage, code: int, to_tag: str | None, source: tuple[str, int] | None) -> list[str]:
    """Rows as latin-1: whatever bytes came go back (decode has refused those that could break a line)."""
    vias = [via for row in to.echoed("via") for via in split_list(row)]
    if vias and source is not None:
        vias[0] = _marked(vias[0], source)
    lines = [f"Via: {via}" for via in vias]
    if 100 < code < 300:  # §12.1.1: what may make a dialog
        lines += [f"Record-Route: {row}" for row in to.echoed("record-route")]
    if code == 100:  # §8.2.6.1
        lines += [f"Timestamp: {row}" for row in to.echoed("timestamp")]
    tag = f";tag={to_tag}" if to_tag is not None and code != 100 and to.to_tag is None else ""
    lines += [f"From: {row}" for row in to.echoed("from")[:1]]
    lines += [f"To: {row}{tag}" for row in to.echoed("to")[:1]]
    lines += [f"Call-ID: {row}" for row in to.echoed("call-id")[:1]]
    lines += [f"CSeq: {row}" for row in to.echoed("cseq")[:1]]
    return lines


def _marked(via: str, source: tuple[str, int]) -> str:
    try:
        return str(Via.parse(via).with_source(*source))
    except HeaderError:
        return via


def _rows(headers: Iterable[Header], body: bytes) -> list[str]:
    lines = []
    for name, value in headers:
        lines.append(f"{token(name)}: {value}")
    lines.append(f"Content-Length: {len(body)}")
    return lines


def _written(lines: list[str]) -> bytes:
    """The lines with CRLF between them; one look over all of them is a third of the cost of one at each."""
    text = "".join(lines)
    if not text.isascii() and _UNICODE_BREAKS.search(text):
        raise UnsafeText("a line break or control character of Unicode in a header")
    raw = text.encode()
    if len(raw.translate(None, _CONTROLS)) != len(raw):
        raise UnsafeText("a control character in a header")
    return "\r\n".join(lines).encode()
