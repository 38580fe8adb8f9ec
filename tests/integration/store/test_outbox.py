"""The outbox: whose turn it is, who holds a lease, in which order, and what a breaker lets through."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.calls.status import Status
from app.store.database import Database
from app.store.deliveries import Deliveries
from app.store.outbox import Breaker, Delivery, Outbox, Result
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, Proxy, change, changes, life, owed, place, rows, value

_BULK = """
INSERT INTO webhook_outbox (message_id, destination_id, account_sid, call_sid, sequence, method, url, body, expires_at)
SELECT 'msg_' || n, :destination, :account, 'CA' || :destination || '-' || n, 0, 'POST', 'https://app.example/', 'a=b',
       now() + interval '1 day' FROM generate_series(1, :count) AS n
"""


def result(delivery: Delivery, state: Any = "delivered", *, next_in: float | None = None, **rest: Any) -> Result:
    values: dict[str, Any] = {"status": 204, "latency_ms": 3, "error": None, "answer": b"ok", "at": datetime.now(UTC)}
    return Result(delivery, state, next_in, **{**values, **rest})


async def claim(outbox: Outbox, room: int = 100, each: int = 100) -> list[Delivery]:
    return await outbox.claim(room=room, per_destination=each, busy={})


async def destination(database: Database, name: str) -> int:
    sql = "INSERT INTO webhook_destination (origin) VALUES (:origin) RETURNING id"
    return int(await value(database, sql, origin=f"https://{name}:443"))


async def owe(database: Database, sealer: Sealer, count: int) -> str:
    """`count` deliveries of one call."""
    _, leg = await place(database, sealer)
    async with changes(database, sealer) as writer:
        for one in life(leg.sid)[:count]:
            await writer.write(one)
    return leg.sid


async def sequences(claimed: Sequence[Delivery]) -> list[int]:
    return [delivery.sequence for delivery in claimed]


async def test_a_claimed_delivery_is_whole(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    wanted = owed(0, "https://user:pa%40ss@app.example/events?x=1")
    async with changes(database, sealer) as writer:
        await writer.write(change(leg.sid, 1, Status.INITIATED, owed=wanted))
    [delivery] = await claim(Outbox(database, sealer))
    assert (delivery.message_id, delivery.url, delivery.body) == (wanted.message_id, wanted.url, wanted.body)
    assert (delivery.origin, delivery.account_sid, delivery.call_sid) == ("https://app.example:443", ACCOUNT, leg.sid)
    assert (delivery.attempt, delivery.sequence, delivery.method) == (1, 0, "POST")
    assert (delivery.expires_at - delivery.created_at).total_seconds() == 86400


async def test_two_dispatchers_never_claim_the_same_delivery(database: Database, sealer: Sealer) -> None:
    for name in ("a", "b", "c"):
        await rows(database, _BULK, destination=await destination(database, name), account=ACCOUNT, count=300)
    outboxes = [Outbox(database, sealer) for _ in range(8)]
    seen: Counter[int] = Counter()
    while batches := [batch for batch in await asyncio.gather(*(claim(outbox, 40) for outbox in outboxes)) if batch]:
        seen.update(delivery.id for batch in batches for delivery in batch)
    assert len(seen) == 900
    assert set(seen.values()) == {1}


async def test_a_backlog_of_10000_does_not_starve_another_destination(database: Database, sealer: Sealer) -> None:
    heavy, light = await destination(database, "heavy"), await destination(database, "light")
    await rows(database, _BULK, destination=heavy, account=ACCOUNT, count=10_000)
    await rows(database, _BULK, destination=light, account=ACCOUNT, count=5)
    outbox = Outbox(database, sealer)
    first, second = await claim(outbox, 10), await claim(outbox, 10)
    assert Counter(delivery.destination_id for delivery in first + second)[light] == 5


async def test_destinations_take_turns_however_many_there_are(database: Database, sealer: Sealer) -> None:
    ids = [await destination(database, f"d{nr}") for nr in range(20)]
    for id in ids:
        await rows(database, _BULK, destination=id, account=ACCOUNT, count=50)
    outbox = Outbox(database, sealer)
    served: list[int] = []
    for _ in range(10):
        served += [delivery.destination_id for delivery in await claim(outbox, room=4, each=2)]
    assert Counter(served) == dict.fromkeys(ids, 2)


async def test_nothing_is_claimed_beyond_the_room_of_a_destination(database: Database, sealer: Sealer) -> None:
    free, busy = await destination(database, "free"), await destination(database, "busy")
    capped = await destination(database, "capped")
    await rows(database, "UPDATE webhook_destination SET max_in_flight = 3 WHERE id = :id", id=capped)
    paused = await destination(database, "paused")
    await rows(database, "UPDATE webhook_destination SET paused = true WHERE id = :id", id=paused)
    for id in (free, busy, capped, paused):
        await rows(database, _BULK, destination=id, account=ACCOUNT, count=20)
    claimed = await Outbox(database, sealer).claim(room=100, per_destination=8, busy={busy: 6})
    assert Counter(delivery.destination_id for delivery in claimed) == {free: 8, busy: 2, capped: 3}


async def test_the_next_event_waits_until_the_one_before_is_delivered(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 3)
    outbox = Outbox(database, sealer)
    for sequence in range(3):
        [delivery] = await claim(outbox)
        assert delivery.sequence == sequence
        assert await claim(outbox) == []
        assert await outbox.finish([result(delivery)]) == {delivery.id}
    assert await claim(outbox) == []
    assert await value(database, "SELECT count(*) FROM webhook_delivery WHERE state = 'delivered'") == 3


async def test_a_failing_event_holds_back_the_later_ones_until_its_first_retry_failed(
    database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 3)
    outbox = Outbox(database, sealer)
    [first] = await claim(outbox)
    await outbox.finish([result(first, "owed", next_in=0, status=500)])
    [retry] = await claim(outbox)
    assert (retry.id, retry.attempt) == (first.id, 2)
    await outbox.finish([result(retry, "owed", next_in=30, status=500)])
    [second] = await claim(outbox)
    assert second.sequence == 1
    await outbox.finish([result(second)])
    assert await sequences(await claim(outbox)) == [2]


async def test_an_event_that_comes_while_an_older_one_fails_again_and_again_does_not_wait(
    database: Database, sealer: Sealer
) -> None:
    _, leg = await place(database, sealer)
    steps = life(leg.sid)
    outbox = Outbox(database, sealer)
    async with changes(database, sealer) as writer:
        await writer.write(steps[0])
        for next_in in (0, 300):
            [delivery] = await claim(outbox)
            await outbox.finish([result(delivery, "owed", next_in=next_in, status=500)])
        await writer.write(steps[1])
    assert await sequences(await claim(outbox)) == [1]


async def test_a_dead_event_lets_the_next_one_go(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 2)
    outbox = Outbox(database, sealer)
    [first] = await claim(outbox)
    await outbox.finish([result(first, "dead", status=410, error="gone")])
    assert await sequences(await claim(outbox)) == [1]
    [dead] = await Deliveries(database, sealer).page(ACCOUNT, "dead", size=10, after=None)
    assert (dead.state, dead.attempts[0].status, dead.attempts[0].error) == ("dead", 410, "gone")


async def test_a_delivery_that_is_finished_while_the_next_event_is_stored_never_leaves_it_blocked(
    database: Database, sealer: Sealer
) -> None:
    _, *legs = await place(database, sealer, legs=60)
    outboxes = [Outbox(database, sealer) for _ in range(3)]
    async with changes(database, sealer) as writer:
        lives = asyncio.gather(*(writer.write(one) for leg in legs for one in life(leg.sid)))
        delivered: list[tuple[str, int]] = []

        async def dispatch(outbox: Outbox) -> None:
            while not lives.done() or await value(database, "SELECT count(*) FROM webhook_outbox WHERE NOT blocked"):
                claimed = await claim(outbox, 20)
                ours = await outbox.finish([result(delivery) for delivery in claimed]) if claimed else set()
                delivered.extend((d.call_sid, d.sequence) for d in claimed if d.id in ours)
                await asyncio.sleep(0)

        await asyncio.gather(*map(dispatch, outboxes))
    assert await rows(database, "SELECT id, call_sid, sequence FROM webhook_outbox") == []
    assert len(delivered) == 240
    for leg in legs:
        assert [sequence for sid, sequence in delivered if sid == leg.sid] == [0, 1, 2, 3]


async def test_the_order_of_locks_closes_the_race_whoever_comes_first(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    steps = life(leg.sid)
    outbox = Outbox(database, sealer)
    async with changes(database, sealer) as writer:
        await writer.write(steps[0])
        [first] = await claim(outbox)
        # The finish is under way: its row is locked and gone, its COMMIT is not there yet.
        async with database.engine.begin() as connection:
            await connection.exec_driver_sql("DELETE FROM webhook_outbox")
            write = writer.write(steps[1])
            done, _ = await asyncio.wait([write], timeout=0.2)
            assert not done  # it waits for what becomes of the first one instead of taking it for undelivered
        await write
    assert await value(database, "SELECT blocked FROM webhook_outbox WHERE sequence = 1") is False
    assert first.sequence == 0


async def test_a_lease_that_lapsed_is_claimed_again_and_the_late_result_is_refused(
    database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 1)
    slow, quick = Outbox(database, sealer), Outbox(database, sealer)
    [late] = await claim(slow)
    assert await claim(quick) == []
    await rows(database, "UPDATE webhook_outbox SET lease_until = now() - interval '1 second'")
    [again] = await claim(quick)
    assert (again.id, again.attempt, again.message_id) == (late.id, 2, late.message_id)
    assert await slow.finish([result(late)]) == set()
    await slow.release([late.id])
    assert await quick.finish([result(again)]) == {again.id}
    assert await value(database, "SELECT count(*) FROM webhook_attempt") == 1


async def test_a_released_claim_burns_no_attempt(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    outbox = Outbox(database, sealer)
    [delivery] = await claim(outbox)
    await outbox.release([delivery.id])
    [again] = await claim(outbox)
    assert again.attempt == 1


async def test_an_open_breaker_gives_nothing_and_then_one_probe_to_one_dispatcher(
    database: Database, sealer: Sealer
) -> None:
    id = await destination(database, "broken")
    await rows(database, _BULK, destination=id, account=ACCOUNT, count=20)
    outboxes = [Outbox(database, sealer) for _ in range(6)]
    await outboxes[0].breaker(id, Breaker("open", 5, cool_down=5.0, open_for=5.0))
    assert await claim(outboxes[0]) == []
    due = await outboxes[0].next_due()
    assert due is not None
    assert 4 < due <= 5
    await rows(database, "UPDATE webhook_destination SET open_until = now()")
    probes = [delivery for batch in await asyncio.gather(*map(claim, outboxes)) for delivery in batch]
    [probe] = probes
    assert (probe.breaker.state, probe.breaker.consecutive_failures, probe.breaker.cool_down) == ("half-open", 5, 5.0)
    assert await value(database, "SELECT breaker FROM webhook_destination WHERE id = :id", id=id) == "half-open"
    assert await claim(outboxes[1]) == []
    await outboxes[0].breaker(id, Breaker())
    assert len(await claim(outboxes[1])) == 19


async def test_next_due_is_the_earliest_moment_that_has_not_come(database: Database, sealer: Sealer) -> None:
    outbox = Outbox(database, sealer)
    assert await outbox.next_due() is None
    await owe(database, sealer, 1)
    await owe(database, sealer, 1)
    one, other = await claim(outbox)
    await outbox.finish([result(one, "owed", next_in=300), result(other, "owed", next_in=30)])
    due = await outbox.next_due()
    assert due is not None
    assert 29 < due <= 30


async def test_the_sweep_unblocks_what_a_crash_in_the_first_retry_left_blocked(
    database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 2)
    outbox = Outbox(database, sealer)
    [first] = await claim(outbox)
    await outbox.finish([result(first, "owed", next_in=0)])
    await claim(outbox)  # the first retry, and nobody ever says what came of it
    await rows(database, "UPDATE webhook_outbox SET created_at = created_at - interval '1 minute'")
    assert await outbox.sweep() == 0
    await rows(database, "UPDATE webhook_outbox SET lease_until = now() - interval '1 second' WHERE attempt = 2")
    assert await outbox.sweep() == 1


async def test_what_a_receiver_says_cannot_spoil_the_batch(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    await owe(database, sealer, 1)
    outbox = Outbox(database, sealer)
    one, other = await claim(outbox)
    odd = result(one, "owed", next_in=5, error="NUL \0, lone \udcff" + "x" * 9999, answer=b"\0\xff" * 5000)
    assert await outbox.finish([odd, result(other)]) == {one.id, other.id}
    view = await Deliveries(database, sealer).get(ACCOUNT, one.id)
    assert view is not None
    assert len(view.attempts[0].answer) == 1024


async def test_a_finish_whose_answer_is_lost_is_done_once(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 2)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        outbox = Outbox(behind, sealer)
        [delivery] = await claim(outbox)
        proxy.cut_after_commits = 1
        await outbox.finish([result(delivery)])
        assert await sequences(await claim(outbox)) == [1]
        await behind.close()
    assert await value(database, "SELECT count(*) FROM webhook_delivery") == 1
    assert await value(database, "SELECT count(*) FROM webhook_attempt") == 1


async def test_a_claim_whose_answer_is_lost_is_made_again_at_once_and_burns_no_attempt(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 1)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        proxy.cut_after_commits = 1
        [delivery] = await claim(Outbox(behind, sealer))
        assert delivery.attempt == 1
        await behind.close()


async def test_what_an_open_breaker_keeps_beyond_its_time_ends_as_dead(database: Database, sealer: Sealer) -> None:
    sid = await owe(database, sealer, 3)
    outbox = Outbox(database, sealer)
    [first] = await claim(outbox)
    await outbox.finish([result(first, "owed", next_in=0.0, status=500)])
    assert await outbox.expire() == 0
    await outbox.breaker(first.destination_id, Breaker("open", 5, 5.0, 300.0))
    assert await outbox.expire() == 0
    await rows(database, "UPDATE webhook_outbox SET expires_at = now() - interval '1 s' RETURNING id")
    assert await outbox.expire() == 3
    histories = await Deliveries(database, sealer).for_call(ACCOUNT, sid)
    assert [(one.state, one.sequence) for one in histories] == [("dead", 0), ("dead", 1), ("dead", 2)]


async def test_a_breaker_is_probed_with_what_was_tried_least(database: Database, sealer: Sealer) -> None:
    outbox = Outbox(database, sealer)
    await owe(database, sealer, 1)
    [failing] = await claim(outbox)
    await outbox.finish([result(failing, "owed", next_in=0.0, status=500)])
    await outbox.breaker(failing.destination_id, Breaker("open", 5, 5.0, 0.0))
    other = await owe(database, sealer, 1)
    [probe] = await claim(outbox)
    assert (probe.call_sid, probe.attempt) == (other, 1)
    assert await claim(outbox) == []


async def test_a_delivery_that_came_alone_leaves_nothing_to_claim(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    outbox = Outbox(database, sealer)
    [delivery] = await claim(outbox)
    assert not outbox.more
    await outbox.finish([result(delivery)])
    assert not outbox.more


async def test_a_result_that_frees_the_next_event_or_is_to_be_repeated_leaves_more(
    database: Database, sealer: Sealer
) -> None:
    await owe(database, sealer, 2)
    outbox = Outbox(database, sealer)
    [first] = await claim(outbox)
    await outbox.finish([result(first)])
    assert outbox.more
    [second] = await claim(outbox)
    assert not outbox.more
    await outbox.finish([result(second, "owed", next_in=0.1, status=500)])
    assert outbox.more


async def test_a_result_leaves_more_where_its_destination_had_no_room(database: Database, sealer: Sealer) -> None:
    id = await destination(database, "narrow")
    await rows(database, "UPDATE webhook_destination SET max_in_flight = 2 WHERE id = :id", id=id)
    await rows(database, _BULK, destination=id, account=ACCOUNT, count=3)
    outbox = Outbox(database, sealer)
    first, second = await claim(outbox)
    assert not outbox.more
    assert await outbox.claim(room=100, per_destination=100, busy={id: 2}) == []  # somebody else's notification
    await outbox.finish([result(first)])
    assert outbox.more
    [third] = await outbox.claim(room=100, per_destination=100, busy={id: 1})
    await outbox.finish([result(second)])
    assert outbox.more  # the third took the last place
    assert await outbox.claim(room=100, per_destination=100, busy={id: 1}) == []
    await outbox.finish([result(third)])
    assert not outbox.more


async def test_a_claim_that_had_no_room_left_leaves_more(database: Database, sealer: Sealer) -> None:
    await rows(database, _BULK, destination=await destination(database, "a"), account=ACCOUNT, count=3)
    outbox = Outbox(database, sealer)
    assert len(await claim(outbox, room=2)) == 2
    assert outbox.more


async def test_a_destination_that_filled_a_full_claim_is_looked_at_again(database: Database, sealer: Sealer) -> None:
    id = await destination(database, "narrow")
    await rows(database, "UPDATE webhook_destination SET max_in_flight = 2 WHERE id = :id", id=id)
    await rows(database, _BULK, destination=id, account=ACCOUNT, count=3)
    outbox = Outbox(database, sealer)
    first, _ = await claim(outbox, room=2)
    assert await outbox.claim(room=100, per_destination=100, busy={id: 2}) == []  # a result of another destination
    assert not outbox.more
    await outbox.finish([result(first)])
    assert outbox.more
