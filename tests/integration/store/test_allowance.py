"""What an account may place: exact however many processes place at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from app.calls.errors import TooManyCalls
from app.calls.sid import AccountSid
from app.store.accounts import Accounts
from app.store.allowance import Allowance
from app.store.database import Database
from app.store.placing import Placed, Placing, Replayed
from app.store.seal import Sealer
from tests.integration.store.make import key, leg, parent, rows, value

# The most calls of one account whose times lie within one second.
DENSEST = """
SELECT max(n) FROM (SELECT count(*) OVER (PARTITION BY account_sid ORDER BY created_at
    RANGE BETWEEN interval '999999 microseconds' PRECEDING AND CURRENT ROW) AS n
    FROM calls WHERE parent_sid IS NULL) AS windows
"""


@pytest.fixture
async def account(database: Database, sealer: Sealer) -> AccountSid:
    return (await Accounts(database, sealer).create()).sid


@contextlib.asynccontextmanager
async def processes(url: str, sealer: Sealer, allowance: Allowance, count: int = 10) -> AsyncIterator[list[Placing]]:
    """As many placers, each with connections of its own."""
    async with contextlib.AsyncExitStack() as stack:
        placers = []
        for _ in range(count):
            database = Database(url, pool_size=1)
            stack.push_async_callback(database.close)
            placers.append(Placing(database, sealer, allowance))
            await placers[-1].start()
            stack.push_async_callback(placers[-1].stop)
        yield placers


async def place(placer: Placing, account: AccountSid, name: str | None = None) -> Placed | Replayed | TooManyCalls:
    first = parent(account)
    try:
        return await placer.place([first, leg(first)], idempotency=(name and key(name, account=account)) or None)
    except TooManyCalls as refusal:
        return refusal


async def test_no_second_has_more_calls_than_the_rate(
    database: Database, database_url: str, sealer: Sealer, account: AccountSid
) -> None:
    async with processes(database_url, sealer, Allowance(rate=20)) as placers:
        results = [
            result
            for _ in range(3)
            for result in await asyncio.gather(*(place(placers[nr % 10], account) for nr in range(60)))
        ]
    refused = [result for result in results if isinstance(result, TooManyCalls)]
    assert 20 <= len(results) - len(refused) == await value(database, "SELECT count(*) FROM calls") // 2
    assert await value(database, DENSEST) == 20
    assert {(str(one), one.retry_after) for one in refused} == {
        ("the account may place 20 calls a second (DIAL_ACCOUNT_RATE)", 1)
    }


async def test_calls_at_once_are_counted_over_all_processes_until_they_end(
    database: Database, database_url: str, sealer: Sealer, account: AccountSid
) -> None:
    other = (await Accounts(database, sealer).create()).sid
    async with processes(database_url, sealer, Allowance(calls=7)) as placers:
        results = await asyncio.gather(*(place(placers[nr % 10], account) for nr in range(60)))
        assert sum(isinstance(result, Placed) for result in results) == 7
        assert isinstance(await place(placers[0], other), Placed)
        await rows(
            database,
            "UPDATE calls SET status = 'canceled', end_time = now(), run_at = NULL WHERE sid IN (SELECT sid FROM calls"
            f" WHERE parent_sid IS NULL AND account_sid = '{account}' LIMIT 2) RETURNING sid",
        )
        results = await asyncio.gather(*(place(placers[nr % 10], account) for nr in range(10)))
        assert sum(isinstance(result, Placed) for result in results) == 2
        [refusal] = {(str(one), one.retry_after) for one in results if isinstance(one, TooManyCalls)}
        assert refusal == ("the account may have 7 calls at once (DIAL_ACCOUNT_CALLS)", 5)


async def test_what_is_repeated_is_answered_however_full_the_account_is(
    database_url: str, sealer: Sealer, account: AccountSid
) -> None:
    async with processes(database_url, sealer, Allowance(rate=1, calls=1), count=2) as (one, two):
        first = parent(account)
        placed = await one.place([first], idempotency=key("k", account=account))
        assert await place(two, account, "k") == Replayed(first.sid)
        assert await one.place([first], idempotency=None) == placed  # as after a COMMIT whose answer was lost
        refused = await asyncio.gather(*(place(two, account, "other") for _ in range(3)))
        assert all(isinstance(refusal, TooManyCalls) for refusal in refused)
