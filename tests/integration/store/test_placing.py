"""Placing: parent, legs and key in one commit, exactly once whatever happens to the connection."""

import asyncio
import time

import pytest

from app.calls.errors import KeyConflict, Unavailable
from app.calls.sid import new_account_sid
from app.store.calls import CallReads
from app.store.database import Database
from app.store.placing import Placed, Placing, Replayed
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, Proxy, key, leg, parent, placing, rows, value


async def test_a_parent_and_its_legs_are_stored_together_at_one_time(database: Database, sealer: Sealer) -> None:
    first = parent(metadata={"order": "42"})
    legs = [leg(first, 0), leg(first, 1)]
    async with placing(database, sealer) as placer:
        placed = await placer.place([first, *legs], idempotency=None)
    assert isinstance(placed, Placed)
    reads = CallReads(database, sealer)
    stored = await reads.get(ACCOUNT, first.sid)
    assert stored is not None
    assert (stored.created_at, stored.rcml, stored.metadata) == (placed.created_at, "<Response/>", {"order": "42"})
    found = (await reads.legs([first.sid]))[first.sid]
    assert [(one.sid, one.callback, one.created_at) for one in found] == [
        (one.sid, one.callback, placed.created_at) for one in legs
    ]


async def test_200_parallel_placements_with_one_key_make_one_call(database_url: str, sealer: Sealer) -> None:
    databases = [Database(database_url, pool_size=2) for _ in range(4)]
    placers = [Placing(database, sealer) for database in databases]
    for placer in placers:
        await placer.start()

    async def place(nr: int) -> tuple[str, Placed | Replayed]:
        first = parent()
        return first.sid, await placers[nr % 4].place([first, leg(first)], idempotency=key())

    results = await asyncio.gather(*(place(nr) for nr in range(200)))
    winners = [sid for sid, result in results if isinstance(result, Placed)]
    assert len(winners) == 1
    assert {result.sid for _, result in results if isinstance(result, Replayed)} == set(winners)
    assert await value(databases[0], "SELECT count(*) FROM calls") == 2
    for placer, database in zip(placers, databases, strict=True):
        await placer.stop()
        await database.close()


async def test_crossing_keys_of_parallel_processes_do_not_deadlock(database_url: str, sealer: Sealer) -> None:
    databases = [Database(database_url, pool_size=2) for _ in range(4)]
    placers = [Placing(database, sealer) for database in databases]
    for placer in placers:
        await placer.start()
    names = [f"key {nr}" for nr in range(40)]

    async def place(placer: Placing, name: str) -> Placed | Replayed:
        return await placer.place([parent()], idempotency=key(name))

    orders = [names, names[::-1], names[20:] + names[:20], names[10:] + names[:10]]
    pairs = [(placer, name) for placer, order in zip(placers, orders, strict=True) for name in order]
    results = await asyncio.gather(*(place(*pair) for pair in pairs))
    assert sum(isinstance(result, Placed) for result in results) == 40
    for placer, database in zip(placers, databases, strict=True):
        await placer.stop()
        await database.close()


async def test_the_same_key_with_another_request_is_a_conflict(database: Database, sealer: Sealer) -> None:
    async with placing(database, sealer) as placer:
        await placer.place([parent()], idempotency=key(body="one"))
        with pytest.raises(KeyConflict):
            await placer.place([parent()], idempotency=key(body="two"))
    assert await value(database, "SELECT count(*) FROM calls") == 1


async def test_in_one_batch_too_another_request_with_the_key_is_a_conflict(database: Database, sealer: Sealer) -> None:
    async with placing(database, sealer) as placer:
        tries = [placer.place([parent()], idempotency=key(body=body)) for body in ("one", "two", "one")]
        first, second, third = await asyncio.gather(*tries, return_exceptions=True)
    assert isinstance(first, Placed)
    assert isinstance(second, KeyConflict)
    assert isinstance(third, Replayed)


async def test_a_key_belongs_to_its_account(database: Database, sealer: Sealer) -> None:
    other = new_account_sid()
    async with placing(database, sealer) as placer:
        assert isinstance(await placer.place([parent()], idempotency=key()), Placed)
        assert isinstance(await placer.place([parent(other)], idempotency=key(account=other)), Placed)


async def test_a_key_older_than_a_day_is_taken_over(database: Database, sealer: Sealer) -> None:
    async with placing(database, sealer) as placer:
        await placer.place([parent()], idempotency=key(body="old"))
        await rows(database, "UPDATE idempotency SET created_at = now() - interval '24 hours 1 second'")
        fresh = parent()
        assert isinstance(await placer.place([fresh], idempotency=key(body="new")), Placed)
        assert await placer.place([parent()], idempotency=key(body="new")) == Replayed(fresh.sid)


async def test_a_request_that_postgresql_refuses_harms_no_other(database: Database, sealer: Sealer) -> None:
    good = [parent() for _ in range(20)]
    bad = parent(rcml="NUL \0 is no text")
    async with placing(database, sealer) as placer:
        tries = [placer.place([one], idempotency=None) for one in [*good[:10], bad, *good[10:]]]
        results = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(result) for nr, result in enumerate(results) if nr != 10] == [Placed] * 20
    assert isinstance(results[10], Exception)
    assert await value(database, "SELECT count(*) FROM calls") == 20


async def test_a_commit_whose_answer_is_lost_is_found_again_and_done_once(database_url: str, sealer: Sealer) -> None:
    async with Proxy(database_url) as proxy:
        database = Database(proxy.url, pool_size=2)
        async with placing(database, sealer) as placer:
            first = parent()
            proxy.cut_after_commits = 1
            placed = await placer.place([first, leg(first)], idempotency=key())
            assert isinstance(placed, Placed)
            assert await placer.place([parent()], idempotency=key()) == Replayed(first.sid)
        assert (
            await value(database, "SELECT created_at FROM calls WHERE sid = :sid", sid=first.sid) == placed.created_at
        )
        assert await value(database, "SELECT count(*) FROM calls") == 2
        await database.close()


async def test_after_unavailable_the_key_gives_the_sid_that_was_stored(database_url: str, sealer: Sealer) -> None:
    async with Proxy(database_url) as proxy:
        database = Database(proxy.url, pool_size=2)
        async with placing(database, sealer) as placer:
            first = parent()
            proxy.cut_after_commits = 100
            with pytest.raises(Unavailable):
                await placer.place([first], idempotency=key())
            proxy.cut_after_commits = 0
            assert await placer.place([parent()], idempotency=key()) == Replayed(first.sid)
        await database.close()


async def test_a_database_that_is_away_or_locked_is_unavailable_within_two_seconds(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=2)
        async with placing(behind, sealer) as placer:
            await placer.place([parent()], idempotency=None)
            proxy.open = False
            proxy.cut()
            started = time.monotonic()
            with pytest.raises(Unavailable):
                await placer.place([parent()], idempotency=None)
            assert time.monotonic() - started < 3.5
            proxy.open = True
            assert isinstance(await placer.place([parent()], idempotency=None), Placed)
            async with database.engine.begin() as connection:
                await connection.exec_driver_sql("LOCK TABLE calls")
                started = time.monotonic()
                with pytest.raises(Unavailable):
                    await placer.place([parent()], idempotency=None)
                assert time.monotonic() - started < 3.5
        await behind.close()


async def test_whoever_listens_is_woken_by_a_placement(database: Database, sealer: Sealer) -> None:
    async with database.listen("dial") as listener, placing(database, sealer) as placer:
        assert await listener.wait(5)  # connected
        await placer.place([parent()], idempotency=None)
        assert await listener.wait(5)
