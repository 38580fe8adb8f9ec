"""The first party of a call, on whose leg its document runs: called by us, or come by itself. Knows no document."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from app.calls.audio import Audio
from app.calls.errors import Fenced
from app.calls.outcome import Outcome, Reason, hung_up
from app.calls.ports import (
    Answered,
    Arrival,
    Clock,
    Ended,
    IncomingLeg,
    Moved,
    Phone,
    Pressed,
    Progress,
    Signal,
    Silence,
)
from app.calls.status import Status
from app.dialing.leg import Leg, Limits
from app.dialing.line import KeyPad, Line
from app.dialing.record import Record
from app.rcml.plan import Where

LONGEST = 86_400.0  # seconds that a caller may stay

OnPressed = Callable[[Pressed], None]


class Caller(Line, Protocol):
    """A line whose end is the end of its call. Its record is ended by whoever runs the document."""

    where: Where
    on_pressed: OnPressed  # told of each key after `keys`
    on_over: Callable[[], None]  # told when its leg is over, at once: `run` waits for the database too

    @property
    def is_answered(self) -> bool: ...

    @property
    def outcome(self) -> Outcome | None:
        """How its leg ended, once it has."""

    async def run(self) -> None:
        """Until its leg is over; raises Fenced when the call is somebody else's."""

    async def reach(self) -> bool:
        """Wait until a document may run on it; False: it never will."""

    def open_early(self) -> None:
        """Let an inbound caller hear us before it is answered."""

    def pick_up(self) -> None:
        """Answer an inbound caller; `answer` waits until that is settled too."""

    async def settled(self) -> None:
        """Until an answer that is on its way has been acknowledged, or has come to nothing."""

    def end(self, outcome: Outcome) -> None:
        """Hang up on the wire; safe to reach twice."""

    def refuse(self, outcome: Outcome, code: int, phrase: str) -> None:
        """End an inbound caller that has not been answered with this response."""

    def forfeit(self) -> None:
        """Let go on the wire: the call is somebody else's."""


class CalledCaller:
    """A caller that we call; it is there when it has answered."""

    where = Where.CALLER

    def __init__(self, make: Callable[["CalledCaller"], Leg], phone: Phone) -> None:
        self._leg = make(self)
        self._phone = phone
        self._settled = asyncio.Event()  # answered, or never
        self.on_pressed: OnPressed = _ignore
        self.on_over: Callable[[], None] = _nothing

    @property
    def record(self) -> Record:
        return self._leg.record

    @property
    def audio(self) -> Audio:
        return self._leg.audio

    @property
    def keys(self) -> KeyPad:
        return self._leg.keys

    @property
    def is_answered(self) -> bool:
        return self._leg.record.is_answered

    @property
    def outcome(self) -> Outcome | None:
        outcome = self._leg.outcome
        if outcome is not None and outcome.reason is Reason.CALLEE_HANGUP:
            return replace(outcome, reason=Reason.CALLER_HANGUP)
        return outcome

    async def run(self) -> None:
        try:
            await self._leg.run(self._phone)
        finally:
            self._settled.set()
        if self._leg.fenced:
            raise Fenced(f"call {self.record.call.sid} is not ours any more")

    async def reach(self) -> bool:
        await self._settled.wait()
        return not self._leg.is_over

    async def answer(self) -> None: ...

    def ring(self) -> None: ...

    def open_early(self) -> None: ...

    def pick_up(self) -> None: ...

    async def settled(self) -> None: ...

    def end(self, outcome: Outcome) -> None:
        self._leg.end(outcome)

    def refuse(self, outcome: Outcome, code: int, phrase: str) -> None:
        self._leg.end(outcome)

    def forfeit(self) -> None:
        self._leg.forfeit()

    # -- what its leg says

    def rings(self, leg: Leg) -> None: ...

    def is_heard(self, leg: Leg) -> None: ...

    def answers(self, leg: Leg) -> None:
        leg.connect()
        self._settled.set()

    def presses(self, leg: Leg, pressed: Pressed) -> None:
        self.on_pressed(pressed)

    def is_over(self, leg: Leg) -> None:
        self._settled.set()
        self.on_over()


