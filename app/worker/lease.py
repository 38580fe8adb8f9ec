"""Keeps this process's heartbeat in the database: while it beats, the calls it claimed are its own."""

from collections.abc import Callable

from app.calls.errors import Unavailable
from app.calls.ports import Clock
from app.runtime import log
from app.store.queue import DialQueue

HEARTBEAT = 2.0  # seconds; the lease is three times as long

_log = log.get(__name__)


class Lease:
    """Registers the worker and renews its lease; `holds` is False while it could not be renewed."""

    def __init__(self, queue: DialQueue, *, capacity: int, sip_host: str, sip_port: int, clock: Clock) -> None:
        self._queue = queue
        self._capacity = capacity
        self._sip = (sip_host, sip_port)
        self._clock = clock
        self.worker_id = 0
        self.holds = False

    async def register(self) -> None:
        """Raises Unavailable when the database is away."""
        host, port = self._sip
        self.worker_id = await self._queue.register(
            role="worker", capacity=self._capacity, sip_host=host, sip_port=port
        )
        self.holds = True
        _log.info("worker.registered", worker=self.worker_id, sip=f"{host}:{port}", capacity=self._capacity)

    async def keep(self, running: Callable[[], int], accepting: Callable[[], bool]) -> None:
        """Beat until cancelled. A worker that cannot renew claims nothing but keeps its calls talking: it cannot
        tell a partition from an outage, and the fencing number refuses its writes if somebody took its calls.
        """
        while True:
            await self._clock.sleep(HEARTBEAT)
            try:
                kept = await self._queue.heartbeat(self.worker_id, running=running(), accepting=accepting())
                if not kept:
                    _log.warning("worker.lease_lost", worker=self.worker_id)
                    await self.register()
                self.holds = True
            except Unavailable as error:
                self.holds = False
                _log.warning("worker.heartbeat_failed", worker=self.worker_id, error=str(error))

    async def give_up(self) -> None:
        """Leave the table when drained, so that nobody waits for this lease to lapse."""
        self.holds = False
        try:
            await self._queue.unregister(self.worker_id)
        except Unavailable as error:
            _log.warning("worker.unregister_failed", worker=self.worker_id, error=str(error))
