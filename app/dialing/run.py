"""Runs one claimed dial request: its document's verbs in order, then the end of the parent call.

One task per dial; `hang_up` and `lose` reach it from outside while it runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.calls.call import Call, NewCall
from app.calls.change import Facts
from app.calls.errors import Fenced, Unavailable
from app.calls.outcome import (
    CANCELED_BY_API,
    DOCUMENT_END,
    DOCUMENT_ERROR,
    Outcome,
    Reason,
    because,
    hung_up,
    worker_lost,
)
from app.calls.ports import Clock, Phone
from app.calls.sid import CallSid
from app.dialing.perform import DialResult, OutcomeOf, Race
from app.dialing.place import new_legs
from app.dialing.record import Journal, Record
from app.rcml import serial
from app.rcml.plan import Dial
from app.runtime import log
from app.store.queue import ClaimedDial

AddLegs = Callable[[Call, Sequence[NewCall]], Awaitable[list[Call]]]

_RETRY_SECONDS = 1.0  # while the database is away

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """What a dial needs of the worker that runs it."""

    phone: Phone
    journal: Journal
    clock: Clock
    add_legs: AddLegs  # stores the legs of a later Dial, once however often it is asked; raises Fenced, Unavailable


class RunningDial:
    """One dial request in the hands of this worker."""

    def __init__(self, claimed: ClaimedDial, parts: Running) -> None:
        self._claimed = claimed
        self._parts = parts
        self._parent = Record(claimed.parent, parts.journal, parts.clock)
        self._race: Race | None = None
        self._connected = False  # whether any leg of any Dial was
        self._end: Outcome | None = None  # what ended it before its document did
        self._task: asyncio.Task[None] | None = None

    @property
    def sid(self) -> CallSid:
        return self._parent.call.sid

    async def run(self) -> None:
        """Until the parent's end is durable; Fenced ends it quietly, for somebody else has the call now."""
        self._task = asyncio.current_task()
        self._parent.document_starts()
        try:
            result = await self._perform_document()
            self._parent.end(self._end or DOCUMENT_END, _dial_facts(result))
            await self._parent.written
        except Fenced:
            self.lose()

    def forfeit(self) -> None:
        """Another worker ends this call and its record: let go on the wire, and say nothing more."""
        if self._race is not None:
            self._race.forfeit()
        if self._task is not None:
            self._task.cancel()

    def hang_up(self, sid: CallSid) -> None:
        """The API asked to end `sid`: this call, one of its legs, or a stranger.

        A call that was to be canceled and was answered in the same moment is hung up too: nobody wanted it to talk.
        """
        if sid == self.sid:
            self._stop(hung_up(Reason.API) if self._is_connected else CANCELED_BY_API, _ended_by_api)
        elif self._race is not None:
            self._race.end(_ended_by_api, sid)

    def lose(self) -> None:
        """This worker gives up: whoever talks is hung up, with the events that are due."""
        self._stop(worker_lost(answered=self._is_connected), lambda leg: worker_lost(answered=leg.is_answered))

    @property
    def _is_connected(self) -> bool:
        return self._connected or (self._race is not None and self._race.connected)

    def _stop(self, outcome: Outcome, outcome_of: OutcomeOf) -> None:
        self._end = self._end or outcome
        if self._race is not None:
            self._race.end(outcome_of)

    async def _perform_document(self) -> DialResult | None:
        try:
            verbs = serial.loads(self._claimed.document).document.verbs
        except ValueError as error:
            await self._end_unreadable(error)
            return None
        return await self._perform_all(verbs)

    async def _perform_all(self, dials: Sequence[Dial]) -> DialResult | None:
        result: DialResult | None = None
        first_index = 0
        for dial in dials:
            calls = await self._legs_of(dial, first_index)
            first_index += len(dial.targets)
            result = await self._perform(dial, calls)
            if self._end is not None:
                break
        return result

    async def _perform(self, dial: Dial, calls: Sequence[Call]) -> DialResult:
        parts = self._parts
        race = self._race = Race(dial, calls, journal=parts.journal, phone=parts.phone, clock=parts.clock)
        if self._end is not None:
            race.end(_ended_by_api)
        result = await race.run()
        self._connected = self._connected or race.connected
        return result

    async def _legs_of(self, dial: Dial, first_index: int) -> list[Call]:
        """Stored with the 202, or by the worker that had this dial before, or now."""
        if stored := self._claimed.legs[first_index : first_index + len(dial.targets)]:
            return stored
        legs = new_legs(self._parent.call, dial, first_index=first_index)
        while True:
            try:
                return await self._parts.add_legs(self._parent.call, legs)
            except Unavailable as error:  # tried for ever, as every change of a call is: its parent must end
                _log.warning("dial.waits_for_database", call=self.sid, error=str(error))
                await self._parts.clock.sleep(_RETRY_SECONDS)

    async def _end_unreadable(self, error: ValueError) -> None:
        """Nobody can say what its legs were to be; they end as the parent does, and before it."""
        self._end = because(DOCUMENT_ERROR, str(error))
        legs = [Record(leg, self._parts.journal, self._parts.clock) for leg in self._claimed.legs]
        for leg in legs:
            leg.end(self._end)
        for leg in legs:
            await leg.written


def _ended_by_api(leg: Record) -> Outcome:
    return hung_up(Reason.API) if leg.is_answered else CANCELED_BY_API


def _dial_facts(result: DialResult | None) -> Facts:
    if result is None:
        return Facts()
    return Facts(dial_call_status=result.status, dial_call_sid=result.sid, dial_call_duration=result.duration)