def hops_after(arrival: Arrival) -> int:
    """The Max-Forwards of what is dialled for it: half. RFC 7332 asks for one less, but a number whose document dials
    that number itself is to end with 483 after seven calls, not after seventy, each with its document, ports and rows.
    """
    return arrival.hops_left // 2


def called_limits(timeout: float) -> Limits:
    """A caller rings for `timeout` seconds and may stay for a day: what it hears there is what its document says."""
    return Limits(timeout, LONGEST)


class ArrivedCaller:
    """A caller that dialled one of our numbers; it is there at once, and hears us once it is answered."""

    where = Where.INBOUND

    def __init__(self, leg: IncomingLeg, record: Record, clock: Clock) -> None:
        self._leg = leg
        self._clock = clock
        self._answered = asyncio.Event()  # or over
        self._rang = self._picked_up = False
        self.record = record
        self.keys = KeyPad()
        self.outcome: Outcome | None = None
        self.on_pressed: OnPressed = _ignore
        self.on_over: Callable[[], None] = _nothing

    @property
    def audio(self) -> Audio:
        return self._leg.audio

    @property
    def is_answered(self) -> bool:
        return self.record.is_answered

    async def run(self) -> None:
        self.record.arrived(self._leg.arrival, self._leg.facts())
        try:
            while self.outcome is None:
                signal = await self._leg.signals.get()
                if self.outcome is None:
                    self._take(signal)
            await self.record.written
        finally:
            self._answered.set()

    async def reach(self) -> bool:
        return self.outcome is None

    async def answer(self) -> None:
        self.pick_up()
        await self._answered.wait()

    def ring(self) -> None:
        if not (self._rang or self._picked_up) and self.outcome is None:
            self._rang = True
            self._leg.ring()
            self.record.ringing(Progress(self._clock.now(), 180, "Ringing", True, self._leg.facts()))

    def open_early(self) -> None:
        if not self._picked_up and self.outcome is None:
            self.ring()
            self._leg.open_early()

    def pick_up(self) -> None:
        if not self._picked_up and self.outcome is None:
            self._picked_up = True
            self._leg.answer()

    async def settled(self) -> None:
        if self._picked_up:
            await self._answered.wait()

    def end(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.record.goodbye = self._leg.hang_up()
            self._close(outcome)

    def refuse(self, outcome: Outcome, code: int, phrase: str) -> None:
        if self.outcome is None:
            self.record.goodbye = self._leg.reject(code, phrase)
            self._close(outcome)

    def forfeit(self) -> None:
        self._leg.hang_up()

    def _take(self, signal: Signal) -> None:
        match signal:
            case Answered():
                self.record.answered(signal)
                self._answered.set()
            case Pressed(key=key):
                self.keys.press(key)
                self.on_pressed(signal)
            case Moved(dialog=dialog):
                self.record.moved(dialog)
            case Silence():
                self.end(hung_up(Reason.MEDIA_TIMEOUT))
            case Ended(outcome=outcome):
                self.record.goodbye = self._leg.hang_up()  # it may have ended by a BYE of ours
                self._close(outcome)
            case Progress():
                pass  # an incoming leg makes none

    def _close(self, outcome: Outcome) -> None:
        if outcome.status is Status.COMPLETED and not self.is_answered:  # between our 200 and its ACK
            outcome = replace(outcome, status=Status.CANCELED)
        self.outcome = outcome
        self._leg.signals.put_nowait(Ended(self._clock.now(), outcome))  # wakes `run`
        self._answered.set()
        self.on_over()


def _ignore(pressed: Pressed) -> None: ...


def _nothing() -> None: ...
