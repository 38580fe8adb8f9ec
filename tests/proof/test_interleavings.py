"""Three workers, two dispatchers and their peers really at once: who comes first is left to chance, by many seeds."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from app.calls.event import ALL_EVENTS
from app.calls.outcome import Reason, hung_up, of_response
from app.calls.status import FINAL
from app.store.database import Database
from app.store.outbox import Delivery, Result
from tests.proof.process import Courier, Worker, crewed
from tests.proof.stored import check, check_moves, look
from tests.proof.world import DialSpec, World

_DIALS = 12
_LEG = (ALL_EVENTS, False)
_SECONDS = 2.0  # of trouble; then everything is left to end


class Throng:
    """Everybody's loops, each step at a random moment."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._is_trouble = True
        self.taken: list[str] = []  # message ids as the receiver took them

    async def run(self) -> None:
        world = self._world
        workers = [*world.workers, await world.hire()]
        for process in (*workers, *world.couriers):
            process.wire.dawdles = self._chance
        tasks = [worker.begin(self._works(worker)) for worker in workers]
        tasks += [courier.begin(self._delivers(courier)) for courier in world.couriers]
        tasks += [asyncio.create_task(work()) for work in (self._peers, self._trouble, self._watches)]
        ended = asyncio.create_task(self._everything_ends())
        done, _ = await asyncio.wait([*tasks, ended], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, ended):
            task.cancel()
        await asyncio.gather(*tasks, ended, return_exceptions=True)
        assert done, "it did not end"
        for task in done:
            await task
        assert ended in done

    async def _works(self, worker: Worker) -> None:
        while True:
            await asyncio.sleep(self._chance.random() * 0.02)
            await self._chance.choice((worker.claim, worker.claim, worker.obey, worker.sweep, worker.beat))()

    async def _delivers(self, courier: Courier) -> None:
        while True:
            claimed = await courier.outbox.claim(room=5, per_destination=50, busy={})
            self.taken += [delivery.message_id for delivery in claimed]
            await asyncio.sleep(self._chance.random() * 0.01)
            await courier.outbox.finish([_delivered(delivery) for delivery in claimed])

    async def _peers(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            for peer in self._world.wires.invited:
                if peer.is_over or self._chance.random() < 0.7:
                    continue
                if not peer.is_answered and self._chance.random() < 0.5:
                    peer.is_answered = True
                    peer.rings()
                    peer.answers()
                else:
                    peer.is_over = True
                    peer.ends(hung_up(Reason.CALLEE_HANGUP) if peer.is_answered else of_response(486))

    async def _trouble(self) -> None:
        """Leases lapse under workers that go on: each of them takes the calls of the others."""
        world, end = self._world, asyncio.get_running_loop().time() + _SECONDS
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self._chance.random() * 0.1)
            await world.sql(
                "UPDATE worker SET lease_until = now() - interval '1 s' WHERE id = :id",
                id=self._chance.choice(world.workers).id,
            )
        await world.place(ALL_EVENTS, [DialSpec((_LEG,), 20, 60)])  # nobody takes this one from whoever claims it
        self._is_trouble = False
        await asyncio.Event().wait()

    async def _watches(self) -> None:
        before = await look(self._world.database)
        while True:
            now = await look(self._world.database)
            check(now)
            check_moves(before, now)
            before = now
            await asyncio.sleep(0.01)

    async def _everything_ends(self) -> None:
        while True:
            now = await look(self._world.database)
            if not self._is_trouble and not now.owed and all(call["status"] in FINAL for call in now.calls.values()):
                return
            await self._world.sql("UPDATE webhook_outbox SET next_at = now() WHERE next_at > now()")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_take_each_others_calls_never_ring_twice_and_end_everything_once(
    database_url: str, seed: int
) -> None:
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(crewed)
        runner.run(_take_turns(database_url, random.Random(seed)))


async def _take_turns(url: str, chance: random.Random) -> None:
    database = Database(url, name="throng", pool_size=20)
    world = World(database)
    await world.start()
    for _ in range(_DIALS):
        dials = [DialSpec((_LEG,) * chance.randint(1, 3), 20, 60) for _ in range(chance.randint(1, 2))]
        await world.place(ALL_EVENTS, dials)
    throng = Throng(world, chance)
    await throng.run()
    stored = await look(database)
    check(stored)
    invited = [peer.sid for peer in world.wires.invited]
    assert len(invited) == len(set(invited)) > 0
    assert {row["message_id"] for row in stored.past.values()} == set(throng.taken)
    assert len(throng.taken) == len(set(throng.taken)), "no lease of a dispatcher lapsed, so nothing is sent twice"
    for worker in world.workers:
        await worker.heartbeat()
    assert all(peer.is_down or peer.is_over for peer in world.wires.invited), "somebody is still up"
    await world.stop()
    await database.close()


def _delivered(delivery: Delivery) -> Result:
    return Result(delivery, "delivered", None, 204, 3, None, b"", datetime.now(UTC))
