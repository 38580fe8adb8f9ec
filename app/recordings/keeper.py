"""Hands finished recordings over: to the store, to their rows, to whoever asked to be told. Records nothing.

A file leaves this machine's spool only when its row says where its audio is. What a process leaves there when it dies
is found by the next one that looks, and what was recorded until a second before is kept.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Counter, Gauge

from app.calls.audio import TakeEnd, Taken
from app.calls.errors import Unavailable
from app.calls.ports import Clock
from app.calls.recording import Recording, RecordingOrder, RecordingState
from app.calls.sid import RecordingSid
from app.recordings.ending import Endings
from app.recordings.links import Links
from app.recordings.notice import notice_owed
from app.recordings.spool import InOtherHands, Spool, held
from app.recordings.storage import Shelves
from app.recordings.wave import NotAWave, Wave, repair
from app.runtime import log, loop
from app.store.calls import CallReads
from app.store.recordings import Kept, RecordingRows, StoredRecording

_EVERY = 5.0  # seconds between two looks into the spool
_BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0)  # the last one repeats
_AT_ONCE = 4  # hand-overs; the others wait, so that an outage of the store ends without a storm

_WAITING = Gauge("dial_recordings_waiting", "Finished recordings not yet handed over.", multiprocess_mode="livesum")
_RETRIES = Counter("dial_recordings_retries_total", "Hand-overs tried again because store or database were away.")

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class KeeperParts:
    rows: RecordingRows
    calls: CallReads
    shelves: Shelves
    links: Links
    spool: Spool
    clock: Clock


@dataclass(slots=True)
class _Tries:
    count: int = field(default=0)

    def next_wait(self) -> float:
        wait = _BACKOFF[min(self.count, len(_BACKOFF) - 1)]
        self.count += 1
        return wait


class Keeper:
    """Implements `app.calls.recording.Recordings`; keep `run` running."""

    def __init__(self, parts: KeeperParts) -> None:
        self._parts = parts
        self._endings = Endings(parts.rows, parts.calls, parts.links, parts.clock.now)
        self._busy: dict[RecordingSid, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._told: set[RecordingSid] = set()  # what is odd about a file is logged once

    async def begin(self, order: RecordingOrder) -> None:
        started = Recording(
            order.sid,
            order.call.account_sid,
            order.call.sid,
            order.source,
            order.channels,
            RecordingState.IN_PROGRESS,
            order.started_at,
        )
        url = self._parts.links.url_of(order.sid)
        owed = notice_owed(order.notice, started, order.call, url, at=order.started_at)
        await self._parts.rows.begin(order, owed)

    def finish(self, order: RecordingOrder, taken: Taken) -> None:
        if taken.end is TakeEnd.FAILED:
            _log.error("recording.cut_short", recording=order.sid, call=order.call.sid, seconds=round(taken.seconds, 1))
        self._start(order.sid, Path(taken.path))

    def url_of(self, sid: RecordingSid) -> str:
        return self._parts.links.url_of(sid)

    async def run(self) -> None:
        """Until cancelled: look for what was left behind."""
        while True:
            try:
                await self.look()
            except (Unavailable, OSError) as error:
                _log.warning("recording.look_failed", error=str(error))
            except Exception as error:  # the loop's edge: one odd file must not keep the others from being kept
                _log.error("recording.look_broke", exc_info=error)
            await asyncio.sleep(_EVERY)

    async def look(self) -> None:
        """Once: hand over what nobody else will, and let go of what has been. Raises Unavailable and OSError."""
        files = await asyncio.to_thread(self._parts.spool.quiet)
        left = {sid: path for sid, path in files.items() if sid not in self._busy}
        if not left:
            return
        standing = await self._parts.rows.standing(list(left))
        for sid, path in left.items():
            stored = standing.get(sid)
            if stored is None:
                self._tell_unknown(sid)
            elif stored.orphaned:
                self._tell(sid, "recording.left_behind", call=stored.recording.call_sid)
                self._start(sid, self._parts.spool.settled(path))
            elif stored.recording.state is not RecordingState.IN_PROGRESS:
                path.unlink(missing_ok=True)

    async def stop(self, grace: float) -> None:
        """Wait for hand-overs that run; what is not done in `grace` seconds, the next process finds."""
        if self._busy:
            _, late = await asyncio.wait(list(self._busy.values()), timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, sid: RecordingSid, path: Path) -> None:
        if sid not in self._busy:
            self._busy[sid] = loop.spawn(self._hand_over(sid, path), f"keep {sid}")
            _WAITING.inc()

    async def _hand_over(self, sid: RecordingSid, path: Path) -> None:
        tries = _Tries()
        try:
            while True:
                try:
                    async with self._turn:
                        return await self._once(sid, path)
                except InOtherHands:
                    return None
                except (Unavailable, OSError) as error:
                    _RETRIES.inc()
                    wait = tries.next_wait()
                    _log.warning("recording.waits", recording=sid, again_in=wait, error=str(error))
                    await self._parts.clock.sleep(wait)
        finally:
            del self._busy[sid]
            _WAITING.dec()

    async def _once(self, sid: RecordingSid, path: Path) -> None:
        stored = (await self._parts.rows.standing([sid])).get(sid)
        if stored is None:
            self._tell_unknown(sid)
            return
        try:
            with held(path):
                await self._keep(stored, path)
        except FileNotFoundError:  # no file could be made, or another process was faster
            await self._endings.end(
                stored.recording, stored.notice, Kept(RecordingState.ABSENT), why="there is no file"
            )

    async def _keep(self, stored: StoredRecording, path: Path) -> None:
        recording, notice = stored.recording, stored.notice
        if recording.state is RecordingState.IN_PROGRESS:
            wave = await asyncio.to_thread(_repaired, path)
            if wave is None:
                await self._endings.end(recording, notice, Kept(RecordingState.ABSENT), why="nothing was recorded")
            else:
                location = await self._parts.shelves.keep(path, recording)
                kept = Kept(RecordingState.COMPLETED, wave.seconds, wave.size, location)
                if not await self._endings.end(recording, notice, kept):
                    await self._unwanted(recording.sid, location)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _unwanted(self, sid: RecordingSid, location: str) -> None:
        """The row had ended already: with this very audio, or it was deleted or given up, and must not come back."""
        stored = (await self._parts.rows.standing([sid])).get(sid)
        if stored is None or stored.deleted or stored.location != location:
            await self._parts.shelves.delete(location)

    def _tell_unknown(self, sid: RecordingSid) -> None:
        self._tell(sid, "recording.unknown", remedy="its file stays in the spool; delete it by hand")

    def _tell(self, sid: RecordingSid, event: str, **about: str) -> None:
        if sid not in self._told:
            self._told.add(sid)
            _log.warning(event, recording=sid, **about)


def _repaired(path: Path) -> Wave | None:
    """None when it holds no sound."""
    with suppress(NotAWave):
        wave = repair(path)
        return wave if wave.seconds > 0 else None
    return None
