"""A scripted phone: the test says what the peer does, and sees what the call's logic asked for."""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from app.calls.audio import Audio, Pcm
from app.calls.errors import NoFreePort
from app.calls.outcome import Outcome, Reason, hung_up
from app.calls.ports import (
    Answered,
    Arrival,
    Clock,
    DialogFacts,
    Ended,
    LegOrder,
    Moved,
    Pressed,
    Progress,
    Signal,
    Silence,
)
from app.calls.sid import CallSid
from app.calls.status import Status


class ScriptedPlayback:
    """Goes on until it is stopped, or the test lets it end."""

    def __init__(self, what: str, asked: list[str]) -> None:
        self.what = what
        self._asked = asked
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        if not self.done.done():
            self._asked.append(f"stop {self.what}")
            self.done.set_result(False)

    def ends(self) -> None:
        self.done.set_result(True)


class ScriptedAudio:
    """Implements Audio: `asked` lists what was wanted of it; sounds are told by their text when they are UTF-8."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.playing: list[ScriptedPlayback] = []

    def play(self, sound: Pcm, *, times: int = 1) -> ScriptedPlayback:
        return self._begin(f"play {sound[:40].decode(errors='replace')}" + ("" if times == 1 else f" x{times}"))

    def press(self, keys: str) -> ScriptedPlayback:
        return self._begin(f"press {keys}")

    has_events = True

    def listen_for_tones(self, on: bool) -> None:
        self.asked.append(f"tones {'on' if on else 'off'}")

    def bridge(self, other: Audio) -> None:
        self.asked.append(f"bridge {getattr(other, 'name', '?')}")

    def overhear(self, other: Audio) -> None:
        self.asked.append(f"overhear {getattr(other, 'name', '?')}")

    def part(self) -> None:
        self.asked.append("part")

    def _begin(self, what: str) -> ScriptedPlayback:
        self.asked.append(what)
        playback = ScriptedPlayback(what, self.asked)
        self.playing.append(playback)
        return playback


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
    audio: ScriptedAudio = field(init=False)

    def __post_init__(self) -> None:
        self.audio = ScriptedAudio(str(self.order.target))

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

    def is_heard_early(self) -> None:
        self.heard = True
        self.signals.put_nowait(Progress(self.clock.now(), 183, "Session Progress", True, self.dialog, True))

    def presses(self, keys: str, by: Literal["rtp", "info", "tone"] = "rtp") -> None:
        for key in keys:
            self.signals.put_nowait(Pressed(self.clock.now(), key, by))

    def moves(self) -> None:
        self.signals.put_nowait(Moved(self.dialog))

    def falls_silent(self) -> None:
        self.signals.put_nowait(Silence(self.clock.now()))

    def ends(self, outcome: Outcome) -> None:
        self.heard = True
        self.signals.put_nowait(Ended(self.clock.now(), outcome))


class ScriptedArrival:
    """An inbound caller's leg; `asked` as above."""

    def __init__(self, arrival: Arrival, clock: Clock) -> None:
        self.arrival = arrival
        self.signals: asyncio.Queue[Signal] = asyncio.Queue()
        self.audio = ScriptedAudio("caller")
        self.asked: list[str] = []
        self._clock = clock

    def follow(self, call_sid: CallSid) -> None:
        self.asked.append(f"follow {call_sid}")

    def facts(self) -> DialogFacts:
        return DialogFacts(call_id="arrival@peer", state="incoming", transport="udp")

    def ring(self) -> None:
        self.asked.append("ring")

    def open_early(self) -> None:
        self.asked.append("open early")

    def answer(self) -> None:
        self.asked.append("answer")

    def reject(self, code: int, phrase: str) -> None:
        self.asked.append(f"reject {code}")

    def hang_up(self) -> None:
        self.asked.append("hang up")

    def acknowledges(self) -> None:
        self.signals.put_nowait(Answered(self._clock.now(), 200, "OK", (), self.facts()))

    def presses(self, keys: str) -> None:
        for key in keys:
            self.signals.put_nowait(Pressed(self._clock.now(), key))

    def cancels(self) -> None:
        self.signals.put_nowait(Ended(self._clock.now(), Outcome(Status.CANCELED, Reason.CALLER_HANGUP)))

    def hangs_up(self) -> None:
        self.signals.put_nowait(Ended(self._clock.now(), hung_up(Reason.CALLER_HANGUP)))


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
