"""One leg: rings one `<Sip>` until it answers, talks until it ends, and leaves by one door whatever happened.

Decides who may talk and for how long; how a call is made on the wire is behind `app.calls.ports`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

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
    Progress,
    Signal,
    Silence,
)
from app.dialing.record import Record
from app.runtime import loop


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a leg may ring and talk, in seconds."""

    timeout: float
    time_limit: float


class Leg:
    """Runs one leg. `won` is asked once, at the answer: False means that another leg was faster."""

    def __init__(self, record: Record, order: LegOrder, limits: Limits, *, clock: Clock, won: Callable[["Leg"], bool]):
        self.record = record
        self._order = order
        self._limits = limits
        self._clock = clock
        self._won = won
        self._phone_leg: PhoneLeg | None = None
        self._alarm: asyncio.Task[None] | None = None

    async def run(self, phone: Phone) -> None:
        """From the first INVITE until the leg's end is durable; nothing when it ended before it was claimed."""
        if self.record.is_final:
            return
        try:
            await self._call(phone)
            await self.record.written
        except Fenced:
            # Somebody else ends this call and its record now. Nothing may be written, but nobody is left talking.
            self._release()
        finally:
            self._disarm()

    def end(self, outcome: Outcome) -> None:
        """The one way out: hangs up on the wire, ends the record, wakes `run`. Safe to reach twice."""
        if self.record.is_final:
            return
        self._release()
        self.record.end(outcome)
        if self._phone_leg is not None:
            self._phone_leg.signals.put_nowait(Ended(self._clock.now(), outcome))

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
        if isinstance(dialog, Outcome) or self.record.is_final:
            return False
        await self.record.initiated(dialog)
        return not self.record.is_final

    async def _follow(self, leg: PhoneLeg) -> None:
        while not self.record.is_final:
            signal = await leg.signals.get()
            if not self.record.is_final:
                self._take(signal)

    def _take(self, signal: Signal) -> None:
        match signal:
            case Progress(ringing=True) if self.record.call.ring_time is None and not self.record.is_answered:
                self.record.ringing(signal)
            case Answered():
                self._answered(signal)
            case Moved(dialog=dialog):
                self.record.moved(dialog)
            case Silence():
                self.end(hung_up(Reason.MEDIA_TIMEOUT))
            case Ended(outcome=outcome):
                self.end(outcome)

    def _answered(self, answer: Answered) -> None:
        self._disarm()
        self.record.answered(answer)
        if self._won(self):
            self._arm(self._limits.time_limit, lambda: self.end(hung_up(Reason.TIME_LIMIT)))
        else:
            self.end(hung_up(Reason.LOST_RACE))

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
            self._phone_leg.hang_up()
