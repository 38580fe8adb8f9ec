"""How a leg ended, and the only place that knows what a SIP status code means for a call."""

from dataclasses import dataclass, replace
from enum import StrEnum

from app.calls.status import Status


class Reason(StrEnum):
    CALLEE_HANGUP = "callee-hangup"
    CALLER_HANGUP = "caller-hangup"
    API = "api"
    TIME_LIMIT = "time-limit"
    STAR = "star"
    BUSY = "busy"
    DECLINED = "declined"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    AUTHENTICATION = "authentication"
    REJECTED = "rejected"
    MEDIA = "media"
    ADDRESS_DENIED = "address-denied"
    NO_CAPACITY = "no-capacity"
    LOST_RACE = "lost-race"
    SCREENING_DECLINED = "screening-declined"
    SCREENING_TIMEOUT = "screening-timeout"
    SCREENING_ERROR = "screening-error"
    DOCUMENT_ERROR = "document-error"
    DOCUMENT_END = "document-end"
    MEDIA_TIMEOUT = "media-timeout"
    WORKER_LOST = "worker-lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One value for every way a leg can end; `detail` is for people (log, record), never parsed."""

    status: Status
    reason: Reason
    sip_code: int | None = None  # the final response, when one came
    sip_reason: str | None = None  # its reason phrase, as received
    detail: str | None = None


NO_ANSWER = Outcome(Status.NO_ANSWER, Reason.TIMEOUT)
UNREACHABLE = Outcome(Status.FAILED, Reason.UNREACHABLE)
ADDRESS_DENIED = Outcome(Status.FAILED, Reason.ADDRESS_DENIED)
NO_CAPACITY = Outcome(Status.FAILED, Reason.NO_CAPACITY)
UNUSABLE_SDP = Outcome(Status.FAILED, Reason.MEDIA)
CANCELED_BY_API = Outcome(Status.CANCELED, Reason.API)
LOST_RACE = Outcome(Status.CANCELED, Reason.LOST_RACE)
DOCUMENT_ERROR = Outcome(Status.FAILED, Reason.DOCUMENT_ERROR)
DOCUMENT_END = Outcome(Status.COMPLETED, Reason.DOCUMENT_END)

_BY_CODE = {
    486: (Status.BUSY, Reason.BUSY),
    600: (Status.BUSY, Reason.BUSY),
    603: (Status.BUSY, Reason.DECLINED),
    408: (Status.NO_ANSWER, Reason.UNAVAILABLE),
    480: (Status.NO_ANSWER, Reason.UNAVAILABLE),
    401: (Status.FAILED, Reason.AUTHENTICATION),
    407: (Status.FAILED, Reason.AUTHENTICATION),
}


def of_response(code: int, phrase: str = "") -> Outcome:
    """The outcome of an INVITE's final response 300–699 (contract, section 2); unlisted codes are `rejected`."""
    status, reason = _BY_CODE.get(code, (Status.FAILED, Reason.REJECTED))
    return Outcome(status, reason, code, phrase or None)


def hung_up(reason: Reason) -> Outcome:
    """An answered leg that ended with a BYE from either side."""
    return Outcome(Status.COMPLETED, reason)


def worker_lost(*, answered: bool) -> Outcome:
    return Outcome(Status.COMPLETED if answered else Status.FAILED, Reason.WORKER_LOST)


def because(outcome: Outcome, detail: str) -> Outcome:
    """The same outcome with a sentence for people."""
    return replace(outcome, detail=detail)
