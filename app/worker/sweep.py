"""Once a second: ends dials that waited too long and the calls of workers that died, wherever they were."""

import asyncio
from typing import Protocol, cast

from app.calls.errors import Unavailable
from app.calls.ports import DialogFacts
from app.dialing.rescue import Rescue
from app.runtime import log, loop
from app.store.queue import DialQueue, LostDial
from app.worker.lease import Lease

_EVERY = 1.0  # seconds
_AT_ONCE = 100
_HEARD_SECONDS = 4.0  # for a peer's answer to our CANCEL or BYE; T2, at which it repeats what we have not heard

_log = log.get(__name__)


class StrangerHangUp(Protocol):
    """The phone's way to end a dialog that another process began."""

    async def hang_up_stranger(self, facts: DialogFacts) -> "asyncio.Future[None] | None":
        """The request has left; the future is done when the peer has heard it, or never will."""


class Sweep:
    """Every worker sweeps, and so does a process without a phone, which leaves the calls of dead workers alone.

    The statements let one at a time have a row.
    """

    def __init__(
        self,
        queue: DialQueue,
        lease: Lease,
        rescue: Rescue,
        *,
        max_wait: float,
        phone: StrangerHangUp | None = None,
        predecessor: str = "",
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._rescue = rescue
        self._max_wait = max_wait
        self._phone = phone
        self._predecessor = predecessor  # the name of the worker whose place this one took

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            more = False
            try:
                if self._lease.holds:
                    more = await self._once()
            except Unavailable as error:
                _log.warning("sweep.failed", error=str(error))
            except Exception as error:  # the loop's edge: one bad row must not keep the others from being ended
                _log.error("sweep.broke", exc_info=error)
            if not more:
                await asyncio.sleep(_EVERY)

    async def _once(self) -> bool:
        """Whether there may be more at once."""
        worker = self._lease.worker_id
        expired = await self._queue.expired(worker, max_wait=self._max_wait, limit=_AT_ONCE)
        for dial in expired:
            _log.warning("dial.not_taken", call=dial.parent.sid, waited_s=round(dial.waited, 1))
        # What is claimed is ended before anything else is asked: the next look may fail, and these are ours by now.
        await asyncio.gather(*(self._rescue.not_taken(dial) for dial in expired))
        lost = await self._lost(worker, self._phone) if self._phone is not None else []
        if self._phone is None:  # a worker's pool does it as soon as it is asked
            wanted = await self._queue.take_wanted(worker)
            await asyncio.gather(*(self._rescue.ended_before_taken(dial) for dial in wanted))
        return len(expired) == _AT_ONCE or len(lost) == _AT_ONCE

    async def _lost(self, worker: int, phone: StrangerHangUp) -> list[LostDial]:
        found = await self._queue.lost(worker, limit=_AT_ONCE, predecessor=self._predecessor)
        for dial in found:
            _log.warning("dial.worker_lost", call=dial.parent.sid, worker=dial.worker_id)
            loop.spawn(self._end(dial, phone), f"end {dial.parent.sid}")
        return found

    async def _end(self, dial: LostDial, phone: StrangerHangUp) -> None:
        """On the wire, then in the records: while the peers have not heard, the calls stay this worker's, so that
        whoever finds it dead hangs them up again."""
        calls = (*dial.legs, dial.parent)  # a parent with a caller has a dialog of its own
        dialogs = [cast(DialogFacts, call.dialog) for call in calls if call.dialog and call.end_time is None]
        asked = await asyncio.gather(*(phone.hang_up_stranger(facts) for facts in dialogs), return_exceptions=True)
        for error in asked:
            if isinstance(error, BaseException):
                _log.error("sweep.hang_up_failed", call=dial.parent.sid, exc_info=error)
        if heard := [one for one in asked if isinstance(one, asyncio.Future)]:
            await asyncio.wait(heard, timeout=_HEARD_SECONDS)
        await self._rescue.lost(dial.parent, dial.legs)
