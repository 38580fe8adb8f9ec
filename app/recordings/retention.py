"""Deletes recordings whose time is over or that the API deleted, and gives up those that nobody can finish any more."""

import asyncio
from dataclasses import dataclass

from app.calls.errors import Unavailable
from app.calls.recording import RecordingState
from app.calls.sid import RecordingSid
from app.recordings.ending import Endings
from app.recordings.storage import Shelves
from app.runtime import log
from app.store.recordings import Kept, RecordingRows

_EVERY = 60.0  # seconds
_BATCH = 200
# A worker that comes back within this time with its disk, or a store that does, still gets what lies there.
_FORSAKEN_SECONDS = 7 * 86_400.0

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """Several processes may do it: each step is harmless twice."""

    rows: RecordingRows
    shelves: Shelves
    endings: Endings
    days: float  # 0: for ever

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except Unavailable as error:
                _log.warning("recording.retention_failed", error=str(error))
            except Exception as error:  # the loop's edge
                _log.error("recording.retention_broke", exc_info=error)
            await asyncio.sleep(_EVERY)

    async def once(self) -> None:
        """Everything that is due, a batch at a time. Raises Unavailable."""
        await self._give_up()
        while self.days > 0 and (expired := await self.rows.expire(days=self.days, limit=_BATCH)):
            _log.info("recording.expired", recordings=expired)
            if expired < _BATCH:
                break
        after = RecordingSid("")
        while doomed := await self.rows.doomed(after=after, limit=_BATCH):
            for sid, location in doomed:
                await self._delete(sid, location)
            after = doomed[-1][0]  # one that cannot be deleted now is in nobody's way

    async def _give_up(self) -> None:
        for stored in await self.rows.forsaken(seconds=_FORSAKEN_SECONDS, limit=_BATCH):
            absent = Kept(RecordingState.ABSENT)
            await self.endings.end(stored.recording, stored.notice, absent, why="its machine never came back with it")

    async def _delete(self, sid: RecordingSid, location: str) -> None:
        try:
            await self.shelves.delete(location)
        except OSError as error:
            _log.warning("recording.not_deleted", recording=sid, error=str(error))
        else:
            await self.rows.gone(sid)
