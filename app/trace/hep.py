"""HEP3, the envelope in which Homer takes copies of SIP messages. Sends nothing.

https://github.com/sipcapture/HEP: a header, then chunks of vendor, type, length and value.
"""

import ipaddress
import struct

from app.calls.wire import Address, WireCopy

_SIP = 1
_PROTOCOLS = {"udp": 17}
_TCP = 6
_FAMILIES = {4: 2, 6: 10}
_ADDRESS_CHUNKS = {4: (3, 4), 6: (5, 6)}
_CAPTURE_AGENT = 2001


def as_hep(copy: WireCopy) -> bytes:
    """One datagram. `b""` when an address is not known, for Homer needs both."""
    sides = (copy.local, copy.remote) if copy.direction == "sent" else (copy.remote, copy.local)
    source, target = (_host(side) for side in sides)
    if source is None or target is None or source.version != target.version:
        return b""
    micros = round(copy.at.timestamp() * 1_000_000)
    from_chunk, to_chunk = _ADDRESS_CHUNKS[source.version]
    chunks = (
        _chunk(1, struct.pack("!B", _FAMILIES[source.version])),
        _chunk(2, struct.pack("!B", _PROTOCOLS.get(copy.transport, _TCP))),
        _chunk(from_chunk, source.packed),
        _chunk(to_chunk, target.packed),
        _chunk(7, struct.pack("!H", sides[0][1])),
        _chunk(8, struct.pack("!H", sides[1][1])),
        _chunk(9, struct.pack("!I", micros // 1_000_000)),
        _chunk(10, struct.pack("!I", micros % 1_000_000)),
        _chunk(11, struct.pack("!B", _SIP)),
        _chunk(12, struct.pack("!I", _CAPTURE_AGENT)),
        _chunk(17, copy.call_sid.encode()),  # correlation: the leg
    )
    head = b"".join(chunks)
    room = 65_507 - 6 - len(head) - 6
    body = head + _chunk(15, copy.data[:room])
    return struct.pack("!4sH", b"HEP3", 6 + len(body)) + body


def _chunk(kind: int, value: bytes) -> bytes:
    return struct.pack("!HHH", 0, kind, 6 + len(value)) + value


def _host(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address[0].partition("%")[0])
    except ValueError:
        return None
