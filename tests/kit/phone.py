"""A scripted phone: the test says what the peer does, and sees what the call's logic asked for."""

import asyncio
from dataclasses import dataclass, field

from app.calls.errors import NoFreePort
from app.calls.outcome import Outcome
from app.calls.ports import Answered, Clock, DialogFacts, Ended, LegOrder, Moved, Progress, Signal, Silence


@dataclass(slots=True)
class ScriptedLeg:
    """One leg; `asked` lists what the runner did to it, in order."""

    order: LegOrder
    clock: Clock
    answer_to_prepare: Outcome | None = None
    asked: list[str] = field(default_factory=list)
    signals: "asyncio.Queue[Signal]" = field(default_factory=asyncio.Queue)
    heard: bool = False
    invited: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> DialogFacts | Outcome:
        self.asked.append("prepare")
        return self.answer_to_prepare or self.dialog

    def invite(self) -> None:
        self.asked.append("invite")
        self.invited.set()

    def hang_up(self) -> None:
        self.asked.append("hang up")

    @property
    def dialog(self) -> DialogFacts:
        return DialogFacts(call_id=f"{self.order.call_sid}@phone", state="calling", transport="udp")

    def rings(self, code: int = 180) -> None:
        self.heard = True
        self.signals.put_nowait(Progress(self.clock.now(), code, "Ringing", 180 <= code <= 183, self.dialog))

    def answers(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.heard = True
        self.signals.put_nowait(Answered(self.clock.now(), 200, "OK", headers, self.dialog))

    def moves(self) -> None:
        self.signals.put_nowait(Moved(self.dialog))

    def falls_silent(self) -> None:
        self.signals.put_nowait(Silence(self.clock.now()))

    def ends(self, outcome: Outcome) -> None:
        self.heard = True
        self.signals.put_nowait(Ended(self.clock.now(), outcome))


class ScriptedPhone:
    """Gives out scripted legs; `legs` in the order in which they were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.legs: list[ScriptedLeg] = []
        self.has_ports = True
        self.refuses: dict[str, Outcome] = {}  # by target URI: what prepare answers

    def leg(self, order: LegOrder) -> ScriptedLeg:
        if not self.has_ports:
            raise NoFreePort("none")
        leg = ScriptedLeg(order, self._clock, self.refuses.get(str(order.target)))
        self.legs.append(leg)
        return leg

    def to(self, target: str) -> ScriptedLeg:
        return next(leg for leg in self.legs if str(leg.order.target) == target)
