"""One recording of a call, from its first sample to its hand-over. Knows neither file nor store."""

import asyncio
from dataclasses import dataclass
from typing import Literal

from app.calls.audio import Audio, Recorder, Take, TakeEnd, Taken, TakeOrder
from app.calls.call import Call
from app.calls.errors import Unavailable
from app.calls.ports import Clock
from app.calls.recording import RecordingNotice, RecordingOrder, Recordings
from app.calls.sid import RecordingSid, new_recording_sid
from app.rcml.plan import RecordingCallback
from app.runtime import log, loop

_RETRY_SECONDS = 1.0  # while the database is away

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Studio:
    """What recording needs of the worker."""

    recorder: Recorder
    recordings: Recordings
    clock: Clock


class Recorded:
    """It is recorded from the moment at which this is made; that it runs is stored at the same time."""

    def __init__(self, studio: Studio, order: RecordingOrder, take: Take) -> None:
        self._studio = studio
        self._order = order
        self._take = take
        self._began = studio.clock.monotonic()
        self._storing = loop.spawn(self._store(), f"begin {order.sid}")

    @property
    def sid(self) -> RecordingSid:
        return self._order.sid

    @property
    def done(self) -> "asyncio.Future[Taken]":
        return self._take.done

    @property
    def seconds(self) -> int:
        """How long it is so far, rounded."""
        return round(self._studio.clock.monotonic() - self._began)

    @property
    def is_absent(self) -> bool:
        """Whether it is known already that there is nothing of it, so that nobody is told of it."""
        return self.done.done() and not self.done.result().seconds

    def stop(self) -> None:
        """No more samples; safe to call twice."""
        self._take.stop()

    async def finish(self) -> Taken:
        """Stop it and hand it over."""
        self.stop()
        taken = await asyncio.shield(self._take.done)
        await asyncio.shield(self._storing)
        self._studio.recordings.finish(self._order, taken)
        return taken

    async def _store(self) -> None:
        while True:
            try:
                return await self._studio.recordings.begin(self._order)
            except Unavailable as error:
                _log.warning("recording.waits_for_database", recording=self.sid, error=str(error))
                await self._studio.clock.sleep(_RETRY_SECONDS)


def record(
    studio: Studio,
    call: Call,
    *,
    caller: Audio | None,
    callee: Audio | None,
    source: Literal["DialVerb", "RecordVerb"],
    channels: Literal[1, 2] = 1,
    callback: RecordingCallback | None = None,
    max_seconds: float = 86_400,
    silence: float | None = None,
) -> Recorded:
    """Begin to record. When no file can be made the call goes on, and its recording is absent."""
    notice = None
    if callback is not None:
        notice = RecordingNotice(callback.link.url, callback.link.method, callback.events)
    order = RecordingOrder(new_recording_sid(), call, source, channels, studio.clock.now(), notice)
    wanted = TakeOrder(order.sid, channels, max_seconds, silence)
    try:
        take = studio.recorder.begin(wanted, caller=caller, callee=callee)
    except OSError as error:
        _log.error("recording.impossible", call=call.sid, error=str(error))
        take = _NoTake(channels)
    return Recorded(studio, order, take)


class _Nowhere:
    """No file."""

    def __fspath__(self) -> str:
        return "/dev/null/none"


class _NoTake:
    """What there is when no file can be made: stored as absent, and told so."""

    def __init__(self, channels: int) -> None:
        self.done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self.done.set_result(Taken(_Nowhere(), 0.0, channels, 0, TakeEnd.FAILED))

    def stop(self) -> None: ...
