"""The state machine: which steps there are, in any order, with a crash or a fault in the middle of any of them."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from app.calls.event import ALL_EVENTS, Event
from app.store.database import Database
from tests.proof.couriers import Couriers
from tests.proof.staff import NOTHING, Mishap, Staff
from tests.proof.world import DialSpec, World

INDEX = st.integers(0, 5)
EVENTS = st.sampled_from([ALL_EVENTS, None, frozenset({Event.COMPLETED}), frozenset({Event.INITIATED, Event.ANSWERED})])
LEG = st.tuples(EVENTS, st.integers(0, 4).map(lambda n: n == 4))
DIAL = st.builds(
    DialSpec,
    st.lists(LEG, min_size=1, max_size=3).map(tuple),
    timeout=st.sampled_from([10, 20]),
    time_limit=st.sampled_from([30, 60]),
)
CRASH = st.tuples(st.just("crash"), st.sampled_from(["before", "after"]), st.integers(0, 5))
FAULT = st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered", "twice"]), st.integers(0, 3))
MISHAP = st.one_of(st.just(NOTHING), st.just(NOTHING), CRASH, FAULT)


class Machine(RuleBasedStateMachine):
    """Two workers to begin with, two dispatchers, one API process, and everybody's peers and clock."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner = runner
        self.world = World(database)
        self._couriers = Couriers(self.world)
        self._staff = Staff(self.world)
        self._is_broken = False

    def step(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self._runner.run(self._step(work))
        except BaseException:
            self._is_broken = True
            raise

    async def _step(self, work: Coroutine[Any, Any, Any]) -> None:
        await work
        await self.world.compare()

    @initialize(parent=EVENTS, dials=st.lists(DIAL, min_size=1, max_size=2))
    def begins(self, parent: Any, dials: list[DialSpec]) -> None:
        self.step(self._begins(parent, dials))

    async def _begins(self, parent: Any, dials: list[DialSpec]) -> None:
        await self.world.start()
        await self.world.place(parent, dials)

    def teardown(self) -> None:
        try:
            if not self._is_broken:
                self._runner.run(self._end())
        finally:
            self._runner.run(self.world.stop())

    async def _end(self) -> None:
        """Whatever happened: with one worker and one dispatcher left, all of it comes to its end."""
        await self._staff.to_the_end()
        await self._couriers.to_the_end()
        await self.world.compare()

    # The customer

    @rule(parent=EVENTS, dials=st.lists(DIAL, min_size=1, max_size=2))
    def places(self, parent: Any, dials: list[DialSpec]) -> None:
        self.step(self.world.place(parent, dials))

    @precondition(lambda self: self.world.families)
    @rule(which=INDEX, leg=st.integers(-1, 3), status=st.sampled_from(["completed", "canceled"]))
    def hangs_up(self, which: int, leg: int, status: str) -> None:
        family = _of(self.world.families, which)
        named = [call for call in family.calls if call.sid]
        self.step(self.world.hang_up(named[0] if leg < 0 else _of(named, leg + 1), status))

    # Workers

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, mishap=MISHAP)
    def claims(self, which: int, mishap: Mishap) -> None:
        worker = _of(self._staff.free, which)
        self.step(self._staff.does(worker, worker.claim(), lambda: self._staff.claimed(worker), mishap))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, mishap=MISHAP)
    def sweeps(self, which: int, mishap: Mishap) -> None:
        worker = _of(self._staff.free, which)
        self.step(self._staff.does(worker, worker.sweep(), lambda: self._staff.swept(worker), mishap))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, mishap=MISHAP)
    def obeys(self, which: int, mishap: Mishap) -> None:
        worker = _of(self._staff.free, which)
        self.step(self._staff.does(worker, worker.obey(), lambda: self._staff.obeyed(worker), mishap))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX)
    def beats(self, which: int) -> None:
        self.step(self._staff.beats(_of(self._staff.free, which)))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, side=st.sampled_from(["before", "after"]), claiming=st.booleans())
    def loses_the_database(self, which: int, side: Any, claiming: bool) -> None:
        """Stopped, cut off or only slow: nobody can tell."""
        self.step(self._staff.freezes(_of(self._staff.free, which), side, claiming=claiming))

    @precondition(lambda self: self._staff.frozen)
    @rule(which=INDEX)
    def wakes_up(self, which: int) -> None:
        self.step(self._staff.thaws(_of(self._staff.frozen, which)))

    @precondition(lambda self: self.world.workers)
    @rule(which=INDEX)
    def is_killed(self, which: int) -> None:
        self.step(self._staff.kills(_of(self.world.workers, which)))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX)
    def drains(self, which: int) -> None:
        self.step(self._staff.drains(_of(self._staff.free, which)))

    @precondition(lambda self: len(self.world.workers) < 3)
    @rule()
    def is_hired(self) -> None:
        self.step(self.world.hire())

    @precondition(lambda self: self.world.families)
    @rule(which=INDEX)
    def lease_lapses(self, which: int) -> None:
        """Of a worker that is alive, or of all that are not."""
        self.step(self._staff.lapses(which))

    # Peers and time

    @precondition(lambda self: self._staff.peers)
    @rule(
        which=st.integers(0, 9),
        what=st.sampled_from(["rings", "answers", "moves", "refuses", "silence", "hangs up"]),
        code=st.sampled_from([404, 480, 486, 603]),
        mishap=MISHAP,
    )
    def peer_does(self, which: int, what: str, code: int, mishap: Mishap) -> None:
        peer = _of(self._staff.peers, which)
        worker = peer.home
        if worker.wire.is_held:
            mishap = NOTHING
        self.step(
            self._staff.does(
                worker, self._staff.peer(peer, what, code), lambda: self._staff.heard(peer, what, code), mishap
            )
        )

    @precondition(lambda self: self.world.clock.next_alarm() is not None)
    @rule()
    def alarm_rings(self) -> None:
        self.step(self._staff.waits(None))

    @precondition(lambda self: self.world.families)
    @rule(seconds=st.integers(1, 9))
    def time_passes(self, seconds: int) -> None:
        self.step(self._staff.waits(seconds))

    @precondition(lambda self: self._staff.due())
    @rule()
    def nobody_came_in_time(self) -> None:
        self.step(self._staff.expires())

    # Dispatchers

    @precondition(lambda self: self.world.stored.owed)
    @rule(which=INDEX, room=st.integers(1, 8), answers=st.lists(st.sampled_from([204, 500, 410]), min_size=1))
    def dispatcher_sends(self, which: int, room: int, answers: list[int]) -> None:
        self.step(self._couriers.send(which, room, answers))

    @precondition(lambda self: any(courier.hand for courier in self.world.couriers))
    @rule(which=INDEX, count=st.integers(1, 8), fault=st.sampled_from([None, None, "refused", "unanswered", "twice"]))
    def dispatcher_writes(self, which: int, count: int, fault: Any) -> None:
        self.step(self._couriers.write(which, count, fault))

    @precondition(lambda self: self.world.stored.owed)
    @rule(which=INDEX, asking=st.sampled_from([None, "before", "after"]))
    def dispatcher_is_killed(self, which: int, asking: Any) -> None:
        self.step(self._couriers.kill(which, asking))

    @precondition(lambda self: self.world.stored.owed)
    @rule(what=st.sampled_from(["retries are due", "leases lapse", "release", "sweep", "age"]), which=INDEX)
    def deliveries_wait(self, what: str, which: int) -> None:
        self.step(self._couriers.wait(what, which))

    @precondition(lambda self: self.world.stored.owed or self.world.stored.past)
    @rule(which=st.integers(0, 20))
    def replays(self, which: int) -> None:
        self.step(self._couriers.replay(which))


def _of(things: list[Any], which: int) -> Any:
    return things[which % len(things)]
