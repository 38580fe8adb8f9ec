"""A rescued parent ends after its legs, however the writers of changes overlap."""

import asyncio

from app.calls.change import Change
from app.dialing.rescue import Rescue
from app.store.database import Database
from app.store.queue import DialQueue
from app.store.seal import Sealer
from tests.integration.store.make import place
from tests.kit.clock import FakeClock, settle


class SlowJournal:
    """Keeps every change until the test lets it through."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[None]] = {}

    def write(self, change: Change) -> "asyncio.Future[None]":
        self.waiting[change.sid] = asyncio.get_running_loop().create_future()
        return self.waiting[change.sid]


async def test_the_parent_of_a_rescued_dial_ends_when_the_last_of_its_legs_is_written(
    database: Database, sealer: Sealer
) -> None:
    parent, one, other = (call.sid for call in await place(database, sealer, legs=2))
    queue, journal = DialQueue(database, sealer), SlowJournal()
    worker = await queue.register(role="worker", capacity=1, sip_host="127.0.0.1", sip_port=5060)
    [dial] = await queue.claim(worker, limit=1, max_wait=60)
    ending = asyncio.create_task(Rescue(journal, FakeClock()).lost(dial.parent, dial.legs))
    await settle()
    journal.waiting[one].set_result(None)
    await settle()
    assert journal.waiting.keys() == {one, other}
    journal.waiting[other].set_result(None)
    await settle()
    journal.waiting[parent].set_result(None)
    await ending
