"""The breakers of all destinations: read from the store, fed with attempts, written back. Decides no state itself."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import Counter

from app.calls.errors import Unavailable
from app.runtime import log
from app.runtime.loop import spawn
from app.store.outbox import Breaker, Outbox
from app.webhooks.breaker import FIRST_COOL_DOWN, Circuit

_log = log.get(__name__)

_OPENED = Counter("dial_webhook_breaker_opened_total", "Times that a destination's breaker opened.")

# Shorter than the shortest cool-down: a probe after somebody else's opening is then always seen as one.
_FRESH = FIRST_COOL_DOWN / 2
_MAX_KNOWN = 4096  # origins are made up by customers
_PAUSE = 0.5  # seconds between tries to store a change


@dataclass(slots=True)
class _Known:
    circuit: Circuit = field(default_factory=Circuit)
    read_at: float = float("-inf")
    unwritten: Breaker | None = None


class Circuits:
    """Times are the loop's."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known: dict[int, _Known] = {}

    async def refresh(self, destinations: Iterable[int]) -> None:
        """Hear what other dispatchers have said of `destinations` lately. Raises Unavailable."""
        now = asyncio.get_running_loop().time()
        self._prune(now)
        stale = [each for each in set(destinations) if self._known.setdefault(each, _Known()).read_at < now - _FRESH]
        if not stale:
            return
        stored = await self._outbox.destinations(stale)
        now = asyncio.get_running_loop().time()
        for each in stale:
            known = self._known[each]
            known.read_at = now
            if known.unwritten is None and each in stored:
                known.circuit.adopt(stored[each].breaker, now)

    def may_send(self, destination: int) -> bool:
        known = self._known.get(destination)
        return known is None or known.circuit.may_send(asyncio.get_running_loop().time())

    def result(self, destination: int, well: bool | None, *, origin: str, started: float) -> None:
        """`well` None: nothing was sent; that ends a probe without success and says nothing otherwise."""
        known = self._known.setdefault(destination, _Known())
        if well is None and known.circuit.stored.state == "closed":
            return
        now = asyncio.get_running_loop().time()
        change = known.circuit.result(well is True, started=started, now=now)
        if change is None:
            return
        _log.warning("webhook.breaker", destination=origin, state=change.state, cool_down=change.cool_down)
        if change.state == "open":
            _OPENED.inc()
        writing, known.unwritten = known.unwritten is not None, change
        if not writing:
            spawn(self._write(destination, known), f"breaker {destination}")

    async def _write(self, destination: int, known: _Known) -> None:
        """The newest state, as soon as the database takes it."""
        try:
            while (change := known.unwritten) is not None:
                try:
                    await self._outbox.breaker(destination, change)
                except Unavailable:
                    await asyncio.sleep(_PAUSE)
                    continue
                if known.unwritten is change:
                    known.unwritten = None
        finally:
            known.unwritten = None  # whatever ended this: the next change is written by a new task

    def _prune(self, now: float) -> None:
        if len(self._known) <= _MAX_KNOWN:
            return
        for destination, known in list(self._known.items()):
            closed = known.circuit.stored.state == "closed" and known.unwritten is None
            if closed and known.read_at < now - _FRESH:
                del self._known[destination]
