"""Ends calls that nobody runs: dials no worker took in time, dials ended before any worker had them, and the
calls of a worker that died.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.calls.call import Call
from app.calls.change import Facts
from app.calls.errors import Fenced
from app.calls.outcome import CANCELED_BY_API, NO_CAPACITY, Outcome, Reason, worker_lost
from app.calls.ports import Clock, Goodbye
from app.calls.sid import CallSid
from app.calls.status import Status
from app.dialing.record import Journal, Record, UrlOf
from app.runtime import log
from app.store.queue import ClaimedDial

_log = log.get(__name__)

_NONE: Mapping[CallSid, Goodbye] = {}

OutcomeOf = Callable[[bool], Outcome]  # given whether that call had been answered


@dataclass(frozen=True, slots=True)
class Rescue:
    """Ends whole dials: each leg, then the parent, each with its event and what it owes."""

    journal: Journal
    clock: Clock
    url_of: UrlOf | None = None  # of recordings; None: this process's callbacks never have any

    async def not_taken(self, dial: ClaimedDial) -> None:
        """It waited longer than DIAL_MAX_WAIT: `failed`, `no-capacity`, or what the API asked meanwhile."""
        outcome = NO_CAPACITY if dial.parent.wanted is None else CANCELED_BY_API
        await self._end(dial.parent, dial.legs, lambda answered: outcome)

    async def ended_before_taken(self, dial: ClaimedDial) -> None:
        """The API hung it up while it waited."""
        await self._end(dial.parent, dial.legs, lambda answered: CANCELED_BY_API)

    async def lost(self, parent: Call, legs: Sequence[Call], goodbyes: Mapping[CallSid, Goodbye] = _NONE) -> None:
        """Its worker died; the calls have been hung up on the wire by then, but not all peers need have heard."""
        await self._end(parent, legs, lambda answered: worker_lost(answered=answered), goodbyes)

    async def _end(
        self,
        parent: Call,
        legs: Sequence[Call],
        outcome_of: OutcomeOf,
        goodbyes: Mapping[CallSid, Goodbye] = _NONE,
    ) -> None:
        parent_record, *leg_records = (
            Record(call, self.journal, self.clock, self.url_of, goodbyes.get(call.sid)) for call in (parent, *legs)
        )
        # A leg that has ended while others go on was not connected: its screening, say, came to no verdict.
        candidates = [leg for leg in leg_records if not leg.is_final] or leg_records
        connected = next((leg for leg in candidates if leg.call.is_connected and not _was_dropped(leg.call)), None)
        for leg in leg_records:
            leg.end(outcome_of(leg.is_answered))
        await _written(leg_records)  # two writers overlap: queued with them, the parent could end before its legs
        if parent.has_caller:
            answered = parent_record.is_answered
        else:
            answered = any(leg.is_answered for leg in leg_records)
        parent_record.end(outcome_of(answered), _dial_facts(leg_records, connected))
        await _written([parent_record])


async def _written(records: Sequence[Record]) -> None:
    writing = (record.written for record in records)
    for record, error in zip(records, await asyncio.gather(*writing, return_exceptions=True), strict=True):
        if isinstance(error, Fenced):
            _log.info("rescue.fenced", call=record.call.sid, detail=str(error))  # another rescuer was faster
        elif error is not None:
            _log.error("rescue.unwritten", call=record.call.sid, error=str(error))


def _was_dropped(leg: Call) -> bool:
    """Answered, but another one was connected: no screening need have said so."""
    return leg.reason == Reason.LOST_RACE


def _dial_facts(legs: Sequence[Record], connected: Record | None) -> Facts:
    """How the dial went: told of the leg that was connected, else of the last one."""
    if not legs:
        return Facts()
    told = (connected or legs[-1]).call
    status = Status.NO_ANSWER if connected is None and told.status is Status.COMPLETED else told.status
    return Facts(dial_call_status=status, dial_call_sid=told.sid, dial_call_duration=told.duration)
