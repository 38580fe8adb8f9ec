"""When a delivery that failed is tried again, or that it is not. Knows nothing of why it failed."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime

_SPREAD = (0.8, 1.2)  # of each wait, so that what failed together does not come back together


class Backoff:
    def __init__(self, waits: Sequence[float], *, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._waits = tuple(waits)
        self._uniform = uniform

    def after(self, attempt: int, *, at: datetime, expires_at: datetime, retry_after: float | None) -> float | None:
        """Seconds until the next attempt; None: that was the last one.

        `retry_after` can only lengthen the wait. A wait that would pass the expiry ends at it, for one last attempt.
        """
        left = (expires_at - at).total_seconds()
        if attempt > len(self._waits) or left <= 0:
            return None
        wait = self._waits[attempt - 1] * self._uniform(*_SPREAD)
        return min(max(wait, retry_after or 0.0), left)
