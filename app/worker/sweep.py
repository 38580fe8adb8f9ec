"""Once a second: ends dials that waited too long and the calls of workers that died, wherever they were."""

import asyncio
from dataclasses import dataclass
from typing import Protocol, cast

from app.calls.call import Call
from app.calls.errors import Unavailable
from app.calls.ports import DialogFacts
from app.dialing.rescue import Rescue
from app.runtime import log, loop
from app.store.goodbyes import Goodbyes
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """Implements Goodbye: what a peer of somebody who is gone was told. `of` is None when it could not be told."""

    of: "asyncio.Future[None] | None"
    dialog: None = None  # the rescuer of a rescuer begins where this one began

    @property
    def heard(self) -> bool:
        return self.of is None or self.of.done()


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
        goodbyes: Goodbyes | None = None,
        predecessor: str = "",
    ) -> None:
        self._queue = queue
        self._lease = lease
        self._rescue = rescue
        self._max_wait = max_wait
        self._phone = phone
        self._goodbyes = goodbyes  # of the calls that this process ends; without a phone it has none
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
        if self._goodbyes is not None:
            await self._goodbyes.settle()
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
            _log.warning(
                "dial.worker_lost", call=dial.parent.sid, worker=dial.worker_id, unheard=len(dial.unheard) or None
            )
            loop.spawn(self._end(dial, phone, worker), f"end {dial.parent.sid}")
        return found

    async def _end(self, dial: LostDial, phone: StrangerHangUp, worker: int) -> None:
        """On the wire, then in the records: while the peers have not heard, the calls stay this worker's, so that
        whoever finds it dead hangs them up again. Records that have ended are left alone."""
        asked = {}
        for call, said in await asyncio.gather(*(self._hang_up(call, phone) for call in _up(dial))):
            asked[call.sid] = _Asked(said)
            if call.end_time is not None and self._goodbyes is not None:
                self._goodbyes.keep(call.sid, worker, asked[call.sid])
        if waiting := [one.of for one in asked.values() if one.of is not None]:
            await asyncio.wait(waiting, timeout=_HEARD_SECONDS)
        await self._rescue.lost(dial.parent, dial.legs, asked)

    async def _hang_up(self, call: Call, phone: StrangerHangUp) -> "tuple[Call, asyncio.Future[None] | None]":
        try:
            return call, await phone.hang_up_stranger(cast(DialogFacts, call.dialog))
        except Exception as error:  # its facts may be anything: the others must be hung up all the same
            _log.error("sweep.hang_up_failed", call=call.sid, exc_info=error)
            return call, None


def _up(dial: LostDial) -> list[Call]:
    """The calls whose peers have to hear it; a parent with a caller has a dialog of its own."""
    calls = (*dial.legs, dial.parent)
    return [call for call in calls if call.dialog and (call.end_time is None or call.sid in dial.unheard)]
