"""Runs one call from its claim, or its arrival, to its end: the caller's leg, its documents, then the parent's record.

One task per call; `hang_up`, `replace`, `lose` and `forfeit` reach it from outside while it runs.
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
from app.calls.parameters import Parameters, headers_as, of_every_request, without_empty
from app.calls.ports import MOST_HOPS, Clock, IncomingLeg, LegOrder, Phone
from app.calls.sid import CallSid
from app.calls.sources import DocumentRequest, SourceError
from app.calls.status import Status
from app.calls.uri import NameAddr
from app.dialing.caller import ArrivedCaller, CalledCaller, Caller, called_limits, hops_after
from app.dialing.fates import outcome_of_document, refusal_of
from app.dialing.interpret import Ending, Fate, Script, Sources, Untold
from app.dialing.leg import Leg
from app.dialing.legbook import LegBook
from app.dialing.perform import DialResult, OutcomeOf, Race, Setting
from app.dialing.place import LocalHost, new_legs, number_of, who, with_whole_caller_id
from app.dialing.record import Journal, Record
from app.dialing.screen import Screener
from app.rcml import serial
from app.rcml.plan import Dial, DialRequest, Document, Link, Redirect, Where
from app.runtime import log, loop
from app.store.queue import ClaimedDial

AddLegs = Callable[[Call, Sequence[NewCall]], Awaitable[list[Call]]]

_RETRY_SECONDS = 1.0  # while the database is away

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """What a call needs of the worker that runs it."""

    phone: Phone
    journal: Journal
    clock: Clock
    add_legs: AddLegs  # stores the legs of a later Dial, once however often it is asked; raises Fenced, Unavailable
    sources: Sources
    local_host: LocalHost  # for a bare callerId in a document that was fetched


@dataclass(frozen=True, slots=True)
class Arrived:
    """How an inbound call came: its leg, and the documents of the number that was dialled."""

    leg: IncomingLeg
    links: tuple[Link, ...]  # the first, and what is tried once if anything is wrong with its documents


class RunningDial:
    """One call in the hands of this worker."""

    def __init__(self, claimed: ClaimedDial, parts: Running, arrived: Arrived | None = None) -> None:
        self._claimed = claimed
        self._parts = parts
        self._arrived = arrived
        self._parent = self._record_of(claimed.parent)
        self._request: DialRequest | None = None
        self._caller: Caller | None = None
        self._script: Script | None = None
        self._untold: Untold | None = None  # by the script that ran last
        self._race: Race | None = None
        self._result: DialResult | None = None  # of the Dial that ended last
        self._legs = LegBook(claimed.legs)
        self._connected = False  # whether any leg of any Dial was
        self._end: Outcome | None = None  # what ended the call before its document did, or with it
        self._outcome_of: OutcomeOf = _ended_by_api  # of legs, when `_end` came
        self._replacement = claimed.replacement
        self._task: asyncio.Task[None] | None = None

    @property
    def sid(self) -> CallSid:
        return self._parent.call.sid

    async def run(self) -> None:
        """Until the parent's end is durable; Fenced ends it quietly, for somebody else has the call now."""
        self._task = asyncio.current_task()
        for leg in self._claimed.legs:
            if leg.wanted is not None:  # the API ended it while the call waited for a worker
                self.hang_up(leg.sid)
        try:
            await self._live()
            await self._parent.written
        except Fenced:
            self.lose()

    def forfeit(self) -> None:
        """Another worker ends this call and its record: let go on the wire, and say nothing more."""
        if self._race is not None:
            self._race.forfeit()
        if self._caller is not None:
            self._caller.forfeit()
        if self._task is not None:
            self._task.cancel()

    def hang_up(self, sid: CallSid) -> None:
        """The API asked to end `sid`: this call, one of its legs, or a stranger.

        A call that was to be canceled and was answered in the same moment is hung up too: nobody wanted it to talk.
        """
        if sid == self.sid:
            self._stop(hung_up(Reason.API) if self._is_answered else CANCELED_BY_API, _ended_by_api)
        else:
            self._legs.end(sid, self._record_of, _ended_by_api)
            if self._race is not None:
                self._race.end(_ended_by_api, sid)

    def replace(self, document: bytes) -> None:
        """The API gave another document: the one that runs is left at once, its Dial's legs with it."""
        if self._end is not None:
            return
        self._replacement = document
        if self._script is not None:
            self._script.stop()
        if self._race is not None:
            self._race.end(_ended_by_api)

    def lose(self) -> None:
        """This worker gives up: whoever talks is hung up, with the events that are due."""
        self._stop(worker_lost(answered=self._is_answered), lambda leg: worker_lost(answered=leg.is_answered))

    @property
    def _is_answered(self) -> bool:
        if self._caller is not None:
            return self._caller.is_answered
        return self._connected or (self._race is not None and self._race.connected)

    def _stop(self, outcome: Outcome, outcome_of: OutcomeOf) -> None:
        """Whatever the document is at: everybody is hung up, and `run` ends. The first outcome stays."""
        if self._end is None:
            self._end, self._outcome_of = outcome, outcome_of
        if self._script is not None:
            self._script.stop()
        if self._race is not None:
            self._race.end(self._outcome_of)
        if self._caller is not None:
            self._caller.end(self._end)

    async def _live(self) -> None:
        try:
            if self._arrived is None:
                self._request = serial.loads(self._claimed.document)
        except ValueError as error:  # nobody can say what its legs were to be; they end as the parent does
            self._parent.document_starts()
            outcome = because(DOCUMENT_ERROR, str(error))
            self._stop(outcome, lambda leg: outcome)
        else:
            await self._converse()
        await self._legs.end_unused(self._record_of, self._outcome_of)
        self._parent.end(self._end or DOCUMENT_END, _dial_facts(self._result))
        if self._untold is not None:
            loop.spawn(self._tell(self._untold), f"tell the action of {self.sid}")

    async def _converse(self) -> None:
        caller = self._caller = self._make_caller()
        if caller is None:
            self._parent.document_starts()
            fate = await self._perform_documents()
            self._end = self._end or outcome_of_document(fate)
            return
        caller.on_over = lambda: self._gone(caller)
        following = loop.spawn(self._follow(caller), f"caller of {self.sid}")
        try:
            if await caller.reach():
                fate = await self._perform_documents()
                await caller.settled()  # a callee can be gone before the caller's ACK comes: a 200 is not taken back
                self._close(caller, fate)
            await following
        finally:
            caller.on_over = lambda: None  # no cycle is left for the collector
            following.cancel()

    async def _follow(self, caller: Caller) -> None:
        """Until the caller is gone and its record written."""
        try:
            await caller.run()
        except Exception:
            self._gone(caller)
            raise
        self._gone(caller)

    def _gone(self, caller: Caller) -> None:
        """Without a caller everybody goes, and no document ends by itself any more."""
        self._stop(caller.outcome or worker_lost(answered=caller.is_answered), _left_by_caller)

    def _close(self, caller: Caller, fate: Fate) -> None:
        """The document is over, so the caller is too: a BYE, or what became of the dial as the answer to its INVITE."""
        if self._end is not None:
            return
        if caller.is_answered:
            self._stop(outcome_of_document(fate), _ended_by_api)
        else:
            refusal = refusal_of(fate, self._result)
            self._end = refusal.recorded
            caller.refuse(self._end, refusal.code, refusal.phrase)

    def _make_caller(self) -> Caller | None:
        clock = self._parts.clock
        if self._arrived is not None:
            return ArrivedCaller(self._arrived.leg, self._parent, clock)
        order = self._request.caller if self._request is not None else None
        if order is None:
            return None
        call = self._parent.call
        to_wire = LegOrder(call.sid, call.account_sid, order.uri, who(order.from_), order.username, order.password)
        limits = called_limits(order.timeout)
        return CalledCaller(
            lambda watcher: Leg(self._parent, to_wire, limits, clock=clock, watcher=watcher, ends_record=False),
            self._parts.phone,
        )

    async def _perform_documents(self) -> Fate:
        """The first document, and whatever replaces it."""
        links = list(self._arrived.links) if self._arrived is not None else []
        document = self._request.document if self._request is not None else _document_at(links.pop(0))
        first: Parameters = []
        while True:
            if self._replacement is not None:
                first = []
                stored, self._replacement = self._replacement, None
                try:
                    document = serial.loads_document(stored)
                except ValueError as error:
                    return Fate(Ending.BROKEN, str(error))
            fate = await self._perform(document, first)
            if self._end is not None:
                return fate
            if self._replacement is None:
                if fate.ending is not Ending.BROKEN or not links:
                    return fate
                document = _document_at(links.pop(0))
                first = fate.fault.told if fate.fault is not None else []

    async def _perform(self, document: Document, first: Parameters) -> Fate:
        caller = self._caller
        self._script = Script(
            self._parent,
            self._parts.sources,
            where=Where.STAND_IN if caller is None else caller.where,
            line=caller,
            dial=self._dial,
            first=first,
        )
        try:
            return await self._script.run(document)
        finally:
            self._untold = self._script.untold
            self._script = None  # the two refer to each other

    async def _dial(self, dial: Dial) -> Parameters:
        dial = with_whole_caller_id(dial, self._parts.local_host)
        number = self._number
        calls = await self._legs_of(dial, number)
        parts = self._parts
        setting = Setting(
            parent=self._parent,
            record_of=self._record_of,
            phone=parts.phone,
            screener=Screener(parts.sources),
            studio=parts.sources.studio,
            sounds=parts.sources.sounds,
            caller=self._caller,
            number=number,
            hops=MOST_HOPS if self._arrived is None else hops_after(self._arrived.leg.arrival),
        )
        race = self._race = Race(dial, calls, setting)
        if self._end is not None or self._replacement is not None:
            race.end(self._outcome_of)
            if self._script is not None:  # it may have ended before it began: no verb follows, nor a Dial with new legs
                self._script.stop()
        result = self._result = await race.run()
        self._race = None
        self._connected = self._connected or race.connected
        if result.recorded is not None:
            recorded = result.told.call.recording_duration or 0
            self._parent.recorded(result.recorded.sid, recorded)
        return self._told(result)

    async def _tell(self, untold: Untold) -> None:
        """The dial is over, or the recording is there, and the caller is not: its application hears of it."""
        call = self._parent.call
        parameters = of_every_request(call, self._parent.headers) + untold.parameters
        request = DocumentRequest(call.account_sid, untold.action.url, untold.action.method, parameters)
        try:
            await self._parts.sources.documents.fetch(request)
        except SourceError as error:
            _log.warning("action.untold", call=self.sid, detail=str(error))

    def _told(self, result: DialResult) -> Parameters:
        """What a Dial's action is told (contract 4.3)."""
        call, recorded = result.told.call, result.recorded
        url_of = self._parts.sources.studio.recordings.url_of
        return without_empty(
            [
                ("DialCallStatus", result.status),
                ("DialCallSid", call.sid),
                ("DialCallDuration", call.duration),
                ("DialSipCallId", call.sip_call_id),
                ("DialSipResponseCode", call.sip_response_code),
                *headers_as("DialSipHeader_", result.told.headers),
                ("RecordingUrl", url_of(recorded.sid) if recorded is not None else None),
            ]
        )

    @property
    def _number(self) -> NameAddr | None:
        """The caller's own, on calls that its Dials make."""
        if self._arrived is not None:
            return self._arrived.leg.arrival.caller
        order = self._request.caller if self._request is not None else None
        return None if order is None else number_of(order)

    async def _legs_of(self, dial: Dial, number: NameAddr | None) -> list[Call]:
        """Stored with the 202, or by the worker that had this call before, or now."""
        stored = self._legs.take([target.uri.bare() for target in dial.targets])
        if stored is not None:
            return stored
        legs = new_legs(self._parent.call, dial, first_index=self._legs.next_index(len(dial.targets)), number=number)
        while True:
            try:
                return await self._parts.add_legs(self._parent.call, legs)
            except Unavailable as error:  # tried for ever, as every change of a call is: its parent must end
                _log.warning("dial.waits_for_database", call=self.sid, error=str(error))
                await self._parts.clock.sleep(_RETRY_SECONDS)

    def _record_of(self, call: Call) -> Record:
        parts = self._parts
        return Record(call, parts.journal, parts.clock, parts.sources.studio.recordings.url_of)


def _document_at(link: Link) -> Document:
    return Document((Redirect(link),))


def _ended_by_api(leg: Record) -> Outcome:
    return hung_up(Reason.API) if leg.is_answered else CANCELED_BY_API


def _left_by_caller(leg: Record) -> Outcome:
    return hung_up(Reason.CALLER_HANGUP) if leg.is_answered else Outcome(Status.CANCELED, Reason.CALLER_HANGUP)


def _dial_facts(result: DialResult | None) -> Facts:
    if result is None:
        return Facts()
    return Facts(dial_call_status=result.status, dial_call_sid=result.sid, dial_call_duration=result.duration)
