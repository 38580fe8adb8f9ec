"""The real clock. Durations are measured on the monotonic clock so that a wall clock that jumps bends no record."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Wall time that advances with the monotonic clock from a start point that is taken anew for each call."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)


class SteadyClock:
    """Wall time as it was when this was made, advanced by the monotonic clock: one per call.

    A wall clock that is set while a call rings or talks must not change its durations (faults: clock ±1 d).
    """

    def __init__(self, start: datetime, monotonic_start: float) -> None:
        self._start = start
        self._monotonic_start = monotonic_start

    def at(self, monotonic: float) -> datetime:
        return self._start + timedelta(seconds=monotonic - self._monotonic_start)
