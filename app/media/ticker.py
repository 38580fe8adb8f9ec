"""The 20 ms beat that all calls of a worker share. Knows nothing of what is done at a beat.

Measured: 8 µs per packet sent this way against 18-22 with a task per call.
"""

import asyncio
from typing import Final, Protocol

from app.runtime import log

FRAME_SECONDS: Final = 0.02

_log = log.get(__name__)


class Member(Protocol):
    """Whoever wants the beat."""

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
        self._round: tuple[Member, ...] = ()  # who they were when it was last asked
        self._changed = False  # since then
        self._timer: asyncio.TimerHandle | None = None
        self._beat = Beat(0.0)

    @property
    def running(self) -> bool:
        """Whether a timer is set."""
        return self._timer is not None

    def add(self, member: Member) -> None:
        """Give `member` the beat; safe to call twice."""
        self._members[member] = None
        self._changed = True
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._beat = Beat(loop.time())
            self._timer = loop.call_at(self._beat.next_at, self._tick, loop)

    def discard(self, member: Member) -> None:
        """No more beats for `member`; safe to call twice, and from within a beat. The last one gone, it stops."""
        self._members.pop(member, None)
        self._changed = True

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        frames = self._beat.take(now)
        if frames:
            if self._changed:
                self._round, self._changed = tuple(self._members), False
            for member in self._round:
                if not self._changed or member in self._members:  # one member's beat may end another
                    try:
                        member.tick(now, frames)
                    except Exception:
                        _log.exception("media.tick_failed")
        if self._members:
            self._timer = loop.call_at(self._beat.next_at, self._tick, loop)
        else:
            self._timer = None
            self._round, self._changed = (), True
