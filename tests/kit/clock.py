"""A clock that a test moves: sleepers wake in order when it passes them."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self) -> None:
        self._start = datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, id(future), future))
        await future

    async def move(self, seconds: float) -> None:
        """Let `seconds` pass; every sleeper that is due has run when this returns."""
        end = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await settle()
        self._elapsed = end


async def settle() -> None:
    """Let every task that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)
