"""What came of one RTP source: which packets are new, late or double, what was lost, the jitter. Knows no payload."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from app.media.codec import RATE

_WINDOW: Final = 64  # sequence numbers back in which a late packet is told from a double one
_WINDOW_MASK: Final = (1 << _WINDOW) - 1
_MAX_DROPOUT: Final = 3000  # RFC 3550 A.1
_MAX_TRANSIT: Final = 80_000  # RTP units; a wrapped or far timestamp is no jitter


class Verdict(Enum):
    NEW = auto()
    LATE = auto()  # out of order, seen for the first time
    DUPLICATE = auto()
    JUMP = auto()  # far away; believed when its successor follows (RFC 3550 A.1)


class Reception:
    """Sequence numbers and arrival times of one source (RFC 3550 A.1, A.3, A.8)."""

    __slots__ = (
        "_after_jump",
        "_base",
        "_expected_before",
        "_newest",
        "_received_before",
        "_seen",
        "_transit",
        "jitter",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.jitter = 0.0  # RTP units
        self._newest = -1  # extended by 2**16 per wrap
        self._base = 0
        self._seen = 0
        self._after_jump = -1
        self._transit: float | None = None
        self._expected_before = 0
        self._received_before = 0

    def accept(self, sequence: int) -> Verdict:
        """Take one more sequence number into account."""
        if self._newest < 0:
            self._restart(sequence)
            return Verdict.NEW
        ahead = (sequence - self._newest) & 0xFFFF
        if 0 < ahead < _MAX_DROPOUT:
            self._newest += ahead
            self._seen = ((self._seen << ahead) | 1) & _WINDOW_MASK
            self.received += 1
            return Verdict.NEW
        back = -ahead & 0xFFFF
        if back < _WINDOW:
            return self._late(1 << back)
        if sequence == self._after_jump:
            self._restart(sequence)
            return Verdict.NEW
        self._after_jump = (sequence + 1) & 0xFFFF
        return Verdict.JUMP

    def follow(self, times: Sequence[float], timestamp: int, step: int) -> None:
        """`accept` and `arrived` of a run without gap or wrap: when they came in seconds, first timestamp, its step."""
        run = len(times)
        self._newest += run
        self._seen = (self._seen << run | (1 << run) - 1) & _WINDOW_MASK
        self.received += run
        self.arrived(timestamp, times[0] * RATE)
        jitter, due = self.jitter, times[0] * RATE + step
        for at in times[1:]:
            distance = at * RATE - due
            due += distance + step
            if distance < 0:
                distance = -distance
            if distance < _MAX_TRANSIT:
                jitter += (distance - jitter) / 16
        self.jitter, self._transit = jitter, due - timestamp - run * step

    def extended(self, sequence: int) -> int:
        """A number that has come lately, extended as `highest` is."""
        return self._newest - (self._newest - sequence & 0xFFFF)

    def arrived(self, timestamp: int, at: float) -> None:
        """Interarrival jitter (RFC 3550 A.8); `at` in RTP units."""
        transit = at - timestamp
        if self._transit is not None:
            distance = abs(transit - self._transit)
            if distance < _MAX_TRANSIT:
                self.jitter += (distance - self.jitter) / 16
        self._transit = transit

    @property
    def highest(self) -> int:
        """The extended highest sequence number (RFC 3550 §6.4.1)."""
        return self._newest & 0xFFFFFFFF

    @property
    def lost(self) -> int:
        """Packets that were expected and have not come; late ones that come are taken off again."""
        return self._expected - self.received

    def fraction_lost(self) -> int:
        """256ths lost since the last time this was asked (RFC 3550 A.3)."""
        expected = self._expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self._expected, self.received
        return min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0

    @property
    def _expected(self) -> int:
        return self._newest - self._base + 1 if self._newest >= 0 else 0

    def _late(self, bit: int) -> Verdict:
        if self._seen & bit:
            return Verdict.DUPLICATE
        self._seen |= bit
        self.received += 1
        return Verdict.LATE

    def _restart(self, sequence: int) -> None:
        self._newest = self._base = sequence
        self._seen = 1
        self._after_jump = -1
        self._transit = None
        self.received = 1
        self._expected_before = self._received_before = 0
