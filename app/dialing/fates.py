"""What the end of a document means for the call it ran on: its outcome, and the answer to a caller never answered."""

from dataclasses import replace
from typing import NamedTuple

from app.calls.outcome import DOCUMENT_END, DOCUMENT_ERROR, Outcome, Reason, because
from app.calls.status import Status
from app.dialing.interpret import Ending, Fate
from app.dialing.perform import DialResult


class Refusal(NamedTuple):
    """The end of an inbound call that nobody answered: its record's, and the final response to its INVITE."""

    outcome: Outcome
    code: int
    phrase: str

    @property
    def recorded(self) -> Outcome:
        """The outcome with the response, as the record of any other call has it."""
        return replace(self.outcome, sip_code=self.code, sip_reason=self.phrase)


def outcome_of_document(fate: Fate) -> Outcome:
    """Of a call whose document ended by itself."""
    if fate.ending is Ending.BROKEN:
        return because(DOCUMENT_ERROR, fate.detail or "")
    return DOCUMENT_END


# What became of a Dial, told to a caller that was never answered. What the table does not name is 480.
_OF_DIAL = {
    Status.BUSY: Refusal(Outcome(Status.BUSY, Reason.DOCUMENT_END), 486, "Busy Here"),
    Status.NO_ANSWER: Refusal(Outcome(Status.NO_ANSWER, Reason.DOCUMENT_END), 480, "Temporarily Unavailable"),
    Status.FAILED: Refusal(Outcome(Status.FAILED, Reason.DOCUMENT_END), 480, "Temporarily Unavailable"),
}


def refusal_of(fate: Fate, result: DialResult | None) -> Refusal:
    """Of an inbound call whose document ended before anything answered it."""
    match fate.ending:
        case Ending.BUSY:
            return Refusal(Outcome(Status.BUSY, Reason.BUSY), 486, "Busy Here")
        case Ending.REJECT:
            return Refusal(Outcome(Status.BUSY, Reason.DECLINED), 603, "Decline")
        case Ending.BROKEN:
            return Refusal(because(DOCUMENT_ERROR, fate.detail or ""), 480, "Temporarily Unavailable")
    otherwise = _OF_DIAL[Status.NO_ANSWER]
    return otherwise if result is None else _OF_DIAL.get(result.status, otherwise)
