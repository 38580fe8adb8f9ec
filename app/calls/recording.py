"""A recording as it is stored and shown, and where its audio is kept. Knows no store and no HTTP."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from app.calls.audio import Taken
from app.calls.call import Call
from app.calls.callback import HttpMethod
from app.calls.sid import AccountSid, CallSid, RecordingSid


class RecordingState(StrEnum):
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    ABSENT = "absent"  # nothing was said, or nothing could be kept


@dataclass(frozen=True, slots=True)
class RecordingNotice:
    """The recording-status callback that a customer asked for."""

    url: str  # absolute, user information included
    method: HttpMethod
    events: frozenset[str]  # of in-progress, completed, absent


@dataclass(frozen=True, slots=True)
class RecordingOrder:
    """A recording that is about to begin: stored before its first sample, so that none is forgotten."""

    sid: RecordingSid
    call: Call  # whose record shows it: the parent for `<Dial record>`, the leg it ran on for `<Record>`
    source: Literal["DialVerb", "RecordVerb"]
    channels: Literal[1, 2]
    started_at: datetime
    notice: RecordingNotice | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One stored recording."""

    sid: RecordingSid
    account_sid: AccountSid
    call_sid: CallSid
    source: str
    channels: int
    state: RecordingState
    started_at: datetime
    duration: float | None = None  # seconds, once it ended
    size: int | None = None  # bytes
    ended_at: datetime | None = None


class Recordings(Protocol):
    """Keeps recordings: the row, the file, the callback."""

    async def begin(self, order: RecordingOrder) -> None:
        """Store that it runs, and owe the `in-progress` callback if that is wanted; raises Unavailable."""

    def finish(self, order: RecordingOrder, taken: Taken) -> None:
        """Hand over what was taken: stored, marked completed (or absent) and told, in the background and for sure,
        also when the database, the store or this process is away for a while."""

    def url_of(self, sid: RecordingSid) -> str:
        """What callbacks say: absolute, below the public URL; it needs authentication, or is signed."""
