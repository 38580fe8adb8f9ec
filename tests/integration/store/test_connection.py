"""Who stops waiting for a database that says nothing any more goes on at once."""

import asyncio
import time

import pytest

from app.store.database import Database
from tests.integration.store.make import value


async def test_a_statement_that_is_given_up_is_not_waited_for(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    await database.ping()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await value(database, "SELECT pg_sleep(4)")
    assert time.monotonic() - started < 3
    await database.close()


async def test_the_server_is_told_to_stop_what_was_given_up(database_url: str) -> None:
    database = Database(database_url, pool_size=2, name="gives up")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await value(database, "SELECT pg_sleep(4)")
    busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gives up' AND query LIKE '%pg_sleep(4)%'"
    others = f"{busy} AND pid <> pg_backend_pid()"
    async with asyncio.timeout(3):
        while await value(database, others):
            await asyncio.sleep(0.02)
    await database.close()
