"""The way to PostgreSQL: what counts as away, what is tried again, and a listener that never sleeps through."""

import asyncio
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.errors import Unavailable
from app.runtime.patience import begun
from app.store.calls import CallReads
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, Proxy, rows, value


async def test_every_connection_has_its_time_limits_and_its_name(database_url: str) -> None:
    database = Database(database_url, name="dial worker")
    settings = {
        name: await value(database, f"SELECT current_setting('{name}')")
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
    }
    assert settings == {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
        "application_name": "dial worker",
    }
    await database.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+asyncpg"])
async def test_any_spelling_of_the_address_is_understood(database_url: str, scheme: str) -> None:
    database = Database(database_url.replace("postgresql", scheme) + "?sslmode=prefer&options=-c%20work_mem%3D5MB")
    await database.ping()
    assert await value(database, "SHOW work_mem") == "5MB"
    assert await value(database, "SHOW jit") == "off"
    await database.close()


async def test_a_database_that_is_away_is_unavailable(sealer: Sealer) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable):
        await database.ping()
    with pytest.raises(Unavailable):
        await CallReads(database, sealer).get(ACCOUNT, "CA")
    await database.close()


async def test_a_pool_that_is_used_up_is_unavailable_within_five_seconds(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    async with database.engine.connect():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            await database.ping()
        assert time.monotonic() - started < 5
    await database.close()


async def test_whoever_is_served_waits_no_longer_than_patience_lasts(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    with begun(0.1):
        for _ in range(2):
            with pytest.raises(Unavailable):  # or it would last a minute
                await database.run(_sleep)
    assert await value(database, "SELECT 1") == 1
    await database.close()


async def _sleep(connection: AsyncConnection) -> None:
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    await connection.execute(text("SELECT pg_sleep(60)"))


async def test_a_server_that_hangs_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1)

    async def hang(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(Unavailable):
        await database.run(hang, seconds=0.1)
    await database.ping()
    await database.close()


async def test_deadlocks_and_serialization_failures_are_tried_again_unseen(database: Database) -> None:
    for state in ("40001", "40P01"):
        tries = 0

        async def work(connection: AsyncConnection, state: str = state) -> str:
            nonlocal tries
            tries += 1
            if tries < 3:
                await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$"))
            return "done"

        assert await database.run(work) == "done"
        assert tries == 3


async def test_a_connection_that_was_cut_is_replaced_unseen(database: Database) -> None:
    await database.ping()
    tries = 0

    async def work(connection: AsyncConnection) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return tries

    assert await database.run(work) == 2


@pytest.mark.parametrize(("state", "kind"), [("53100", Unavailable), ("25006", Unavailable), ("22003", DBAPIError)])
async def test_a_full_disk_is_unavailable_but_a_wrong_statement_is_an_error(
    database: Database, state: str, kind: type[Exception]
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    with pytest.raises(kind):
        await database.run(work)


async def test_an_error_does_not_tell_parameters(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT CAST(:secret AS int)"), {"secret": "hush"})

    with pytest.raises(DBAPIError) as caught:
        await database.run(work)
    assert "parameters hidden" in str(caught.value)


async def test_a_listener_coalesces_and_times_out(database: Database) -> None:
    async with database.listen("dial", "webhook") as listener:
        assert await listener.wait(5)
        for channel in ("dial", "dial", "webhook"):
            await rows(database, f"NOTIFY {channel}")
        assert await listener.wait(5)
        while await listener.wait(0.1):
            pass
        assert not await listener.wait(0.05)


async def test_a_listener_whose_connection_is_killed_wakes_its_waiter_when_it_is_back(
    database_url: str, database: Database
) -> None:
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url)
        async with behind.listen("dial") as listener:
            assert await listener.wait(5)
            waiting = asyncio.create_task(listener.wait(10))
            proxy.cut()
            assert await waiting
            await rows(database, "NOTIFY dial")
            assert await listener.wait(5)
        await behind.close()
