"""Received audio in the order in which it was spoken, bounded. Knows no packet, no peer and no clock."""

from collections import deque
from typing import Final

from app.media.codec import FRAME, RATE, SILENCE, decode, transcode
from app.media.pyvoip import PayloadType

LIMIT: Final = RATE // 2  # samples kept while nobody reads; the oldest go first
_PACKETS: Final = LIMIT // FRAME


class Playout:
    """G.711 as it came; put in order and turned into 16-bit audio when it is read: what nobody reads costs little.

    pyVoIP's RTPPacketManager grows for ever and allocates 200 MB for one far timestamp.
    """

    __slots__ = ("_codec", "_head", "_samples", "_unsorted")

    def __init__(self) -> None:
        self._unsorted: deque[tuple[PayloadType, int, bytes]] = deque(maxlen=_PACKETS)
        self._codec = PayloadType.PCMU
        self._samples = bytearray()
        self._head: int | None = None  # timestamp of the next sample to be read

    def put(self, codec: PayloadType, timestamp: int, payload: bytes) -> None:
        """Take a packet's audio."""
        self._unsorted.append((codec, timestamp, payload))

    def read(self, samples: int) -> bytes:
        """The next `samples` as 16-bit linear audio; what has not come, or came too late, is silence."""
        while self._unsorted:
            self._sort(*self._unsorted.popleft())
        taken = bytes(self._samples[:samples])
        del self._samples[:samples]
        self._advance(len(taken))
        return decode(self._codec, taken) + bytes(2 * (samples - len(taken)))

    def _sort(self, codec: PayloadType, timestamp: int, payload: bytes) -> None:
        if codec is not self._codec:
            self._samples[:] = transcode(bytes(self._samples), self._codec, codec)
            self._codec = codec
        payload = payload[-LIMIT:]
        offset = _signed(timestamp - self._head) if self._head is not None else 2 * LIMIT
        if not -LIMIT <= offset < 2 * LIMIT or (offset >= 0 and not self._samples):
            self._samples[:] = payload  # the first, after a pause, or a jump of the sender's clock: start there
            self._head = timestamp
        elif offset >= 0:
            self._insert(offset, payload)
        elif payload := payload[-offset:]:
            self._insert(0, payload)

    def _insert(self, offset: int, payload: bytes) -> None:
        gap = offset - len(self._samples)
        if gap > 0:
            self._samples += bytes((SILENCE[self._codec],)) * gap
        self._samples[offset : offset + len(payload)] = payload
        excess = len(self._samples) - LIMIT
        if excess > 0:
            del self._samples[:excess]
            self._advance(excess)

    def _advance(self, samples: int) -> None:
        if self._head is not None:
            self._head = (self._head + samples) & 0xFFFFFFFF


def _signed(difference: int) -> int:
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
