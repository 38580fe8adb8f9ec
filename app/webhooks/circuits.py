"""The breakers of all destinations: heard from claims, fed with attempts, written back. Decides no state itself."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import Counter

from app.calls.errors import Unavailable
from app.runtime import log
from app.runtime.loop import spawn
from app.store.outbox import Breaker, Delivery, Outbox
from app.webhooks.breaker import Circuit

_log = log.get(__name__)

_OPENED = Counter("dial_webhook_breaker_opened_total", "Times that a destination's breaker opened.")

_MAX_KNOWN = 4096  # origins are made up by customers
_QUIET = 2.5  # seconds without a claim after which a closed one may be forgotten
_PAUSE = 0.5  # seconds between tries to store a change


@dataclass(slots=True)
class _Known:
    circuit: Circuit = field(default_factory=Circuit)
    heard_at: float = float("-inf")
    said_at: float = float("-inf")  # when this process last said or wrote something of it
    unwritten: Breaker | None = None


class Circuits:
    """Times are the loop's."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._known: dict[int, _Known] = {}

    def heard(self, claimed: Iterable[Delivery], *, asked: float) -> None:
        """What the claim that was `asked` for found: other dispatchers may have said it."""
        now = asyncio.get_running_loop().time()
        self._prune(now)
        for destination, breaker in {each.destination_id: each.breaker for each in claimed}.items():
            known = self._known.setdefault(destination, _Known())
            known.heard_at = now
            if known.unwritten is None and known.said_at < asked:  # else it is older than what we know ourselves
                known.circuit.adopt(breaker, now)

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
        known.said_at = now
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
                known.said_at = asyncio.get_running_loop().time()
                if known.unwritten is change:
                    known.unwritten = None
        finally:
            known.unwritten = None  # whatever ended this: the next change is written by a new task

    def _prune(self, now: float) -> None:
        if len(self._known) <= _MAX_KNOWN:
            return
        for destination, known in list(self._known.items()):
            closed = known.circuit.stored.state == "closed" and known.unwritten is None
            if closed and known.heard_at < now - _QUIET:
                del self._known[destination]
