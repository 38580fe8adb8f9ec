"""The sweep of a worker hangs up what a dead one left on the wire: legs, and a caller's own leg."""

import asyncio
from typing import Any

from app.calls.change import Facts
from app.calls.ports import DialogFacts
from app.calls.status import Status
from app.dialing.rescue import Rescue
from app.runtime.clock import SteadyClock
from app.store.calls import CallReads
from app.store.changes import Changes
from app.store.database import Database
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.worker.lease import Holder, Lease
from app.worker.sweep import Sweep
from tests.integration.store.make import ACCOUNT, change, leg, parent, rows
from tests.integration.store.make import changes as open_changes

HELD = "SELECT worker_id FROM calls WHERE worker_id IS NOT NULL AND end_time IS NULL"


class Wire:
    """Stands for the phone: whom it was asked to hang up, and when they have heard."""

    def __init__(self, expected: int) -> None:
        self.worker_id = 0
        self.asked: list[Any] = []
        self.all_asked = asyncio.Event()
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected = expected

    async def hang_up_stranger(self, facts: DialogFacts) -> "asyncio.Future[None]":
        self.asked.append(facts["call_id"])
        if len(self.asked) == self._expected:
            self.all_asked.set()
        return self.heard


async def test_the_caller_and_the_callee_of_a_dead_worker_are_hung_up_and_an_ended_leg_is_not(
    database: Database, sealer: Sealer
) -> None:
    queue, clock = DialQueue(database, sealer, lease=600), SteadyClock()
    dead = await queue.register(role="worker", capacity=10, sip_host="127.0.0.1", sip_port=5060)
    inbound = parent()
    caller = await queue.adopt(dead, inbound, {"call_id": "the caller's", "state": "confirmed"})
    rings, busy = await queue.add_legs(dead, caller, [leg(inbound, index) for index in range(2)])
    async with open_changes(database, sealer) as writer:
        await writer.write(change(caller.sid, 1, Status.IN_PROGRESS, epoch=1))
        for one, call_id, status in ((rings, "the callee's", Status.INITIATED), (busy, "over", Status.BUSY)):
            await writer.write(change(one.sid, 1, status, epoch=1, facts=Facts(dialog={"call_id": call_id})))
        await rows(database, "UPDATE worker SET taken = true WHERE id = :id", id=dead)
        wire = await swept(queue, clock, writer)
        # As long as they have not heard, the calls are held: whoever finds this worker dead, too, hangs them up again.
        assert [one.worker_id for one in await rows(database, HELD)] == [wire.worker_id] * 2
        wire.heard.set_result(None)
        async with asyncio.timeout(10):
            while await rows(database, HELD):
                await asyncio.sleep(0.01)
    call = await CallReads(database, sealer).get(ACCOUNT, caller.sid)
    assert call is not None
    assert call.reason == "worker-lost"


async def swept(queue: DialQueue, clock: SteadyClock, writer: Changes) -> Wire:
    lease = Lease(queue, Holder("worker", 10, "127.0.0.1", 5062), clock)
    await lease.register()
    wire = Wire(expected=2)
    await Sweep(queue, lease, Rescue(writer, clock), max_wait=5, phone=wire)._once()
    await asyncio.wait_for(wire.all_asked.wait(), 10)
    assert sorted(wire.asked) == ["the callee's", "the caller's"]
    wire.worker_id = lease.worker_id
    return wire
