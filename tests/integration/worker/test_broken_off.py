"""What a worker has claimed is ended even when the database goes away before it has claimed all it wanted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.calls.call import NewCall
from app.calls.errors import Unavailable
from app.dialing.rescue import Rescue
from app.store.changes import Changes
from app.store.database import Database, Work
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.worker.lease import Holder, Lease
from app.worker.sweep import Sweep
from tests.integration.store.make import place, rows, value
from tests.kit.clock import FakeClock
from tests.kit.phone import ScriptedPhone


class GoesAway(Database):
    """Refuses one transaction after `passing` others."""

    passing = -1

    async def run(self, work: Work[Any], **options: Any) -> Any:
        self.passing -= 1
        if self.passing == -1:
            raise Unavailable("away")
        return await super().run(work, **options)


class Stranger(ScriptedPhone):
    async def hang_up_stranger(self, facts: object) -> None:
        raise AssertionError("nobody was called")


@dataclass(slots=True)
class Sweeper:
    database: GoesAway  # of the queue alone: changes are written on another one
    queue: DialQueue
    lease: Lease
    sweep: Sweep
    rescue: Rescue


@pytest.fixture
async def sweeper(database_url: str, database: Database, sealer: Sealer) -> AsyncIterator[Sweeper]:
    clock, fickle = FakeClock(), GoesAway(database_url, pool_size=2)
    queue, changes = DialQueue(fickle, sealer), Changes(database, sealer)
    await changes.start()
    lease, rescue = Lease(queue, Holder("worker", 10), clock), Rescue(changes, clock)
    await lease.register()
    yield Sweeper(fickle, queue, lease, Sweep(queue, lease, rescue, max_wait=5, phone=Stranger(clock)), rescue)
    await changes.stop()
    await fickle.close()


async def unended(database: Database) -> int:
    return int(await value(database, "SELECT count(*) FROM calls WHERE end_time IS NULL"))


async def test_dials_that_waited_too_long_end_though_the_look_for_lost_ones_fails(
    sweeper: Sweeper, database: Database, sealer: Sealer
) -> None:
    await place(database, sealer)
    await rows(database, "UPDATE calls SET run_at = now() - interval '1 minute' WHERE run_at IS NOT NULL")
    sweeper.database.passing = 1
    with pytest.raises(Unavailable):
        await sweeper.sweep._once()
    assert await unended(database) == 0


async def test_dials_that_the_api_ended_end_though_the_next_one_cannot_be_taken(
    sweeper: Sweeper, database: Database, sealer: Sealer
) -> None:
    placed: list[list[NewCall]] = [await place(database, sealer) for _ in range(3)]
    await rows(database, "UPDATE calls SET wanted = 'completed' WHERE parent_sid IS NULL")
    sweeper.database.passing = 3  # the list, the first, the second
    for dial in await sweeper.queue.take_wanted(sweeper.lease.worker_id):
        await sweeper.rescue.ended_before_taken(dial)
    assert await unended(database) == len(placed[2])
