"""One change of one call: its new status, the facts that came with it, its event and the delivery it owes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.calls.callback import HttpMethod
from app.calls.event import Event
from app.calls.ports import Goodbye
from app.calls.sid import CallSid, MessageId, RecordingSid
from app.calls.status import Status

UNNUMBERED = -1  # the sequence of a delivery that tells of something else than the call's own events


@dataclass(frozen=True, slots=True)
class Owed:
    """One delivery owed to a callback. `url` may carry user information: the store masks and seals it."""

    message_id: MessageId
    method: HttpMethod
    url: str  # for GET with the parameters in its query
    body: str | None  # form-encoded, for POST
    sequence: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Columns that a change fills; None leaves the column as it is."""

    start_time: datetime | None = None
    ring_time: datetime | None = None
    answer_time: datetime | None = None
    end_time: datetime | None = None
    sip_call_id: str | None = None
    sip_response_code: int | None = None
    sip_response_reason: str | None = None
    reason: str | None = None
    dial_call_status: str | None = None
    dial_call_sid: CallSid | None = None
    dial_call_duration: int | None = None
    dialog: Mapping[str, Any] | None = None
    screening: str | None = None
    recording_sid: RecordingSid | None = None
    recording_duration: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Written whole or not at all, and only if `epoch` still holds and `seq` is newer than what is stored."""

    sid: CallSid
    epoch: int
    seq: int
    at: datetime
    status: Status | None = None  # None: facts only
    facts: Facts = field(default_factory=Facts)
    event: Event | None = None  # kept in the call's event list whether or not anybody subscribed
    detail: Mapping[str, Any] | None = None  # JSON shown with the event
    owed: Owed | None = None
    goodbye: Goodbye | None = None  # of the last change: the peer may still be up when the record has ended
    worker_id: int | None = None  # who says it
