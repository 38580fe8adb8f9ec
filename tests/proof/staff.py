"""The workers' steps: what each does, with a crash or a fault in the middle of it, and what the model makes of it."""

from collections.abc import Callable, Coroutine
from typing import Any

from app.calls.outcome import Reason, hung_up, of_response
from tests.proof.model import Family
from tests.proof.process import Peer, Worker
from tests.proof.stored import look
from tests.proof.world import SEEN, World

Mishap = tuple[str, Any, int]  # what, how, and after how many transactions

NOTHING: Mishap = ("nothing", "", 0)


class Staff:
    def __init__(self, world: World) -> None:
        self.world = world
        self._claiming: dict[str, str] = {}  # workers whose claim stands still, and on which side of its commit

    @property
    def free(self) -> list[Worker]:
        return [worker for worker in self.world.workers if not worker.wire.is_held]

    @property
    def frozen(self) -> list[Worker]:
        return [worker for worker in self.world.workers if worker.wire.is_held]

    @property
    def peers(self) -> list[Peer]:
        return [peer for peer in self.world.wires.invited if peer.home.is_alive and not peer.is_over]

    @property
    def deaf(self) -> list[Peer]:
        """Who may hear what a living worker repeats."""
        return [peer for peer in self.world.wires.invited if peer.home.is_alive and peer.is_left_up]

    async def does(
        self, worker: Worker, work: Coroutine[Any, Any, Any], model: Callable[[], None], mishap: Mishap
    ) -> None:
        kind, how, passing = mishap
        if kind != "nothing":
            SEEN[f"steps with a {kind} in the middle"] += 1
        before = self.world.remember()
        if kind == "crash":
            worker.wire.hold(how, passing)
        elif kind == "fault":
            worker.wire.fail(how, passing)
        heard = await worker.do(work)
        worker.wire.heal()
        if heard is not False or passing:  # else the database was not reached at all
            model()
        self.world.advance(hopeful=worker if kind == "crash" else None)
        if kind == "crash":
            await self.kills(worker)
        if kind != "nothing":
            await self.world.adopt(before, worker)

    def claimed(self, worker: Worker) -> None:
        self._disowns(worker)
        for family in self.due():
            if not family.waited_too_long:
                family.is_claimed(worker.id)
                family.starts(worker.name)

    def swept(self, worker: Worker) -> None:
        self._disowns(worker)
        for family in self.due():
            if family.waited_too_long:
                family.is_not_taken()
                SEEN["dials nobody took"] += 1
        for family in self.world.families:
            if not family.over and family.holder in self.world.dead:
                self.world.take_as_stored(family)
                family.is_judged()
                SEEN["dials rescued" if family.over else "dials handed back"] += 1

    def obeyed(self, worker: Worker) -> None:
        for family in self.world.run_by(worker):
            family.obeys()
        if any(family.parent.wish for family in self.due()):
            self._disowns(worker)
            self._ends_waiting()

    def _ends_waiting(self) -> None:
        for family in self.due():
            if family.parent.wish:
                family.is_ended_waiting()

    def _disowns(self, worker: Worker) -> None:
        """What it was given without hearing of it."""
        for family in self.world.families:
            if not family.over and family.holder == worker.id and family.runner is None:
                family.holder = 0
                SEEN["claims never heard of, given back"] += 1

    def due(self) -> list[Family]:
        return [family for family in self.world.families if family.holder == -1 and not family.over]

    async def peer(self, peer: Peer, what: str, code: int) -> None:
        if what == "rings":
            peer.rings()
        elif what == "moves":
            peer.moves()
        elif what == "answers" and not peer.is_answered:
            peer.answers()
        elif what == "refuses" and not peer.is_answered:
            peer.ends(of_response(code))
        elif what == "silence" and peer.is_answered:
            peer.falls_silent()
        elif what == "hangs up" and peer.is_answered:
            peer.ends(hung_up(Reason.CALLEE_HANGUP))

    def heard(self, peer: Peer, what: str, code: int) -> None:
        world, was_answered = self.world, peer.is_answered
        peer.is_answered = was_answered or what == "answers"
        if (what == "refuses" and not was_answered) or (what == "hangs up" and was_answered):
            peer.is_over = True
        family = next((f for f in world.run_by(peer.home) if any(leg.sid == peer.sid for leg in f.legs)), None)
        if family is None:
            return
        leg = next(leg for leg in family.legs if leg.sid == peer.sid)
        if leg.final or not leg.invited:
            return
        if what == "rings":
            family.rings(leg)
        elif what == "answers" and not was_answered:
            family.answers(leg, world.clock.monotonic())
        elif what == "refuses" and not was_answered:
            leg.end(of_response(code))
        elif what == "silence" and was_answered:
            leg.end(hung_up(Reason.MEDIA_TIMEOUT))
        elif what == "hangs up" and was_answered:
            leg.end(hung_up(Reason.CALLEE_HANGUP))

    async def beats(self, worker: Worker) -> None:
        world, old = self.world, worker.id
        is_taken = old not in world.stored.workers
        mine = world.run_by(worker)
        await worker.heartbeat()
        assert (worker.id != old) == is_taken
        if is_taken:
            SEEN["workers that woke up after they were taken for dead"] += 1
            world.dead.add(old)
            for family in mine:
                family.runner = None
        else:
            world.dead.discard(old)

    async def freezes(self, worker: Worker, side: Any, *, claiming: bool) -> None:
        worker.wire.hold(side)
        SEEN["workers cut from the database"] += 1
        if not claiming:
            return
        self._claiming[worker.name] = side
        worker.begin(worker.claim())
        await self.world.traffic.settle()
        if side == "after":
            self._disowns(worker)
            for family in self.due():
                if not family.waited_too_long:
                    family.is_claimed(worker.id)

    async def thaws(self, worker: Worker) -> None:
        worker.wire.release()
        await self.world.traffic.settle()
        side = self._claiming.pop(worker.name, None)
        if side == "before":
            self.claimed(worker)
        elif side == "after":
            for family in self.world.families:
                if family.holder == worker.id and family.runner is None and not family.over:
                    family.starts(worker.name)
        self.world.advance()

    async def kills(self, worker: Worker) -> None:
        world = self.world
        await worker.crash()
        world.workers.remove(worker)
        SEEN["workers killed or drained"] += 1
        self._claiming.pop(worker.name, None)
        await world.traffic.settle()
        world.stored = await look(world.database)
        for family in world.families:
            if family.runner == worker.name and not family.over:
                world.take_as_stored(family)
                family.runner = None

    async def drains(self, worker: Worker) -> None:
        for family in self.world.run_by(worker):
            family.is_given_up()
        await worker.do(worker.leave())
        self.world.advance()
        self.world.dead.add(worker.id)
        await self.kills(worker)

    async def lapses(self, which: int) -> None:
        world = self.world
        alive = {worker.id for worker in world.workers}
        if which < len(world.workers):
            ids = {world.workers[which].id}
        else:
            ids = {family.holder for family in world.families if family.holder > 0}
            ids = (ids | set(world.stored.goodbyes.values())) - alive
        await world.sql("UPDATE worker SET lease_until = now() - interval '1 s' WHERE id = ANY(:ids)", ids=list(ids))
        world.dead |= ids

    async def waits(self, seconds: int | None) -> None:
        world, alarm = self.world, self.world.clock.next_alarm()
        left = None if alarm is None else alarm - world.clock.monotonic()
        for peer in self.deaf:
            peer.hears()
        await world.clock.move(min(n for n in (seconds, left) if n is not None))
        await world.traffic.settle()
        for worker in world.workers:
            for family in world.run_by(worker):
                family.alarm(world.clock.monotonic())
        world.advance()

    async def expires(self) -> None:
        await self.world.sql("UPDATE calls SET run_at = now() - interval '1 day' WHERE run_at IS NOT NULL")
        for family in self.due():
            family.waited_too_long = True

    async def to_the_end(self) -> None:
        world = self.world
        for worker in list(self.frozen):
            await self.thaws(worker)
        await world.compare()
        for worker in list(world.workers):
            await self.beats(worker)
        survivor = world.workers[0] if world.workers else await world.hire()
        await self.lapses(99)
        for _ in range(6):
            for work, model in (
                (survivor.sweep, self.swept),
                (survivor.claim, self.claimed),
                (survivor.obey, self.obeyed),
            ):
                await self.does(survivor, work(), lambda model=model: model(survivor), NOTHING)  # type: ignore[misc]
                await world.compare()
            for peer in self.peers:
                what = "hangs up" if peer.is_answered else "refuses"
                await self.does(
                    peer.home, self.peer(peer, what, 486), lambda p=peer, w=what: self.heard(p, w, 486), NOTHING
                )  # type: ignore[misc]
            await world.compare()
        for worker in world.workers:
            await self.does(worker, worker.sweep(), lambda w=worker: self.swept(w), NOTHING)  # type: ignore[misc]
        await world.compare()
        assert all(family.over for family in world.families)
        assert not world.stored.goodbyes, "a goodbye that nobody says or settles"
        for peer in world.wires.invited:
            assert peer.is_down or peer.is_over, f"{peer.sid} is still up"
