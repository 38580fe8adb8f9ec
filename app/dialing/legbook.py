"""The rows of a call's legs: those stored before it ran, and where the next ones go. Knows no phone."""

from collections.abc import Callable, Sequence

from app.calls.call import Call
from app.calls.outcome import Outcome
from app.calls.sid import CallSid
from app.calls.status import FINAL
from app.dialing.record import Record

RecordOf = Callable[[Call], Record]
OutcomeOf = Callable[[Record], Outcome]


class LegBook:
    """`stored` by their index: those of the first Dial, or of whatever Dials an earlier worker had come to."""

    def __init__(self, stored: Sequence[Call]) -> None:
        self._unused = list(stored)
        self._ended: list[Record] = []
        self._next = 0

    def take(self, to_uris: Sequence[str]) -> list[Call] | None:
        """The next stored legs when they are for these targets; None: they must be made."""
        count = len(to_uris)
        if [leg.to_uri for leg in self._unused[:count]] != list(to_uris):
            return None
        legs, self._unused = self._unused[:count], self._unused[count:]
        self._next = max(self._next, *((leg.leg_index or 0) + 1 for leg in legs))
        return legs

    def next_index(self, count: int) -> int:
        """Room for `count` more, after all that are stored."""
        first = max([self._next, *((leg.leg_index or 0) + 1 for leg in self._unused)])
        self._next = first + count
        return first

    def end(self, sid: CallSid, record_of: RecordOf, outcome_of: OutcomeOf) -> None:
        """The leg of that name if nobody has been called for it: its Dial, if it comes, finds it ended."""
        for at, leg in enumerate(self._unused):
            if leg.sid == sid and leg.status not in FINAL:
                record = record_of(leg)
                record.end(outcome_of(record))
                self._unused[at] = record.call
                self._ended.append(record)

    async def end_unused(self, record_of: RecordOf, outcome_of: OutcomeOf) -> None:
        """Legs that nobody was called for, since the call ended or its document was another by then."""
        records = [record_of(leg) for leg in self._unused]
        for record in records:
            record.end(outcome_of(record))
        for record in (*records, *self._ended):
            await record.written
