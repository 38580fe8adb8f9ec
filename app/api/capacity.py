"""Whether a dial request would be taken in time; asks the database at most a few times a second."""

import math
import time

from app.api.limits import DATABASE_SECONDS
from app.api.problems import Refused
from app.calls.errors import Unavailable
from app.rcml.codes import Code
from app.runtime.patience import Shared, waiting
from app.store.queue import Capacity, DialQueue

FRESH_SECONDS = 0.25
_MAX_RETRY_AFTER = 30  # seconds

# The recent rate tells of the last seconds. Who lets requests wait for longer than that wants a queue: full workers
# that claimed nothing lately are then no evidence that they will claim nothing.
_KNOWN_SECONDS = 30.0
_RATE_OF_A_QUEUE = 2.0  # claims per second and worker, at least


class Admission:
    """Refuses what no worker would take within `max_wait` seconds (contract 1.2)."""

    def __init__(self, queue: DialQueue, max_wait: float) -> None:
        self._queue = queue
        self._max_wait = max_wait
        self._seen: Capacity | None = None
        self._failure: Unavailable | None = None
        self._seen_at = -math.inf
        self._admitted = 0  # since then: others like it wait already, though the database did not say so
        self._asking = Shared(self._ask)

    async def admit(self) -> None:
        """Raises Refused (no-worker, no-capacity) and Unavailable."""
        seen = await self.capacity()
        if seen.workers == 0:
            raise Refused(Code.NO_WORKER, headers={"Retry-After": "2"})
        too_long = self._wait(seen) - self._max_wait
        if too_long > 0:
            retry = 1 if math.isinf(too_long) else min(_MAX_RETRY_AFTER, math.ceil(too_long))
            raise Refused(Code.NO_CAPACITY, headers={"Retry-After": str(retry)})
        self._admitted += 1

    async def capacity(self) -> Capacity:
        """As it was a quarter of a second ago at most; one question for all who ask at once."""
        if time.monotonic() - self._seen_at > FRESH_SECONDS:
            try:
                async with waiting(DATABASE_SECONDS):
                    await self._asking()
            except TimeoutError as error:
                raise Unavailable("the database did not answer in time") from error
        if self._seen is None:
            raise self._failure or Unavailable("the database is not available")
        return self._seen

    async def _ask(self) -> None:
        try:
            async with waiting(DATABASE_SECONDS):
                self._seen, self._failure = await self._queue.capacity(), None
        except (Unavailable, TimeoutError) as error:
            failure = error if isinstance(error, Unavailable) else Unavailable("the database did not answer in time")
            self._seen, self._failure = None, failure
        self._seen_at = time.monotonic()
        self._admitted = 0

    def _wait(self, seen: Capacity) -> float:
        """How long one more would wait, in seconds."""
        ahead = seen.waiting + self._admitted - seen.free
        if ahead < 0:
            return 0.0
        least = _RATE_OF_A_QUEUE * seen.workers if self._max_wait > _KNOWN_SECONDS else 0.0
        rate = max(seen.rate, least)
        return (ahead + 1) / rate if rate > 0 else math.inf
