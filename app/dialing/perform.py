"""Performs one `<Dial>`: its targets ring at once, the first that answers wins, the others are cancelled."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.calls.call import Call
from app.calls.outcome import LOST_RACE, Outcome
from app.calls.ports import Clock, LegOrder, Phone
from app.calls.sid import CallSid
from app.calls.status import Status
from app.dialing.leg import Leg, Limits
from app.dialing.place import caller_of
from app.dialing.record import Journal, Record
from app.rcml.plan import Dial, Target

OutcomeOf = Callable[[Record], Outcome]  # how a leg is to end, judged by its record at that moment


@dataclass(frozen=True, slots=True)
class DialResult:
    """How the dial went, as the parent's record tells it."""

    status: Status
    sid: CallSid  # the winner, else the leg that ended last
    duration: int  # seconds


class Race:
    """The legs of one `<Dial>` while they run."""

    def __init__(self, dial: Dial, calls: Sequence[Call], *, journal: Journal, phone: Phone, clock: Clock) -> None:
        self._phone = phone
        self._winner: Leg | None = None
        self._ended_last: Leg | None = None
        limits = Limits(dial.timeout, dial.time_limit)
        self._legs = [
            Leg(Record(call, journal, clock), _order(call, target, dial), limits, clock=clock, won=self._won)
            for call, target in zip(calls, dial.targets, strict=True)
        ]

    @property
    def connected(self) -> bool:
        """Whether a leg has been answered and connected."""
        return self._winner is not None

    async def run(self) -> DialResult:
        """Until the last leg is over and its end durable."""
        async with asyncio.TaskGroup() as group:
            for leg in self._legs:
                group.create_task(self._run(leg))
        told = self._winner or self._ended_last or self._legs[-1]
        call = told.record.call
        return DialResult(_dial_status(call, connected=self.connected), call.sid, call.duration)

    def end(self, outcome_of: OutcomeOf, sid: CallSid | None = None) -> None:
        """End every leg, or the one that is called `sid`."""
        for leg in self._legs:
            if sid is None or leg.record.call.sid == sid:
                leg.end(outcome_of(leg.record))

    def forfeit(self) -> None:
        """Let every leg go on the wire; its record is somebody else's."""
        for leg in self._legs:
            leg.forfeit()

    async def _run(self, leg: Leg) -> None:
        await leg.run(self._phone)
        self._ended_last = leg

    def _won(self, leg: Leg) -> bool:
        if self._winner is not None:
            return False
        self._winner = leg
        for other in self._legs:
            if other is not leg:
                other.end(LOST_RACE)
        return True


def _order(call: Call, target: Target, dial: Dial) -> LegOrder:
    return LegOrder(call.sid, call.account_sid, target.uri, caller_of(dial), target.username, target.password)


def _dial_status(call: Call, *, connected: bool) -> Status:
    """A leg that was answered but not connected counts as no-answer (contract, section 2)."""
    if call.status is Status.COMPLETED and not connected:
        return Status.NO_ANSWER
    return call.status
