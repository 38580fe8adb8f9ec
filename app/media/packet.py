"""RTP packets as bytes (RFC 3550 §5.1): struct, because pyVoIP's RTPMessage takes 6.2 µs where this takes 0.5.

Knows no peer, no stream and no codec.
"""

from struct import Struct
from typing import Final, NamedTuple

HEADER: Final = Struct("!BBHII")
PLAIN: Final = 0x80  # version 2, no padding, no extension, no CSRC
_EXTENSION: Final = Struct("!HH")


class Buffer(bytearray):
    """Where packets lie that are passed on. The views are shared: one apiece would be cold whenever it is needed."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._views: dict[tuple[int, int], memoryview] = {}

    def packet(self, size: int) -> memoryview:
        """Its first `size` bytes."""
        return self._view(0, size)

    def payload(self, size: int) -> memoryview:
        """What follows a plain header."""
        return self._view(HEADER.size, HEADER.size + size)

    def _view(self, start: int, stop: int) -> memoryview:
        if (start, stop) not in self._views:
            self._views[start, stop] = memoryview(self)[start:stop]
        return self._views[start, stop]


class Packet(NamedTuple):
    """One valid RTP packet (a tuple: a frozen dataclass takes three times as long to make)."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def unpack(data: bytes) -> Packet | None:
    """The packet in `data`, without padding, CSRCs and extension; None when it is not RTP version 2."""
    if len(data) < HEADER.size:
        return None
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first == PLAIN:
        payload = data[12:]
    else:
        bounds = _bounds(data, first)
        if bounds is None:
            return None
        payload = data[bounds[0] : bounds[1]]
    return Packet(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, payload)


def pack(packet: Packet) -> bytes:
    """The bytes of a packet without extras."""
    second = packet.payload_type | (0x80 if packet.marker else 0)
    return HEADER.pack(PLAIN, second, packet.sequence, packet.timestamp, packet.ssrc) + packet.payload


def _bounds(data: bytes, first: int) -> tuple[int, int] | None:
    """Where the payload begins and ends."""
    if first >> 6 != 2:
        return None
    start, end = HEADER.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if end < start + _EXTENSION.size:
            return None
        start += _EXTENSION.size + 4 * int(_EXTENSION.unpack_from(data, start)[1])
    if first & 0x20:
        padding = data[-1]
        if padding == 0:
            return None
        end -= padding
    return (start, end) if start <= end else None
