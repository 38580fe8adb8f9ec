"""Writes SIP requests and responses as bytes, tidily and strictly; refuses anything that could inject a line."""

import re
from collections.abc import Iterable, Sequence

from app.sip.headers import Via
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
_CONTROLS = bytes(set(range(32)) - {9, 10, 13}) + b"\x7f"
_UNICODE_BREAKS = re.compile(r"[\x80-\x9f\u2028\u2029\ud800-\udfff]")

REASONS = {100: "Trying", 180: "Ringing", 200: "OK"}


class UnsafeText(ValueError):
    """A header name or value, method, URI or reason that must not go on the wire: control characters or no token."""


def request(method: str, uri: str, headers: Iterable[Header], body: bytes = b"") -> bytes:
    """A request; Content-Length is added. Raises UnsafeText."""
    return _message(f"{method} {uri} SIP/2.0", headers, body)


def response(
    to: SipMessage,
    code: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Sequence[Header] = (),
    body: bytes = b"",
    content_type: str | None = None,
    source: tuple[str, int] | None = None,
) -> bytes:
    """A response to request `to`: its Vias, From, To, Call-ID, CSeq, and Record-Route where due, copied.

    `to_tag` is added when the request's To has none and `code` is not 100; `source` (host, port) is where the request
    came from and goes into the topmost Via as `received` and `rport`. Raises UnsafeText.
    """
    vias = to.all("via")
    if source and vias:
        vias[0] = str(Via.parse(vias[0]).with_source(*source))
    to_value = to.first("to") or ""
    if to_tag and code != 100 and to.to_tag is None:
        to_value += f";tag={to_tag}"
    copied: list[Header] = [("Via", via) for via in vias]
    if 100 < code < 300:
        copied += [("Record-Route", value) for value in to.all("record-route")]
    copied += [
        ("From", to.first("from") or ""),
        ("To", to_value),
        ("Call-ID", to.call_id),
        ("CSeq", to.first("cseq") or ""),
    ]
    typed = [("Content-Type", content_type)] if content_type else []
    text = REASONS.get(code, "") if reason is None else reason
    return _message(f"SIP/2.0 {code} {text}", [*copied, *headers, *typed], body)


def ack_for(request: SipMessage, response: SipMessage) -> bytes:
    """The ACK of a non-2xx response to our own INVITE `request` (RFC 3261 §17.1.1.3): same branch, same routes."""
    return _within(request, "ACK", response.first("to") or "")


def cancel_for(request: SipMessage) -> bytes:
    """The CANCEL of our own INVITE `request` (§9.1): same branch, same routes, To without a tag."""
    return _within(request, "CANCEL", request.first("to") or "")


def _within(invite: SipMessage, method: str, to: str) -> bytes:
    headers = [
        ("Via", invite.first("via") or ""),
        *(("Route", route) for route in invite.all("route")),
        ("Max-Forwards", "70"),
        ("From", invite.first("from") or ""),
        ("To", to),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq[0]} {method}"),
    ]
    return request(method, invite.request_uri, headers)


def _message(start: str, headers: Iterable[Header], body: bytes) -> bytes:
    rows = sorted(headers, key=lambda row: _ORDER.get(row[0].lower(), 50))
    lines = [start, *(f"{name}: {value}" for name, value in rows), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body
