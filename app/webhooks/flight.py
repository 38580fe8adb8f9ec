"""The attempts under way: how many more may start, and for which destinations. Starts and ends none."""

import asyncio
from collections import Counter as Tally

from app.webhooks import report
from app.webhooks.limits import descriptors

_QUICK = 1.0  # seconds: an attempt older than this waits for a receiver and costs next to nothing


class Flight:
    """`slots` bounds what works, `most` what works and waits together.

    With one bound for both, some dozens of destinations that hang for 15 s would hold every slot.
    """

    def __init__(self, slots: int, most: int) -> None:
        self._most = min(most, descriptors() // 2)
        self._slots = min(slots, self._most)
        self._started: dict[asyncio.Task[None], float] = {}  # oldest first, on the loop's clock
        self._busy: Tally[int] = Tally()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return list(self._started)

    @property
    def busy(self) -> dict[int, int]:
        """Attempts under way per destination."""
        return dict(self._busy)

    def room(self) -> int:
        old = asyncio.get_running_loop().time() - _QUICK
        waiting = 0
        for started in self._started.values():
            if started > old:
                break
            waiting += 1
        under_way = len(self._started)
        return min(self._slots - (under_way - waiting), self._most - under_way)

    def add(self, task: asyncio.Task[None], destination: int) -> None:
        self._started[task] = asyncio.get_running_loop().time()
        self._busy[destination] += 1
        report.IN_FLIGHT.inc()

    def remove(self, task: asyncio.Task[None], destination: int) -> None:
        del self._started[task]
        self._busy[destination] -= 1
        if not self._busy[destination]:
            del self._busy[destination]
        report.IN_FLIGHT.dec()
