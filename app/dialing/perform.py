"""Performs one `<Dial>`: its targets ring at once, the first accepted is connected, the others are cancelled.

Whoever stands at the other end, a caller or nobody, hears ringing, then the winner.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.calls.audio import Playback
from app.calls.call import Call
from app.calls.change import Facts
from app.calls.outcome import LOST_RACE, Outcome, Reason, hung_up
from app.calls.ports import MOST_HOPS, LegOrder, Phone, Pressed
from app.calls.sid import CallSid
from app.calls.sources import Sounds
from app.calls.status import Status
from app.calls.uri import NameAddr
from app.dialing.caller import Caller
from app.dialing.leg import Leg, Limits
from app.dialing.place import caller_of
from app.dialing.record import Record
from app.dialing.recorded import Recorded, Studio, record
from app.dialing.screen import Screener
from app.rcml.plan import Dial, Target
from app.runtime import loop

OutcomeOf = Callable[[Record], Outcome]  # how a leg is to end, judged by its record at that moment

_STAR = "*"


@dataclass(frozen=True, slots=True)
class DialResult:
    """How the dial went, as the parent's record and its action tell it."""

    status: Status
    told: Record  # of the winner, else of the leg that ended last
    recorded: Recorded | None = None

    @property
    def sid(self) -> CallSid:
        return self.told.call.sid

    @property
    def duration(self) -> int:
        """Seconds."""
        return self.told.call.duration


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a race takes place: the call it belongs to, and what it needs of its worker."""

    parent: Record
    record_of: Callable[[Call], Record]
    phone: Phone
    screener: Screener
    studio: Studio
    sounds: Sounds
    caller: Caller | None
    number: NameAddr | None  # the caller's own: the callerId when the Dial has none
    hops: int = MOST_HOPS  # that its calls may go


class Race:
    """The legs of one `<Dial>` while they run."""

    def __init__(self, dial: Dial, calls: Sequence[Call], setting: Setting) -> None:
        self._dial = dial
        self._setting = setting
        self._winner: Leg | None = None
        self._ended_last: Leg | None = None
        self._tone: Playback | None = None
        self._recorded: Recorded | None = None
        self._screenings: dict[Leg, asyncio.Task[None]] = {}
        limits = Limits(dial.timeout, dial.time_limit)
        clock = setting.studio.clock
        self._targets: dict[Leg, Target] = {}
        for call, target in zip(calls, dial.targets, strict=True):
            order = _order(call, target, caller_of(dial, setting.number), setting.hops)
            leg = Leg(setting.record_of(call), order, limits, clock=clock, watcher=self)
            self._targets[leg] = target

    @property
    def connected(self) -> bool:
        """Whether a leg has been answered, accepted and connected."""
        return self._winner is not None

    async def run(self) -> DialResult:
        """Until the last leg is over and its end durable."""
        caller = self._setting.caller
        if caller is not None:
            caller.on_pressed = self._caller_pressed
            if not self._dial.answer_on_bridge:
                await caller.answer()
            if caller.is_answered:
                self._tone = caller.audio.play(self._setting.sounds.ringing, times=0)
        try:
            async with asyncio.TaskGroup() as group:
                for leg in self._targets:
                    group.create_task(self._run(leg))
        finally:
            self._fall_silent()
            if caller is not None:
                caller.on_pressed = _unheard
        recorded = self._recorded
        if recorded is not None:
            await recorded.finish()
            recorded = None if recorded.is_absent else recorded
        told = self._winner or self._ended_last or list(self._targets)[-1]
        return DialResult(_dial_status(told.record.call, connected=self.connected), told.record, recorded)

    def end(self, outcome_of: OutcomeOf, sid: CallSid | None = None) -> None:
        """End every leg, or the one that is called `sid`."""
        for leg in self._targets:
            if sid is None or leg.record.call.sid == sid:
                leg.end(outcome_of(leg.record))

    def forfeit(self) -> None:
        """Let every leg go on the wire; its record is somebody else's."""
        for leg in self._targets:
            leg.forfeit()
        for screening in self._screenings.values():
            screening.cancel()

    # -- what a leg says

    def rings(self, leg: Leg) -> None:
        if self._setting.caller is not None:
            self._setting.caller.ring()

    def is_heard(self, leg: Leg) -> None:
        """The one and only callee is heard instead of our tone; of several, or of one to be screened, none is."""
        caller = self._setting.caller
        if caller is None or len(self._targets) > 1 or self._targets[leg].screening is not None:
            return
        self._fall_silent()
        caller.open_early()
        caller.audio.overhear(leg.audio)

    def answers(self, leg: Leg) -> None:
        screening = self._targets[leg].screening
        if screening is None:
            self._accept(leg)
        elif self._winner is not None:
            leg.end(hung_up(Reason.LOST_RACE))
        else:
            self._screenings[leg] = loop.spawn(self._screen(leg), f"screen {leg.record.call.sid}")

    def presses(self, leg: Leg, pressed: Pressed) -> None:
        """What came by RTP, the bridge has passed on."""
        caller = self._setting.caller
        if leg is self._winner and caller is not None and pressed.by == "info":
            caller.audio.press(pressed.key)

    def is_over(self, leg: Leg) -> None:
        if (screening := self._screenings.pop(leg, None)) is not None and screening is not asyncio.current_task():
            screening.cancel()
        if leg is self._winner and self._setting.caller is not None:
            self._setting.caller.audio.listen_for_tones(False)
            self._setting.caller.audio.part()

    # --

    async def _run(self, leg: Leg) -> None:
        await leg.run(self._setting.phone)
        self._ended_last = leg

    async def _screen(self, leg: Leg) -> None:
        screening = self._targets[leg].screening
        if screening is None:
            return
        outcome = await self._setting.screener.screen(leg, screening)
        if outcome is None:
            self._accept(leg)
        else:
            leg.end(outcome)

    def _accept(self, leg: Leg) -> None:
        if leg.is_over:
            return
        if self._winner is not None:
            leg.end(hung_up(Reason.LOST_RACE))
            return
        self._winner = leg
        leg.connect()
        self._connect(leg)
        for other in self._targets:
            if other is not leg:
                other.end(hung_up(Reason.LOST_RACE) if other.record.is_answered else LOST_RACE)

    def _connect(self, leg: Leg) -> None:
        caller = self._setting.caller
        self._fall_silent()
        if caller is not None:
            caller.pick_up()
            caller.audio.bridge(leg.audio)
            if self._dial.hangup_on_star and not caller.audio.has_events:
                caller.audio.listen_for_tones(True)
        if self._dial.record is not None:
            self._record(leg, caller)

    def _record(self, leg: Leg, caller: Caller | None) -> None:
        recorded = self._recorded = record(
            self._setting.studio,
            self._setting.parent.call,
            caller=None if caller is None else caller.audio,
            callee=leg.audio,
            source="DialVerb",
            channels=2 if self._dial.record == "dual" else 1,
            callback=self._dial.recording_callback,
        )
        leg.last_facts = lambda: _recording_facts(recorded)

    def _caller_pressed(self, pressed: Pressed) -> None:
        if self._winner is None or self._winner.is_over:
            return
        if pressed.key == _STAR and self._dial.hangup_on_star:
            self._winner.end(hung_up(Reason.STAR))
        elif pressed.by == "info":
            self._winner.audio.press(pressed.key)

    def _fall_silent(self) -> None:
        tone, self._tone = self._tone, None
        if tone is not None:
            tone.stop()


def _unheard(pressed: Pressed) -> None:
    """The Dial is over."""


def _recording_facts(recorded: Recorded) -> Facts:
    recorded.stop()
    if recorded.is_absent:
        return Facts()
    return Facts(recording_sid=recorded.sid, recording_duration=recorded.seconds)


def _order(call: Call, target: Target, caller: NameAddr, hops: int) -> LegOrder:
    return LegOrder(call.sid, call.account_sid, target.uri, caller, target.username, target.password, hops)


def _dial_status(call: Call, *, connected: bool) -> Status:
    """A leg that was answered but not connected counts as no-answer (contract, section 2)."""
    if call.status is Status.COMPLETED and not connected:
        return Status.NO_ANSWER
    return call.status
