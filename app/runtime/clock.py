"""The real clock: wall time that advances with the monotonic clock, so that a wall clock that jumps bends no call."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """Wall time as it was when last settled, advanced by the monotonic clock.

    Somebody may set the machine's clock while a call rings or talks: its durations must stay right and never
    be negative. So the wall clock is read only when no call is running, by `settle`.
    """

    def __init__(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Take the machine's wall time anew; call it only while nothing is being timed."""
        self._wall = datetime.now(UTC)
        self._since = time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._since)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)
