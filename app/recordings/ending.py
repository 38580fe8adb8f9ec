"""Writes the end of a recording together with what is owed for it. Knows no file."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from prometheus_client import Counter

from app.calls.recording import Recording, RecordingNotice
from app.recordings.links import Links
from app.recordings.notice import notice_owed
from app.runtime import log
from app.store.calls import CallReads
from app.store.recordings import Kept, RecordingRows

_ENDED = Counter("dial_recordings_total", "Recordings that ended, by what became of them.", ["state"])
_SECONDS = Counter("dial_recordings_seconds_total", "Seconds of audio that were kept.")

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Endings:
    """Each recording ends once, whoever comes to it first."""

    rows: RecordingRows
    calls: CallReads
    links: Links
    now: Callable[[], datetime]

    async def end(self, recording: Recording, notice: RecordingNotice | None, kept: Kept, *, why: str = "") -> bool:
        """False: it had ended already. Raises Unavailable."""
        call = None if notice is None else await self.calls.get(recording.account_sid, recording.call_sid)
        ended = replace(recording, state=kept.state, duration=kept.duration, size=kept.size)
        owed = notice_owed(notice, ended, call, self.links.url_of(recording.sid), at=self.now())
        if not await self.rows.finish(recording, kept, owed):
            return False
        _ENDED.labels(kept.state).inc()
        _SECONDS.inc(kept.duration)
        _log.info(
            "recording.kept" if kept.location else "recording.absent",
            recording=recording.sid,
            call=recording.call_sid,
            state=kept.state,
            seconds=round(kept.duration, 1),
            size=kept.size,
            why=why or None,
        )
        return True
