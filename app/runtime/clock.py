"""The real clock: wall time that advances with the monotonic clock, so that a wall clock that jumps bends no call."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """Wall time as it was when last settled, advanced by the monotonic clock.

    Somebody may set the machine's clock while a call rings or talks: its durations must stay right and never
    be negative. So the time is taken anew only when no call is running, by `settle`; and once the database's clock
    has been heard it is that one's, because a call may be ended by another process than the one that began it.
    """

    def __init__(self) -> None:
        self._heard: tuple[datetime, float] | None = None
        self.settle()

    def hear(self, wall: datetime, at: float) -> None:
        """The database's time `wall` was that of the monotonic time `at`. The first time it is adopted at once."""
        first, self._heard = self._heard is None, (wall, at)
        if first:
            self.settle()

    def settle(self) -> None:
        """Take the time anew; call it only while nothing is being timed."""
        self._wall, self._since = self._heard or (datetime.now(UTC), time.monotonic())

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._since)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)
