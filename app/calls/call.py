"""A call as it is stored and shown: one frozen value per record, and the row that creates it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.calls.callback import Callback
from app.calls.sid import AccountSid, CallSid, RecordingSid
from app.calls.status import Status


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND_API = "outbound-api"
    OUTBOUND_DIAL = "outbound-dial"


@dataclass(frozen=True, slots=True)
class NewCall:
    """What placing stores of one call; legs name their parent and follow it in the same transaction."""

    sid: CallSid
    account_sid: AccountSid
    direction: Direction
    from_uri: str  # bare SIP URI
    to_uri: str  # bare SIP URI
    parent_sid: CallSid | None = None
    leg_index: int | None = None  # position of the <Sip> among all of the document, from 0
    callback: Callback | None = None
    rcml: str | None = None  # the parent's document as RCML, passwords masked
    document: bytes | None = None  # the parent's whole plan as JSON, passwords inside: the store seals it
    idempotency_key: str | None = None
    metadata: Mapping[str, str] | None = None
    caller_name: str | None = None  # display name of an inbound call's From
    forwarded_from: str | None = None  # bare SIP URI of an inbound call's Diversion
    has_caller: bool = (
        False  # a parent whose first party was called or called us: what documents may hold depends on it
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One stored call. Times are aware UTC datetimes; None means it did not happen (yet)."""

    sid: CallSid
    account_sid: AccountSid
    parent_sid: CallSid | None
    leg_index: int | None
    direction: Direction
    from_uri: str
    to_uri: str
    status: Status
    created_at: datetime
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
    dial_call_duration: int | None = None  # seconds
    rcml: str | None = None
    idempotency_key: str | None = None
    metadata: Mapping[str, str] | None = None
    callback: Callback | None = None  # user information included
    callback_seq: int = 0  # the SequenceNumber of the next delivery
    last_seq: int = 0  # the newest change that was written
    epoch: int = 0  # fencing number, +1 with each claim
    worker_id: int | None = None
    dialog: Mapping[str, Any] | None = None  # see app.calls.ports.DialogFacts
    wanted: str | None = None  # "completed" or "canceled", as asked over the API
    screening: str | None = None  # running, accepted, declined, timeout or error; None too when its leg ended first
    caller_name: str | None = None
    forwarded_from: str | None = None
    recording_sid: RecordingSid | None = None  # the newest, and how long it is
    recording_duration: int | None = None  # seconds
    has_caller: bool = False  # of a parent: there is an ear for <Say>, else the service stands in for the caller

    @property
    def duration(self) -> int:
        """Whole seconds from answer to end, rounded; 0 when never answered or still running."""
        return _seconds(self.answer_time, self.end_time)

    @property
    def is_connected(self) -> bool:
        """Of a leg that has not ended: whether it was answered and, where it was to be screened, accepted."""
        return self.answer_time is not None and self.screening in (None, "accepted")

    @property
    def ring_duration(self) -> int:
        """Whole seconds from the first 18x to the answer or the end; 0 when it never rang."""
        return _seconds(self.ring_time, self.answer_time or self.end_time)


def _seconds(start: datetime | None, end: datetime | None) -> int:
    if start is None or end is None:
        return 0
    return max(0, round((end - start).total_seconds()))
