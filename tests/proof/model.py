"""The reference: what a dial request must become, said in as little code as possible. Knows no database and no task.

Each call has a log of what happened to it, in order. A worker whose database stands still goes on: then the tail of a
log is not stored yet (`acked`), and what somebody else takes over is whatever had been stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.calls.event import Event
from app.calls.outcome import (
    ADDRESS_DENIED,
    CANCELED_BY_API,
    DOCUMENT_END,
    LOST_RACE,
    NO_ANSWER,
    NO_CAPACITY,
    UNREACHABLE,
    Outcome,
    Reason,
    hung_up,
    worker_lost,
)
from app.calls.status import FINAL, Status

API = hung_up(Reason.API)


@dataclass(frozen=True, slots=True)
class Step:
    event: Event
    status: Status
    reason: str | None = None


@dataclass(eq=False)
class CallModel:
    """`events`: what its callback wants; None: it has no callback."""

    events: frozenset[Event] | None
    sid: str = ""  # of a later Dial's leg only once it is stored
    log: list[Step] = field(default_factory=list)
    acked: int = 0
    wish: str | None = None

    @property
    def status(self) -> Status:
        return self.log[-1].status if self.log else Status.QUEUED

    @property
    def final(self) -> bool:
        return self.status in FINAL

    @property
    def durable(self) -> bool:
        return self.acked == len(self.log)

    def had(self, event: Event) -> bool:
        return any(step.event is event for step in self.log)

    def add(self, event: Event, status: Status) -> None:
        self.log.append(Step(event, status))

    def end(self, outcome: Outcome) -> None:
        if not self.final:
            self.log.append(Step(Event.COMPLETED, outcome.status, outcome.reason))

    def sent(self, steps: int) -> list[Step]:
        """What the callback is owed of the first `steps` steps, in the order of its numbers."""
        return [step for step in self.log[:steps] if self.events is not None and step.event in self.events]


@dataclass(eq=False)
class LegModel(CallModel):
    denied: bool = False  # its address may not be dialled
    invited: bool = False  # in this run
    heard: bool = False
    deadline: float = 0.0

    @property
    def answered(self) -> bool:
        return self.had(Event.ANSWERED)


@dataclass(eq=False)
class DialModel:
    legs: list[LegModel]
    timeout: int
    time_limit: int
    stored: bool = False


@dataclass(eq=False)
class Family:
    """One dial request: its parent, its Dials with their legs, and who runs it."""

    parent: CallModel
    dials: list[DialModel]
    holder: int = -1  # the worker whose it is in the database; -1: it waits for one
    runner: str | None = None  # the process that has it in its hands
    waited_too_long: bool = False
    current: int = 0
    connected: bool = False
    ending: Outcome | None = None
    wish: str | None = None  # the parent's, as it was when the claim was committed
    unwanted: list[LegModel] = field(default_factory=list)  # the same of the legs

    @property
    def calls(self) -> Iterator[CallModel]:
        yield self.parent
        yield from self.legs

    @property
    def legs(self) -> Iterator[LegModel]:
        for dial in self.dials:
            if dial.stored:
                yield from dial.legs

    def is_claimed(self, holder: int) -> None:
        self.holder, self.wish = holder, self.parent.wish
        self.unwanted = [leg for leg in self.legs if leg.wish]

    @property
    def over(self) -> bool:
        return self.parent.final

    def starts(self, runner: str) -> None:
        self.runner, self.current, self.connected = runner, 0, False
        self.ending = CANCELED_BY_API if self.wish else None
        if self.parent.status is Status.QUEUED:
            self.parent.add(Event.INITIATED, Status.IN_PROGRESS)
        for leg in self.unwanted:
            leg.end(CANCELED_BY_API)
        self._rings()

    def _rings(self) -> None:
        for leg in self.dials[self.current].legs:
            leg.invited = leg.heard = False
            if self.ending is not None:
                leg.end(CANCELED_BY_API)
            elif leg.denied:
                leg.end(ADDRESS_DENIED)
            elif not leg.final:
                leg.add(Event.INITIATED, Status.INITIATED)

    def goes_on(self, now: float, *, writes: bool) -> None:
        """All that follows by itself; `writes`: whether its worker reaches the database."""
        while True:
            if writes:
                for call in self.calls:
                    call.acked = len(call.log)
            dial = self.dials[self.current]
            for leg in dial.legs:
                if leg.status is Status.INITIATED and leg.durable and not leg.invited:
                    leg.invited, leg.deadline = True, now + dial.timeout
            if not writes or self.over or not all(leg.final for leg in dial.legs):
                return
            if self.ending is None and self.current + 1 < len(self.dials):
                self.current += 1
                self.dials[self.current].stored = True
                self._rings()
            else:
                self.parent.end(self.ending or DOCUMENT_END)

    # What the peers do

    def rings(self, leg: LegModel) -> None:
        leg.heard = True
        if leg.status is Status.INITIATED:
            leg.add(Event.RINGING, Status.RINGING)

    def answers(self, leg: LegModel, now: float) -> None:
        leg.heard = True
        leg.add(Event.ANSWERED, Status.IN_PROGRESS)
        leg.deadline = now + self.dials[self.current].time_limit
        self.connected = True
        for other in self.dials[self.current].legs:
            if other is not leg:
                other.end(LOST_RACE)

    def alarm(self, now: float) -> None:
        for leg in self.dials[self.current].legs:
            if leg.invited and not leg.final and leg.deadline <= now:
                if leg.answered:
                    leg.end(hung_up(Reason.TIME_LIMIT))
                else:
                    leg.end(NO_ANSWER if leg.heard else UNREACHABLE)

    # What the API asks

    def obeys(self) -> None:
        """Its worker looks at what is wished."""
        if self.parent.wish:
            self._stops(API if self.connected else CANCELED_BY_API)
        for leg in self.legs:
            if leg.wish:
                leg.end(API if leg.answered else CANCELED_BY_API)

    def _stops(self, outcome: Outcome) -> None:
        self.ending = self.ending or outcome
        for leg in self.dials[self.current].legs:
            leg.end(API if leg.answered else CANCELED_BY_API)

    def is_given_up(self) -> None:
        """Its worker drains."""
        self.ending = self.ending or worker_lost(answered=self.connected)
        for leg in self.dials[self.current].legs:
            leg.end(worker_lost(answered=leg.answered))

    # What happens to it when nobody runs it

    def is_not_taken(self) -> None:
        self._all_end(CANCELED_BY_API if self.parent.wish else NO_CAPACITY)

    def is_ended_waiting(self) -> None:
        self._all_end(CANCELED_BY_API)

    def _all_end(self, outcome: Outcome) -> None:
        for call in self.calls:
            call.end(outcome)
        self._is_settled()

    def is_judged(self) -> None:
        """Its worker is dead: back to the queue when no INVITE can have left, else the end."""
        if not any(leg.had(Event.INITIATED) for leg in self.legs):
            self.holder, self.runner, self.waited_too_long = -1, None, False
            return
        answered = any(leg.answered for leg in self.legs)
        for leg in self.legs:
            leg.end(worker_lost(answered=leg.answered))
        self.parent.end(worker_lost(answered=answered))
        self._is_settled()

    def _is_settled(self) -> None:
        self.runner = None
        for call in self.calls:
            call.acked = len(call.log)
