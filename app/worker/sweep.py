"""Once a second: ends dials that waited too long and the calls of workers that died, wherever they were."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol, cast

from app.calls.errors import Fenced, Unavailable
from app.calls.ports import DialogFacts
from app.dialing.rescue import Rescue
from app.runtime import log, loop
from app.store.queue import DialQueue, LostDial
from app.worker.lease import Lease

_EVERY = 1.0  # seconds

_log = log.get(__name__)


class StrangerHangUp(Protocol):
    """The phone's way to end a dialog that another process began."""

    async def hang_up_stranger(self, facts: DialogFacts) -> None: ...


class Sweep:
    """Every worker sweeps; the statements let one at a time have a row."""

    def __init__(self, queue: DialQueue, lease: Lease, rescue: Rescue, phone: StrangerHangUp, *, max_wait: float):
        self._queue = queue
        self._lease = lease
        self._rescue = rescue
        self._phone = phone
        self._max_wait = max_wait

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if self._lease.holds:
                    await self._once()
            except Unavailable as error:
                _log.warning("sweep.failed", error=str(error))
            await asyncio.sleep(_EVERY)

    async def _once(self) -> None:
        worker = self._lease.worker_id
        for dial in await self._queue.expired(worker, max_wait=self._max_wait):
            _log.warning("dial.not_taken", call=dial.parent.sid, waited_s=round(dial.waited, 1))
            await self._ended(self._rescue.not_taken(dial))
        for lost in await self._queue.lost(worker):
            self._hang_up(lost)
            await self._ended(self._rescue.lost(lost.parent, lost.legs))

    def _hang_up(self, lost: LostDial) -> None:
        _log.warning("dial.worker_lost", call=lost.parent.sid, worker=lost.worker_id)
        for leg in lost.legs:
            if leg.dialog and leg.end_time is None:
                loop.spawn(self._phone.hang_up_stranger(cast(DialogFacts, leg.dialog)), f"hang up {leg.sid}")

    async def _ended(self, ending: Awaitable[None]) -> None:
        try:
            await ending
        except Fenced:
            _log.info("sweep.fenced")  # another sweeper was faster
