"""Telephone events (RFC 4733): keys out of payloads and payloads out of keys. Knows no socket and no clock."""

from collections import deque
from struct import Struct
from typing import Final

KEYS: Final = "0123456789*#ABCD"  # event codes 0-15 (RFC 4733 §3.2)
EVENT: Final = Struct("!BBH")  # event, E R volume, duration
_END: Final = 0x80
_VOLUME: Final = 10  # −10 dBm0
_LONGEST: Final = 0xFFFF  # RTP units in one segment (§2.5.1.3)
_REPEATS: Final = 3  # of the end packet (§2.5.1.4)
_PAUSE: Final = 4  # frames between two keys: receivers that turn them into tones need 40 ms, some 70
_QUEUE: Final = 64


class KeyListener:
    """Tells a new key press from the packets that go on about the last one."""

    __slots__ = ("_event", "_timestamp")

    def __init__(self) -> None:
        self._event = -1
        self._timestamp: int | None = None

    def hear(self, timestamp: int, payload: bytes) -> bool:
        """Whether this packet is the first of a press. All packets of one press share its first timestamp (§2.2)."""
        if len(payload) < EVENT.size or payload[0] >= len(KEYS):
            return False
        event, last = payload[0], self._timestamp
        if last is not None:
            later = (timestamp - last) & 0xFFFFFFFF
            if later == 0 or later > 0x7FFFFFFF:
                return False
            if later == _LONGEST and event == self._event:
                self._timestamp = timestamp  # the next segment of a very long press
                return False
        self._event, self._timestamp = event, timestamp
        return True


class KeySender:
    """Keys waiting to be sent, one event packet per frame."""

    __slots__ = ("_elapsed", "_ends", "_pause", "_queue", "_start")

    def __init__(self) -> None:
        self._queue: deque[tuple[int, int]] = deque()  # event code, RTP units
        self._start: int | None = None
        self._elapsed = 0
        self._ends = 0
        self._pause = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def press(self, key: str, duration: int) -> bool:
        """Queue a key for `duration` RTP units; False when 64 are waiting. Raises ValueError for what is no key."""
        event = KEYS.find(key.upper()) if len(key) == 1 else -1
        if event < 0:
            raise ValueError(f"not a DTMF key: {key!r}")
        if len(self._queue) >= _QUEUE:
            return False
        self._queue.append((event, min(max(duration, 1), _LONGEST)))
        return True

    def clear(self) -> None:
        """Forget what is waiting and what is half sent (hold)."""
        self._queue.clear()
        self._start, self._pause = None, 0

    def next(self, timestamp: int, frame: int) -> tuple[bool, int, bytes] | None:
        """Marker, timestamp and payload of this frame's event packet; None in the pause between two keys."""
        if self._pause:
            self._pause -= 1
            return None
        if not self._queue:
            return None
        event, total = self._queue[0]
        first = self._start is None
        if self._start is None:
            self._start, self._elapsed, self._ends = timestamp, 0, 0
        self._elapsed = min(self._elapsed + frame, total)
        start, ended = self._start, self._elapsed == total and not first
        if ended:
            self._ends += 1
            if self._ends == _REPEATS:
                self._queue.popleft()
                self._start, self._pause = None, _PAUSE
        return first, start, EVENT.pack(event, _VOLUME | (_END if ended else 0), self._elapsed)
