"""The 2xx of an INVITE, sent again until its ACK comes (RFC 3261 §13.3.1.4). Knows not what was agreed."""

import asyncio
from collections.abc import Callable

from app.sip.exchange import ServerExchange
from app.sip.transaction import Timing


class AwaitedAck:
    """Made when the 2xx has left. `on_none` is called once, 64·T1 later, unless `settle` was called before."""

    def __init__(self, exchange: ServerExchange, timing: Timing, on_none: Callable[[], None]) -> None:
        self.exchange = exchange
        self._timing = timing
        self._on_none: Callable[[], None] | None = on_none
        self._repeat: asyncio.TimerHandle | None = None
        self._repeat_after(timing.t1, timing.lifetime)

    def settle(self) -> None:
        """It is there, or nobody waits for it any more."""
        self._on_none = None
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None

    def _repeat_after(self, seconds: float, left: float) -> None:
        loop = asyncio.get_running_loop()
        self._repeat = loop.call_later(min(seconds, left), self._repeat_2xx, seconds, left - seconds)

    def _repeat_2xx(self, seconds: float, left: float) -> None:
        on_none = self._on_none
        if on_none is None:
            return
        if left <= 0:
            self.settle()
            on_none()
            return
        self.exchange.repeat()
        self._repeat_after(min(2 * seconds, self._timing.t2), left)
