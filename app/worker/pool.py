"""The worker: claims waiting dials while it has room, runs each in a task, and carries out what the API asked.

What a dial is, `app.dialing` knows; how it is claimed, `app.store.queue`.
"""

import asyncio
from dataclasses import dataclass

from app.calls.errors import Unavailable
from app.dialing.rescue import Rescue
from app.dialing.run import Arrived, Running, RunningDial
from app.runtime import log, loop
from app.runtime.clock import SteadyClock
from app.store.database import Database
from app.store.queue import ClaimedDial, DialQueue
from app.worker.lease import Lease

_POLL = 1.0  # seconds; beneath NOTIFY, for notifications that were lost
_CLAIM_AT_MOST = 50  # dials a claim; more would hold their rows while the first ones start

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class PoolParts:
    """What the pool is made of; `clock` is settled whenever no call runs."""

    database: Database
    queue: DialQueue
    lease: Lease
    running: Running
    rescue: Rescue
    clock: SteadyClock
    max_calls: int
    max_wait: float  # seconds


class Pool:
    """Runs dials until it is told to drain."""

    def __init__(self, parts: PoolParts) -> None:
        self._parts = parts
        self._dials: dict[str, RunningDial] = {}  # by the sid of the parent
        self._freed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.accepting = True

    @property
    def running(self) -> int:
        """Dials in the hands of this worker."""
        return len(self._dials)

    @property
    def has_room(self) -> bool:
        """Whether this worker may take one more call, and would be believed to hold it."""
        return self.accepting and self._parts.lease.holds and len(self._dials) < self._parts.max_calls

    def run(self, claimed: ClaimedDial, arrived: Arrived | None = None) -> None:
        """Run one call that is this worker's own, in a task."""
        dial = RunningDial(claimed, self._parts.running, arrived)
        if not self._dials:
            self._parts.clock.settle()
        self._dials[dial.sid] = dial
        self._idle.clear()
        if claimed.parent.wanted is not None:
            dial.hang_up(dial.sid)
        loop.spawn(self._run(dial), name=f"dial {dial.sid}")

    async def claim_dials(self) -> None:
        """Until cancelled: wait for a notification, claim what there is room for, start it."""
        async with self._parts.database.listen("dial") as listener:
            while True:
                try:
                    more = await self._claim_once()
                except Unavailable as error:
                    _log.warning("worker.claim_failed", error=str(error))
                    more = False
                except Exception as error:  # the loop's edge: calls that run must not suffer from one that cannot start
                    _log.error("worker.claim_broke", exc_info=error)
                    more = False
                if not more:
                    await listener.wait(_POLL)

    async def obey(self) -> None:
        """Until cancelled: hang up what was asked over the API, running here or waiting for any worker."""
        async with self._parts.database.listen("command") as listener:
            while True:
                await listener.wait(_POLL)
                try:
                    await self._obey_once()
                except Unavailable as error:
                    _log.warning("worker.command_failed", error=str(error))
                except Exception as error:  # the loop's edge, as above
                    _log.error("worker.command_broke", exc_info=error)

    def forfeit(self) -> None:
        """Somebody took this worker for dead: its calls are theirs now. Nobody is left talking, nothing is written."""
        if self._dials:
            _log.warning("worker.forfeits", dials=len(self._dials))
        for dial in self._dials.values():
            dial.forfeit()

    async def drain(self, grace: float) -> None:
        """Take nothing new, let running dials go on for `grace` seconds, then hang them up with their events."""
        self.accepting = False
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("worker.drain_cuts", dials=len(self._dials))
            for dial in list(self._dials.values()):
                dial.lose()
        await self._idle.wait()

    async def _claim_once(self) -> bool:
        """Whether there may be more to claim at once."""
        parts = self._parts
        if not (self.accepting and parts.lease.holds):
            return False
        room = parts.max_calls - len(self._dials)
        if room <= 0:
            self._freed.clear()
            await self._freed.wait()
            return True
        limit = min(room, _CLAIM_AT_MOST)
        claimed = await parts.queue.claim(parts.lease.worker_id, limit=limit, max_wait=parts.max_wait)
        for dial in claimed:
            waited = round(dial.waited * 1000)
            _log.info("dial.claimed", call=dial.parent.sid, legs=len(dial.legs), waited_ms=waited)
            self.run(dial)
        return len(claimed) == limit

    async def _run(self, dial: RunningDial) -> None:
        try:
            await dial.run()
        finally:
            if self._dials.get(dial.sid) is dial:  # else it was lost, handed back and claimed here again meanwhile
                del self._dials[dial.sid]
            self._freed.set()
            if not self._dials:
                self._idle.set()
                self._parts.clock.settle()

    async def _obey_once(self) -> None:
        parts = self._parts
        for sid in await parts.queue.wanted(parts.lease.worker_id):
            for dial in list(self._dials.values()):
                dial.hang_up(sid)
        for replacement in await parts.queue.replacements(parts.lease.worker_id):
            if (replaced := self._dials.get(replacement.sid)) is not None:
                _log.info("document.replaced", call=replacement.sid)
                replaced.replace(replacement.document)
        for claimed in await parts.queue.take_wanted(parts.lease.worker_id):
            await parts.rescue.ended_before_taken(claimed)
