"""The dial queue: each dial to one worker, in turn, and none lost when a worker or an answer is."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from app.calls.errors import Fenced, Unavailable
from app.calls.sid import AccountSid, new_account_sid
from app.calls.status import Status
from app.store.calls import CallReads
from app.store.changes import Changes
from app.store.database import Database
from app.store.queue import ClaimedDial, DialQueue
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, Proxy, change, changes, leg, parent, place, placing, rows, value

AGED = "UPDATE worker SET lease_until = now() - interval '1 second' WHERE id = :id"


async def register(queue: DialQueue, **rest: Any) -> int:
    return await queue.register(**{"role": "worker", "capacity": 10, "sip_host": "10.0.0.1", "sip_port": 5060, **rest})


async def claim(queue: DialQueue, worker: int, limit: int = 100, max_wait: float = 600) -> list[ClaimedDial]:
    return await queue.claim(worker, limit=limit, max_wait=max_wait)


async def fill(database: Database, sealer: Sealer, account: AccountSid, count: int) -> list[str]:
    async with placing(database, sealer) as placer:
        calls = [parent(account) for _ in range(count)]
        await asyncio.gather(*(placer.place([call], idempotency=None) for call in calls))
    return [call.sid for call in calls]


async def test_a_claim_brings_parent_legs_and_plan_and_raises_their_epochs(database: Database, sealer: Sealer) -> None:
    first, *legs = await place(database, sealer, legs=2, document=b'{"password":"secret"}')
    queue = DialQueue(database, sealer)
    worker = await register(queue)
    [dial] = await claim(queue, worker)
    assert (dial.parent.sid, dial.document) == (first.sid, b'{"password":"secret"}')
    assert [call.sid for call in dial.legs] == [call.sid for call in legs]
    assert {(call.epoch, call.worker_id) for call in (dial.parent, *dial.legs)} == {(1, worker)}
    assert 0 <= dial.waited < 5
    assert await claim(queue, worker) == []


async def test_ten_workers_claim_each_dial_once(database_url: str, database: Database, sealer: Sealer) -> None:
    sids = [sid for account in (ACCOUNT, new_account_sid()) for sid in await fill(database, sealer, account, 200)]
    databases = [Database(database_url, pool_size=1) for _ in range(10)]
    queues = [DialQueue(one, sealer) for one in databases]
    workers = [await register(queue) for queue in queues]

    async def work(queue: DialQueue, worker: int) -> list[str]:
        mine: list[str] = []
        while await value(database, "SELECT count(*) FROM calls WHERE run_at IS NOT NULL"):
            mine += [dial.parent.sid for dial in await claim(queue, worker, limit=7)]
        return mine

    shares = await asyncio.gather(*map(work, queues, workers))
    assert Counter(sid for share in shares for sid in share) == dict.fromkeys(sids, 1)
    for one in databases:
        await one.close()


async def test_an_account_is_served_in_order_and_no_account_starves(database: Database, sealer: Sealer) -> None:
    big, small = new_account_sid(), new_account_sid()
    many = await fill(database, sealer, big, 100)
    few = await fill(database, sealer, small, 3)
    queue = DialQueue(database, sealer)
    worker = await register(queue)
    served = [dial.parent for dial in await claim(queue, worker, limit=6)]
    assert [call.sid for call in served if call.account_sid == small] == few
    assert [call.sid for call in served if call.account_sid == big] == many[:3]
    rest = [dial.parent.sid for dial in await claim(queue, worker, limit=100)]
    assert rest == many[3:]


async def test_places_that_become_free_one_by_one_go_to_the_accounts_in_turn(
    database: Database, sealer: Sealer
) -> None:
    big, small, other = (new_account_sid() for _ in range(3))
    many = await fill(database, sealer, big, 30)
    few = await fill(database, sealer, small, 3)
    queue = DialQueue(database, sealer)
    worker = await register(queue)

    async def serve(count: int) -> list[str]:
        return [dial.parent.sid for _ in range(count) for dial in await claim(queue, worker, limit=1)]

    turns = await serve(3)
    late = await fill(database, sealer, other, 2)
    turns += await serve(8)
    assert [sid for sid in turns if sid in many] == many[:6]
    assert [sid for sid in turns if sid in few] == few
    assert [sid for sid in turns if sid in late] == late
    assert await serve(30) == many[6:]


async def test_more_accounts_than_one_claim_looks_at_all_have_their_turn(database: Database, sealer: Sealer) -> None:
    waiting = [sid for _ in range(40) for sid in await fill(database, sealer, new_account_sid(), 2)]
    queue = DialQueue(database, sealer)
    worker = await register(queue)
    served = [dial.parent for _ in range(80) for dial in await claim(queue, worker, limit=1)]
    assert len({call.account_sid for call in served[:40]}) == 40
    assert {call.sid for call in served} == {*waiting}


async def test_what_waited_too_long_is_not_claimed_but_expires(database: Database, sealer: Sealer) -> None:
    [old] = await fill(database, sealer, ACCOUNT, 1)
    await rows(database, "UPDATE calls SET run_at = run_at - interval '6 seconds'")
    [new] = await fill(database, sealer, ACCOUNT, 1)
    queue = DialQueue(database, sealer)
    worker = await register(queue)
    [late] = await queue.expired(worker, max_wait=5)
    assert late.parent.sid == old
    assert late.waited > 6
    assert [dial.parent.sid for dial in await claim(queue, worker, max_wait=5)] == [new]


async def test_an_unclaimed_parent_can_be_taken_once(database: Database, sealer: Sealer) -> None:
    first, _ = await place(database, sealer)
    queue = DialQueue(database, sealer)
    api = await register(queue, role="api", capacity=0)
    taken = await queue.take(api, first.sid)
    assert taken is not None
    assert (taken.parent.epoch, len(taken.legs)) == (1, 1)
    assert await queue.take(api, first.sid) is None
    assert await claim(queue, api) == []


async def test_a_claim_fences_whoever_had_the_call_before(database: Database, sealer: Sealer) -> None:
    _, one = await place(database, sealer)
    queue = DialQueue(database, sealer)
    await claim(queue, await register(queue))
    async with changes(database, sealer) as writer:
        with pytest.raises(Fenced):
            await writer.write(change(one.sid, 1, Status.INITIATED, epoch=0))
        await writer.write(change(one.sid, 1, Status.INITIATED, epoch=1))


async def test_legs_of_a_later_dial_belong_to_the_worker_of_their_parent(database: Database, sealer: Sealer) -> None:
    first, _ = await place(database, sealer)
    queue = DialQueue(database, sealer)
    worker, other = await register(queue), await register(queue)
    [dial] = await claim(queue, worker)
    later = [leg(first, 1), leg(first, 2)]
    added = await queue.add_legs(worker, dial.parent, later)
    assert [(call.sid, call.epoch, call.worker_id) for call in added] == [(one.sid, 1, worker) for one in later]
    with pytest.raises(Fenced):
        await queue.add_legs(other, dial.parent, [leg(first, 3)])
    with pytest.raises(Fenced):  # as it would be had this worker lost it and got it again
        await queue.add_legs(worker, replace(dial.parent, epoch=0), [leg(first, 3)])
    async with changes(database, sealer) as writer:
        await writer.write(change(later[0].sid, 1, Status.INITIATED, epoch=1))
    assert len((await CallReads(database, sealer).legs([first.sid]))[first.sid]) == 3


async def test_a_dead_workers_undialled_calls_go_back_to_the_queue(database: Database, sealer: Sealer) -> None:
    first, _ = await place(database, sealer)
    queue = DialQueue(database, sealer, lease=0.0)
    dead, alive = await register(queue), await register(DialQueue(database, sealer))
    await claim(queue, dead)
    assert await queue.lost(alive) == []
    [again] = await claim(queue, alive)
    assert (again.parent.sid, again.parent.epoch, again.legs[0].epoch) == (first.sid, 3, 3)
    assert not await queue.heartbeat(dead, running=0, accepting=True)
    assert await value(database, "SELECT count(*) FROM worker") == 1


async def dialled(database: Database, sealer: Sealer, queue: DialQueue, worker: int) -> ClaimedDial:
    await place(database, sealer)
    [dial] = await claim(queue, worker)
    async with changes(database, sealer) as writer:
        await writer.write(change(dial.parent.sid, 1, Status.IN_PROGRESS, epoch=1))
        await writer.write(change(dial.legs[0].sid, 1, Status.INITIATED, epoch=1))
    return dial


async def test_a_dead_workers_dialled_calls_come_to_one_rescuer(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    other_database = Database(database_url, pool_size=2)
    queues = [DialQueue(one, sealer, lease=0.0) for one in (database, other_database)]
    dead = await register(queues[0], sip_host="10.9.9.9", sip_port=5099)
    dial = await dialled(database, sealer, queues[0], dead)
    survivors = [await register(DialQueue(database, sealer)) for _ in queues]
    found = await asyncio.gather(*(queue.lost(worker) for queue, worker in zip(queues, survivors, strict=True)))
    [(lost, rescuer)] = [(lost, nr) for batch, nr in zip(found, survivors, strict=True) for lost in batch]
    assert (lost.worker_id, lost.sip_host, lost.sip_port) == (dead, "10.9.9.9", 5099)
    assert (lost.parent.sid, lost.parent.epoch, lost.parent.worker_id) == (dial.parent.sid, 2, rescuer)
    assert [(one.sid, one.epoch, one.worker_id) for one in lost.legs] == [(dial.legs[0].sid, 2, rescuer)]
    async with changes(database, sealer) as writer:
        with pytest.raises(Fenced):
            await writer.write(change(dial.legs[0].sid, 2, Status.RINGING, epoch=1))
        await writer.write(change(dial.legs[0].sid, 2, Status.FAILED, epoch=2))
    await other_database.close()


async def test_a_leg_that_outlived_its_ended_parent_is_rescued_too(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer, lease=0.0)
    dead = await register(queue)
    dial = await dialled(database, sealer, queue, dead)
    async with changes(database, sealer) as writer:
        await writer.write(change(dial.parent.sid, 2, Status.COMPLETED, epoch=1))
    alive = await register(DialQueue(database, sealer))
    [lost] = await queue.lost(alive)
    assert (lost.parent.status, lost.parent.epoch, lost.legs[0].epoch) == (Status.COMPLETED, 1, 2)


async def test_nobody_is_judged_before_a_whole_lease_was_watched(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer)
    dead = await register(queue)
    await dialled(database, sealer, queue, dead)
    await rows(database, AGED, id=dead)
    assert await queue.lost(await register(queue)) == []
    assert await queue.heartbeat(dead, running=1, accepting=True)  # it was only the database that had been away


async def test_a_predecessor_is_known_to_be_dead_and_needs_no_watch(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer)
    dead, other = await register(queue), await register(queue)
    dial = await dialled(database, sealer, queue, dead)
    successor = await register(DialQueue(database, sealer))
    assert (
        await DialQueue(database, sealer).lost(successor, predecessor=f"{dead}@1234567890") == []
    )  # another database's
    [lost] = await DialQueue(database, sealer).lost(successor, predecessor=await queue.name(dead))
    assert (lost.parent.sid, lost.worker_id, lost.legs[0].worker_id) == (dial.parent.sid, dead, successor)
    assert not await queue.heartbeat(dead, running=1, accepting=True)
    assert await queue.heartbeat(other, running=0, accepting=True)


async def test_a_lease_that_has_just_lapsed_is_left_to_the_successor(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer, lease=0.4)
    dead = await register(queue)
    lapsed_at = time.monotonic() + 0.4  # or earlier
    survivor = await register(DialQueue(database, sealer))
    await dialled(database, sealer, queue, dead)
    while not await queue.lost(survivor):
        await asyncio.sleep(0.02)
    assert time.monotonic() - lapsed_at >= 0.1


async def test_an_outage_begins_the_watch_anew(database_url: str, database: Database, sealer: Sealer) -> None:
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        queue = DialQueue(behind, sealer, lease=0.4)
        dead, alive = await register(queue), await register(DialQueue(database, sealer))
        await dialled(database, sealer, DialQueue(database, sealer), dead)
        proxy.open = False
        proxy.cut()
        with pytest.raises(Unavailable):
            await queue.lost(alive)
        proxy.open = True
        looks = 0
        while not await queue.lost(alive):
            looks += 1
            await asyncio.sleep(0.05)
        assert looks >= 4
        await behind.close()


async def test_a_claim_whose_answer_is_lost_comes_back_to_the_queue(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    first, _ = await place(database, sealer)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        queue = DialQueue(behind, sealer)
        worker = await register(queue)
        proxy.cut_after_commits = 1
        assert await claim(queue, worker) == []
        sweeper = DialQueue(database, sealer, lease=0.0)
        assert await sweeper.lost(await register(sweeper)) == []
        [again] = await claim(queue, worker)
        assert again.parent.sid == first.sid
        await behind.close()


async def test_a_claim_that_failed_for_good_comes_back_with_the_next_one(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    first, _ = await place(database, sealer)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        queue = DialQueue(behind, sealer)
        worker = await register(queue)
        await claim(queue, worker, limit=0)
        proxy.cut_after_commits = 100
        with pytest.raises(Unavailable):
            await claim(queue, worker)
        proxy.cut_after_commits = 0
        assert await claim(queue, worker) == []
        sweeper = DialQueue(database, sealer, lease=0.0)
        await sweeper.lost(await register(sweeper))
        assert [dial.parent.sid for dial in await claim(queue, worker)] == [first.sid]
        await behind.close()


async def test_what_the_api_wants_is_stored_seen_and_heard_of(database: Database, sealer: Sealer) -> None:
    first, one = await place(database, sealer)
    queue = DialQueue(database, sealer)
    async with database.listen("command") as listener:
        assert await listener.wait(5)
        asked = await queue.want(ACCOUNT, first.sid, "canceled")
        assert asked is not None
        assert (asked.held, asked.parent_sid, asked.call.wanted) == (False, None, "canceled")
        assert await listener.wait(5)
    worker = await register(queue)
    [dial] = await claim(queue, worker)
    assert dial.parent.wanted == "canceled"
    on_leg = await queue.want(ACCOUNT, one.sid, "completed")
    assert on_leg is not None
    assert (on_leg.held, on_leg.parent_sid) == (True, first.sid)
    assert sorted(await queue.wanted(worker)) == sorted([first.sid, one.sid])
    assert await queue.want(new_account_sid(), one.sid, "completed") is None
    async with changes(database, sealer) as writer:
        await end(writer, one.sid)
    over = await queue.want(ACCOUNT, one.sid, "canceled")
    assert over is not None
    assert (over.call.status, over.held) == (Status.CANCELED, False)


async def end(writer: Changes, sid: Any) -> None:
    await writer.write(change(sid, 1, Status.CANCELED, epoch=1))


async def test_capacity_counts_the_living_that_accept(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer)
    assert (await queue.capacity()).workers == 0
    one, other, dead = [await register(queue) for _ in range(3)]
    await register(queue, role="api", capacity=0)
    await rows(database, AGED, id=dead)
    await fill(database, sealer, ACCOUNT, 5)
    assert len(await claim(queue, one, limit=2)) == 2
    assert await queue.heartbeat(one, running=2, accepting=True)
    assert await queue.heartbeat(other, running=0, accepting=False)
    fresh = await DialQueue(database, sealer).capacity()
    assert (fresh.workers, fresh.free, fresh.waiting) == (1, 8, 3)
    assert fresh.rate > 0


async def test_a_worker_that_leaves_takes_its_row_along_unless_it_holds_calls(
    database: Database, sealer: Sealer
) -> None:
    queue = DialQueue(database, sealer)
    idle, busy = await register(queue), await register(queue)
    await dialled(database, sealer, queue, busy)
    await queue.unregister(idle)
    await queue.unregister(busy)
    assert await rows(database, "SELECT id FROM worker") == [(busy,)]
    survivor = DialQueue(database, sealer, lease=0.0)
    assert len(await survivor.lost(await register(survivor))) == 1


async def test_a_plan_sealed_with_another_key_is_handed_out_empty_instead_of_blocking_the_queue(
    database: Database, sealer: Sealer
) -> None:
    await place(database, Sealer("another key"))
    queue = DialQueue(database, sealer)
    [dial] = await claim(queue, await register(queue))
    assert dial.document == b""
