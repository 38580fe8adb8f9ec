"""One leg that we call: rings one party until it answers, talks until it ends, and leaves by one door.

Decides how long it may ring and talk; how a call is made on the wire is behind `app.calls.ports`, and what an answer
means for others is told to a watcher.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.calls.audio import Audio
from app.calls.change import Facts
from app.calls.errors import Fenced, NoFreePort
from app.calls.outcome import (
    NO_ANSWER,
    NO_CAPACITY,
    UNREACHABLE,
    Outcome,
    Reason,
    because,
    hung_up,
)
from app.calls.ports import (
    Answered,
    Clock,
    DialogFacts,
    Ended,
    LegOrder,
    Moved,
    Phone,
    PhoneLeg,
    Pressed,
    Progress,
    Signal,
    Silence,
)
from app.dialing.line import KeyPad
from app.dialing.record import Record
from app.runtime import loop


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a leg may ring and talk, in seconds."""

    timeout: float
    time_limit: float


class Watcher(Protocol):
    """Who wants to know what a leg does, while it does it."""

    def rings(self, leg: "Leg") -> None:
        """It rings; told once."""

    def is_heard(self, leg: "Leg") -> None:
        """Its audio flows before the answer; told once."""

    def answers(self, leg: "Leg") -> None:
        """It was answered: `connect` or `end` it, now or later."""

    def presses(self, leg: "Leg", pressed: Pressed) -> None:
        """A key, after the leg's own `keys` have heard it."""

    def is_over(self, leg: "Leg") -> None:
        """It ended, whoever ended it; told once."""


class _Nobody:
    """Watches a leg that has ended."""

    def rings(self, leg: "Leg") -> None: ...

    def is_heard(self, leg: "Leg") -> None: ...

    def answers(self, leg: "Leg") -> None: ...

    def presses(self, leg: "Leg", pressed: Pressed) -> None: ...

    def is_over(self, leg: "Leg") -> None: ...


_NOBODY = _Nobody()


class Leg:
    """Runs one leg. With `ends_record` False its record stays open when it ends: somebody ends it later."""

    def __init__(
        self,
        record: Record,
        order: LegOrder,
        limits: Limits,
        *,
        clock: Clock,
        watcher: Watcher,
        ends_record: bool = True,
    ) -> None:
        self.record = record
        self.keys = KeyPad()
        self.outcome: Outcome | None = None  # once it is over
        self.fenced = False  # somebody else has this call now
        self.last_facts: Callable[[], Facts] | None = None  # what its end adds to the record
        self.reading: Callable[[Outcome], Outcome] = _as_it_is  # of an end that the party brought about
        self._order = order
        self._limits = limits
        self._clock = clock
        self._watcher: Watcher = watcher
        self._ends_record = ends_record
        self._phone_leg: PhoneLeg | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._was_heard = False

    @property
    def is_over(self) -> bool:
        return self.outcome is not None or self.record.is_final

    @property
    def audio(self) -> Audio:
        """Raises RuntimeError before it was called: nobody has a reason to ask."""
        if self._phone_leg is None:
            raise RuntimeError("this leg has not been called yet")
        return self._phone_leg.audio

    async def run(self, phone: Phone) -> None:
        """From the first INVITE until what happened is durable; nothing when it ended before it was claimed."""
        try:
            if not self.is_over:
                await self._call(phone)
                await self.record.written
        except Fenced:
            # Somebody else ends this call and its record now. Nothing may be written, but nobody is left talking.
            self.fenced = True
            self._release()
        finally:
            self._disarm()
            self._watcher = _NOBODY  # who knows this leg: freed when the call is over, not by a later collection

    def ring(self) -> None:
        """A leg that verbs run on has been answered."""

    async def answer(self) -> None:
        """As `ring`."""

    def connect(self) -> None:
        """It may talk: its time runs from now on."""
        self._arm(self._limits.time_limit, lambda: self.end(hung_up(Reason.TIME_LIMIT)))

    def end(self, outcome: Outcome) -> None:
        """The one way out: hangs up on the wire, ends the record, wakes `run`. Safe to reach twice."""
        if self.is_over:
            return
        self.outcome = outcome
        facts = self.last_facts() if self.last_facts is not None else None
        self._release()
        if self._ends_record:
            self.record.end(outcome, facts)
        if self._phone_leg is not None:
            self._phone_leg.signals.put_nowait(Ended(self._clock.now(), outcome))
        self._watcher.is_over(self)

    def forfeit(self) -> None:
        """Hang up on the wire and leave the record alone: whoever took this call over ends it."""
        self._release()

    async def _call(self, phone: Phone) -> None:
        try:
            leg = self._phone_leg = phone.leg(self._order)
        except NoFreePort:
            self.end(because(NO_CAPACITY, "no RTP port is free; widen DIAL_RTP_PORTS"))
            return
        dialog = await leg.prepare()
        if isinstance(dialog, Outcome):
            self.end(dialog)
        if await self._may_invite(dialog):
            leg.invite()
            self._arm(self._limits.timeout, self._rang_out)
            await self._follow(leg)

    async def _may_invite(self, dialog: DialogFacts | Outcome) -> bool:
        """Whether nothing ended this leg before or while its INVITE was stored: it leaves only after that commit."""
        if isinstance(dialog, Outcome) or self.is_over:
            return False
        await self.record.initiated(dialog)
        return not self.is_over

    async def _follow(self, leg: PhoneLeg) -> None:
        while not self.is_over:
            signal = await leg.signals.get()
            if not self.is_over:
                self._take(signal)

    def _take(self, signal: Signal) -> None:
        match signal:
            case Progress() if not self.record.is_answered:
                self._progress(signal)
            case Answered():
                self._disarm()
                self.record.answered(signal)
                self._watcher.answers(self)
            case Moved(dialog=dialog):
                self.record.moved(dialog)
            case Pressed(key=key):
                self.keys.press(key)
                self._watcher.presses(self, signal)
            case Silence():
                self.end(hung_up(Reason.MEDIA_TIMEOUT))
            case Ended(outcome=outcome):
                self.end(self.reading(outcome))

    def _progress(self, progress: Progress) -> None:
        if progress.ringing and self.record.call.ring_time is None:
            self.record.ringing(progress)
            self._watcher.rings(self)
        if progress.early_media and not self._was_heard:
            self._was_heard = True
            self._watcher.is_heard(self)

    def _rang_out(self) -> None:
        # The engine gives up by itself at timer B; a shorter timeout without any response ends here.
        heard = self._phone_leg is not None and self._phone_leg.heard
        self.end(NO_ANSWER if heard else because(UNREACHABLE, "no response of any kind"))

    def _arm(self, seconds: float, ring: Callable[[], None]) -> None:
        async def wait() -> None:
            await self._clock.sleep(seconds)
            ring()

        self._disarm()
        self._alarm = loop.spawn(wait(), name=f"alarm of {self._order.call_sid}")

    def _disarm(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None and alarm is not asyncio.current_task():
            alarm.cancel()

    def _release(self) -> None:
        self._disarm()
        if self._phone_leg is not None:
            self.record.goodbye = self._phone_leg.hang_up()


def _as_it_is(outcome: Outcome) -> Outcome:
    return outcome
