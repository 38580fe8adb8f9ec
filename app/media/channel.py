"""What one party says, on a recording's clock: lost packets are silence, a clock that runs otherwise is followed.

A packet's place is its timestamp's, not its arrival's, so jitter moves nothing. How early packets come at best, over
some seconds, says how the sender's clock drifts from ours; a sample is then put in or left out where it is quietest.
Knows no file and no leg.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from app.media.codec import FRAME, RATE, Samples, linear
from app.media.pyvoip import PayloadType
from app.media.tap import Heard

_Packet = tuple[PayloadType, int, float, bytes]  # codec, RTP timestamp, when it came, payload

BACK: Final = RATE  # samples behind what was taken last in which a late packet still finds its place
_AHEAD: Final = 2 * RATE
_FAR: Final = 5 * RATE  # samples off: the sender's timestamps leapt
_OFF: Final = RATE // 10  # samples: everything since the last look came so much later or earlier
_LOOKS: Final = 8  # over which the earliest packet is looked for
_TOLERANCE: Final = 8  # samples: the loop's clock counts milliseconds
_BLEND: Final = 400  # samples over which one is put in or left out
_STEP: Final = 2  # samples at most at a time while somebody speaks: 2 in 0.8 s follow 312 ppm
_STEP_IN_SILENCE: Final = 80
_SILENT: Final = 60.0  # root mean square
_LONGEST_RUN: Final = 4 * RATE


class Channel:
    """A tap of one leg; `ended` is passed on to whoever records. `began` is the loop's time of its first sample."""

    prompt = False

    __slots__ = ("_anchored", "_earliest", "_head", "_on_end", "_origin", "_queue", "_samples", "began")

    def __init__(self, began: float, on_end: Callable[[], None]) -> None:
        self.began = began
        self._on_end = on_end
        self._queue: deque[Heard] = deque()
        self._origin = -BACK  # place of the first sample that is kept
        self._samples: Samples = np.zeros(BACK + _AHEAD, "<i2")
        self._anchored = False
        self._head = (0, 0)  # an RTP timestamp and its place
        self._earliest: deque[int] = deque(maxlen=_LOOKS)  # per look, how late the earliest packet was, in samples

    @property
    def heard(self) -> Callable[[Heard], object]:
        """Packets are put aside, and nothing more, while they are passed on."""
        return self._queue.append

    def ended(self) -> None:
        self._on_end()

    def look(self) -> int | None:
        """Put what has come in its place; returns the first place that changed, None: no change."""
        queue = list(self._queue)
        if not queue:
            return None
        self._queue.clear()
        if self._anchored and (changed := self._put_run(queue)) is not None:
            return changed
        packets = [packet for heard in queue for packet in _each(heard)]
        places, earliest = self._places(packets)
        if not self._anchored:
            self._anchored = True
            self._earliest.clear()
            timestamp, place = self._head
            self._head = timestamp, place + earliest
            places, earliest = [place + earliest for place in places], 0
        self._earliest.append(earliest)
        if abs(earliest) > _OFF:
            self._anchored = False  # the road changed, or its clock stood still: from the next look on, anew
        return self._put(packets, places)

    def take(self, start: int, stop: int) -> Samples:
        """What was said from place `start` to `stop`; nothing: silence."""
        return self._samples[start - self._origin : stop - self._origin]

    def forget(self, before: int) -> None:
        """Places before `before` less BACK are not asked for any more."""
        gone = min(before - BACK - self._origin, len(self._samples))
        if gone > 0:
            self._samples[:-gone] = self._samples[gone:]
            self._samples[len(self._samples) - gone :] = 0
            self._origin += gone

    def _put_run(self, queue: list[Heard]) -> int | None:
        """All of them at once, when they are one run of 20 ms each, as they mostly are; None: they are not."""
        codec, first, early, _, _ = queue[0]
        size = 0
        for other, stamp, came, payload, each in queue:
            if other is not codec or stamp != first + size or each != FRAME:
                return None
            early = min(early, came - size / RATE)
            size += len(payload)
        if size > _LONGEST_RUN:
            return None
        timestamp, place = self._head
        place += (first - timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        earliest = round((early - self.began) * RATE) - FRAME - place
        if abs(earliest) > _OFF:
            return None
        self._earliest.append(earliest)
        samples, moved = linear(codec, b"".join([payload for _, _, _, payload, _ in queue])), 0
        if abs(self._drift()) > _TOLERANCE and len(samples) >= 4 * _BLEND:
            samples, moved = self._shifted(samples)
            self._earliest = deque((late - moved for late in self._earliest), _LOOKS)
        self._place(place, samples)
        self._head = first + size - FRAME, place + size - FRAME + moved
        return place

    def _places(self, packets: list[_Packet]) -> tuple[list[int], int]:
        """Each packet's place by its timestamp, and how late the earliest of them came, in samples."""
        places, earliest = [], _FAR
        timestamp, place = self._head
        began, known = self.began, self._anchored
        for _, stamp, at, payload in packets:
            arrival = round((at - began) * RATE) - len(payload)  # it was said before it was sent
            place += (stamp - timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            timestamp = stamp
            late = arrival - place
            if not known or not -_FAR < late < _FAR:
                place, late, known = arrival, 0, True
            if late < earliest:
                earliest = late
            places.append(place)
        self._head = timestamp, place
        return places, earliest

    def _put(self, packets: list[_Packet], places: list[int]) -> int | None:
        lowest, moved, at, count = None, 0, 0, len(packets)
        while at < count:
            codec, run, begin = packets[at][0], [packets[at][3]], places[at]
            end = begin + len(run[0])
            at += 1
            while at < count and places[at] == end and packets[at][0] is codec:
                run.append(packets[at][3])
                end += len(packets[at][3])
                at += 1
            samples = linear(codec, b"".join(run))
            if not moved and abs(self._drift()) > _TOLERANCE and len(samples) >= 4 * _BLEND:
                samples, moved = self._shifted(samples)
            else:
                begin += moved
            self._place(begin, samples)
            lowest = begin if lowest is None else min(lowest, begin)
        if moved:
            self._head = self._head[0], self._head[1] + moved
            self._earliest = deque((late - moved for late in self._earliest), _LOOKS)
        return lowest

    def _drift(self) -> int:
        """Samples by which this sender's place lags behind its clock; 0 until enough is known."""
        return min(self._earliest) if len(self._earliest) == _LOOKS else 0

    def _shifted(self, samples: Samples) -> tuple[Samples, int]:
        """`samples` with a few put in (or left out, when negative) where it is quietest, and how many."""
        blocks = samples[: len(samples) // _BLEND * _BLEND].reshape(-1, _BLEND)[1:-1].astype(np.float32)
        loudness = np.einsum("ij,ij->i", blocks, blocks)
        block = int(loudness.argmin())
        most = _STEP_IN_SILENCE if loudness[block] < _SILENT * _SILENT * _BLEND else _STEP
        count = max(-most, min(most, self._drift()))
        start, length = (block + 1) * _BLEND, _BLEND + count
        new = np.linspace(0, 1, length, dtype=np.float32)
        blend = samples[start : start + length] * (1 - new) + samples[start - count : start - count + length] * new
        parts = samples[:start], np.rint(blend).astype("<i2"), samples[start + _BLEND :]
        return np.concatenate(parts), count

    def _place(self, place: int, samples: Samples) -> None:
        start = place - self._origin
        if start < 0:
            samples, start = samples[-start:], 0
        room = self._samples[start : start + len(samples)]
        room[:] = samples[: len(room)]


def _each(heard: Heard) -> Iterator[_Packet]:
    """Its packets, one by one."""
    codec, stamp, came, payloads, size = heard
    for begin in range(0, len(payloads), size):
        yield codec, stamp + begin & 0xFFFFFFFF, came + begin / RATE, payloads[begin : begin + size]
