"""A worker that is taken for dead may be in the middle of a commit: what it commits counts, and nothing after it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import NewCall
from app.store.database import Database
from app.store.held import ADD_LEGS, HOLD_PARENT
from app.store.lost import LostDial
from app.store.queue import ClaimedDial, DialQueue
from app.store.rows import row_of, to_json
from app.store.seal import Sealer
from tests.integration.store.make import leg, place, rows, value

_BLOCKED = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def claimed(database: Database, sealer: Sealer) -> tuple[NewCall, ClaimedDial, int]:
    first, _ = await place(database, sealer)
    queue = DialQueue(database, sealer)
    worker = await queue.register(role="worker", capacity=1, sip_host="127.0.0.1", sip_port=5060)
    [dial] = await queue.claim(worker, limit=1, max_wait=60)
    await rows(database, "UPDATE worker SET lease_until = now() - interval '1 s'")
    return first, dial, worker


@asynccontextmanager
async def writing(database: Database, taken: "list[LostDial]", sealer: Sealer) -> AsyncIterator[AsyncConnection]:
    """A transaction that is committed while a rescuer waits for it; what that one took is in `taken` afterwards."""
    queue = DialQueue(database, sealer, lease=0.0)
    survivor = await DialQueue(database, sealer).register(role="worker", capacity=1, sip_host="h", sip_port=1)
    async with database.engine.begin() as connection:
        yield connection
        looking = asyncio.create_task(queue.lost(survivor))
        async with asyncio.timeout(1.5):
            while not looking.done() and not await value(database, _BLOCKED):
                await asyncio.sleep(0.005)
    taken += await looking


async def test_legs_that_are_just_being_added_are_taken_over_with_their_parent(
    database: Database, sealer: Sealer
) -> None:
    first, dial, worker = await claimed(database, sealer)
    await rows(database, "UPDATE calls SET dialed_at = now() WHERE sid = :sid", sid=dial.legs[0].sid)
    taken: list[LostDial] = []
    async with writing(database, taken, sealer) as connection:
        owner = {"parent": first.sid, "epoch": 1, "worker": worker}
        await connection.execute(HOLD_PARENT, owner)
        await connection.execute(ADD_LEGS, {"legs": to_json([row_of(leg(first, 1), sealer)]), "worker": worker})
    assert [(one.leg_index, one.epoch) for one in taken[0].legs] == [(0, 2), (1, 2)]


async def test_a_leg_that_is_just_being_dialled_is_not_handed_back_to_be_dialled_again(
    database: Database, sealer: Sealer
) -> None:
    _, dial, _ = await claimed(database, sealer)
    taken: list[LostDial] = []
    async with writing(database, taken, sealer) as connection:
        initiated = "UPDATE calls SET status = 'initiated', dialed_at = now(), last_seq = 1 WHERE sid = :sid"
        await connection.execute(text(initiated), {"sid": dial.legs[0].sid})
    assert [one.parent.sid for one in taken] == [dial.parent.sid]
    assert await value(database, "SELECT count(*) FROM calls WHERE run_at IS NOT NULL") == 0
