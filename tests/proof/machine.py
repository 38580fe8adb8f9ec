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
REQUEST = st.tuples(EVENTS, st.lists(DIAL, min_size=1, max_size=2))  # what its own callback wants, its Dials
CODE = st.sampled_from([404, 480, 486, 603])
OPENING = st.tuples(INDEX, st.sampled_from(["rings", "answers", "answers", "refuses", "hangs up"]))
WAITS = ("retries are due", "leases lapse", "release", "sweep", "age")
CRASH = st.tuples(st.just("crash"), st.sampled_from(["before", "after"]), st.integers(0, 5))
FAULT = st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered", "twice"]), st.integers(0, 3))
MISHAP = st.one_of(CRASH, FAULT)


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

    @initialize(
        requests=st.lists(REQUEST, min_size=1, max_size=3),
        waiting=st.integers(0, 3),
        peers=st.lists(OPENING, max_size=6),
    )
    def begins(self, requests: list[Any], waiting: int, peers: list[Any]) -> None:
        """In the middle of things: some dials wait, some are with a worker and their peers have spoken."""
        self.step(self._begins(requests, waiting))
        for which, what in peers:
            if self._staff.peers:
                self._peer_does(which, what, 486, NOTHING)

    async def _begins(self, requests: list[Any], waiting: int) -> None:
        await self.world.start()
        worker = self.world.workers[0]
        for nr, (parent, dials) in enumerate(requests):
            await self.world.place(parent, dials)
            if nr >= waiting - 1:
                await self._staff.does(worker, worker.claim(), lambda: self._staff.claimed(worker), NOTHING)

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

    @precondition(lambda self: len(self.world.families) < 6)
    @rule(request=REQUEST)
    def places(self, request: Any) -> None:
        self.step(self.world.place(*request))

    @rule(which=INDEX, leg=st.integers(-1, 3), status=st.sampled_from(["completed", "canceled"]))
    def hangs_up(self, which: int, leg: int, status: str) -> None:
        family = _of(self.world.families, which)
        named = [call for call in family.calls if call.sid]
        self.step(self.world.hang_up(named[0] if leg < 0 else _of(named, leg + 1), status))

    # Peers

    @precondition(lambda self: self._staff.peers)
    @rule(which=INDEX, what=st.sampled_from(["rings", "answers", "answers", "moves"]))
    def peer_speaks(self, which: int, what: str) -> None:
        self._peer_does(which, what, 0, NOTHING)

    @precondition(lambda self: self._staff.peers)
    @rule(which=INDEX, what=st.sampled_from(["refuses", "silence", "hangs up"]), code=CODE)
    def peer_ends(self, which: int, what: str, code: int) -> None:
        self._peer_does(which, what, code, NOTHING)

    @precondition(lambda self: self._staff.peers)
    @rule(which=INDEX, what=st.sampled_from(["rings", "answers", "refuses", "hangs up"]), code=CODE, mishap=MISHAP)
    def peer_does_as_its_worker_fails(self, which: int, what: str, code: int, mishap: Mishap) -> None:
        self._peer_does(which, what, code, mishap)

    def _peer_does(self, which: int, what: str, code: int, mishap: Mishap) -> None:
        peer, staff = _of(self._staff.peers, which), self._staff
        if peer.home.wire.is_held:
            mishap = NOTHING
        self.step(staff.does(peer.home, staff.peer(peer, what, code), lambda: staff.heard(peer, what, code), mishap))

    # Workers

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, what=st.sampled_from(["claims", "claims", "obeys", "sweeps", "beats"]))
    def worker(self, which: int, what: str) -> None:
        self._worker_does(which, what, NOTHING)

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX, what=st.sampled_from(["claims", "obeys", "sweeps"]), mishap=MISHAP)
    def worker_fails_as_it(self, which: int, what: str, mishap: Mishap) -> None:
        self._worker_does(which, what, mishap)

    @precondition(lambda self: len(self.world.workers) < 4)
    @rule()
    def worker_comes(self) -> None:
        self.step(self.world.hire())

    def _worker_does(self, which: int, what: str, mishap: Mishap) -> None:
        worker, staff = _of(self._staff.free, which), self._staff
        if what == "claims":
            self.step(staff.does(worker, worker.claim(), lambda: staff.claimed(worker), mishap))
        elif what == "obeys":
            self.step(staff.does(worker, worker.obey(), lambda: staff.obeyed(worker), mishap))
        elif what == "sweeps":
            self.step(staff.does(worker, worker.sweep(), lambda: staff.swept(worker), mishap))
        else:
            self.step(staff.beats(worker))

    @precondition(lambda self: len(self._staff.free) > 1)
    @rule(which=INDEX, side=st.sampled_from(["before", "after"]), claiming=st.booleans(), lapses=st.booleans())
    def worker_loses_the_database(self, which: int, side: Any, claiming: bool, lapses: bool) -> None:
        """Stopped, cut off or only slow: nobody can tell. It may be taken for dead."""
        worker = _of(self._staff.free, which)
        self.step(self._staff.freezes(worker, side, claiming=claiming))
        if lapses:
            self.step(self._staff.lapses(self.world.workers.index(worker)))

    @precondition(lambda self: self._staff.frozen)
    @rule(which=INDEX)
    def worker_wakes_up(self, which: int) -> None:
        self.step(self._staff.thaws(_of(self._staff.frozen, which)))

    @precondition(lambda self: self.world.workers)
    @rule(which=INDEX, drained=st.booleans(), replaced=st.booleans())
    def worker_dies(self, which: int, drained: bool, replaced: bool) -> None:
        worker = _of(self.world.workers, which)
        drained = drained and not worker.wire.is_held
        self.step(self._staff.drains(worker) if drained else self._staff.kills(worker))
        if replaced or len(self.world.workers) < 2:
            self.step(self.world.hire())

    @rule(which=INDEX)
    def lease_lapses(self, which: int) -> None:
        """Of a worker that is alive, or of all that are not."""
        self.step(self._staff.lapses(which))

    @precondition(lambda self: self._staff.free)
    @rule(which=INDEX)
    def the_dead_are_found(self, which: int) -> None:
        self.step(self._staff.lapses(99))
        self._worker_does(which, "sweeps", NOTHING)

    # Time

    @precondition(lambda self: self.world.clock.next_alarm() is not None)
    @rule(seconds=st.one_of(st.none(), st.integers(1, 9)))
    def time_passes(self, seconds: int | None) -> None:
        """To the next alarm, or not quite."""
        self.step(self._staff.waits(seconds))

    @precondition(lambda self: self._staff.due())
    @rule(really=st.integers(0, 5))
    def nobody_came_in_time(self, really: int) -> None:
        if really == 5:
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

    @precondition(lambda self: self.world.stored.owed or self.world.stored.past)
    @rule(
        what=st.sampled_from(["is killed", "is killed claiming", "replays", *WAITS]),
        which=st.integers(0, 20),
        side=st.sampled_from(["before", "after"]),
    )
    def deliveries(self, what: str, which: int, side: str) -> None:
        if what == "replays":
            self.step(self._couriers.replay(which))
        elif what in WAITS:
            self.step(self._couriers.wait(what, which))
        else:
            self.step(self._couriers.kill(which, side if what == "is killed claiming" else None))


def _of(things: list[Any], which: int) -> Any:
    return things[which % len(things)]
