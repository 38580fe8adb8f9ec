"""The status of a call as a table: what may follow what. The database is given the same table by `store`."""

from enum import StrEnum


class Status(StrEnum):
    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"


_UNANSWERED_ENDS = frozenset({Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED})

# A status that is absent is final. QUEUED goes straight to IN_PROGRESS for a parent without a caller,
# and IN_PROGRESS to CANCELED or FAILED for a parent that never connected anybody.
NEXT: dict[Status, frozenset[Status]] = {
    Status.QUEUED: _UNANSWERED_ENDS | {Status.INITIATED, Status.IN_PROGRESS},
    Status.INITIATED: _UNANSWERED_ENDS | {Status.RINGING, Status.IN_PROGRESS},
    Status.RINGING: _UNANSWERED_ENDS | {Status.IN_PROGRESS},
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED}),
}

FINAL = frozenset(set(Status) - NEXT.keys())


def may_become(now: Status, then: Status) -> bool:
    """Whether a call in status `now` may be given status `then`; a final status never changes."""
    return then in NEXT.get(now, frozenset())
