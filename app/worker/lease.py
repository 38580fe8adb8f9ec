"""Keeps this process's heartbeat in the database: while it beats, the calls it claimed are its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.calls.errors import Unavailable
from app.calls.ports import Clock
from app.runtime import log
from app.store.queue import DialQueue

HEARTBEAT = 2.0  # seconds; the lease is three times as long
_SURE = 5.0  # seconds after a heartbeat was asked for, in which nobody can think this process dead

# Called with the database's time and the monotonic time that it was that of.
Heard = Callable[[datetime, float], None]

_log = log.get(__name__)


def _unheard(wall: datetime, at: float) -> None:
    """For whoever needs no time of the database's."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who asks for the lease, as the others see it."""

    role: str
    capacity: int  # calls at once
    sip_host: str = ""
    sip_port: int = 0


class Lease:
    """Registers the process and renews its lease; `holds` is False while it could not be renewed."""

    def __init__(self, queue: DialQueue, holder: Holder, clock: Clock, heard: Heard = _unheard) -> None:
        self._queue = queue
        self._heard = heard
        self._holder = holder
        self._clock = clock
        self._sure_until = -math.inf  # monotonic
        self.worker_id = 0

    @property
    def holds(self) -> bool:
        """By this process's own clock, so that it is False at once after the process stood still (SIGSTOP)."""
        return self._clock.monotonic() < self._sure_until

    async def register(self, *, accepting: bool = False) -> None:
        """Raises Unavailable when the database is away.

        Who is `accepting` from the first beat on is known to be before it says that it is ready: else the dials of the
        next moment are refused, for there is no worker.
        """
        holder = self._holder
        self.worker_id = await self._queue.register(
            role=holder.role, capacity=holder.capacity, sip_host=holder.sip_host, sip_port=holder.sip_port
        )
        await self._renew(
            running=0, accepting=accepting
        )  # for the time: nobody claims before all processes agree on it
        sip = f"{holder.sip_host}:{holder.sip_port}" if holder.sip_port else None
        _log.info("worker.registered", worker=self.worker_id, sip=sip, capacity=holder.capacity)

    async def keep(self, running: Callable[[], int], accepting: Callable[[], bool], lost: Callable[[], None]) -> None:
        """Beat until cancelled; `lost` is called when somebody took this process for dead.

        A worker that cannot renew claims nothing but keeps its calls talking: it cannot tell a partition from an
        outage, and the fencing number refuses its writes if somebody took its calls.
        """
        while True:
            try:
                await self._beat(running(), accepting(), lost)
            except Unavailable as error:
                _log.warning("worker.heartbeat_failed", worker=self.worker_id, error=str(error))
            await self._clock.sleep(HEARTBEAT)

    async def give_up(self) -> None:
        """Leave the table when drained, so that nobody waits for this lease to lapse."""
        self._sure_until = -math.inf
        try:
            await self._queue.unregister(self.worker_id)
        except Unavailable as error:
            _log.warning("worker.unregister_failed", worker=self.worker_id, error=str(error))

    async def _beat(self, running: int, accepting: bool, lost: Callable[[], None]) -> None:
        if await self._renew(running=running, accepting=accepting):
            return
        _log.warning("worker.lease_lost", worker=self.worker_id)
        self._sure_until = -math.inf
        lost()
        await self.register()

    async def _renew(self, *, running: int, accepting: bool) -> bool:
        asked = self._clock.monotonic()
        now = await self._queue.heartbeat(self.worker_id, running=running, accepting=accepting)
        if now is None:
            return False
        self._sure_until = asked + _SURE
        self._heard(now, (asked + self._clock.monotonic()) / 2)
        return True
