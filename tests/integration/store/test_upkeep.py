"""Upkeep: partitions are there before their day, go after their retention, and lose no row on the way."""

import asyncio

from app.store.database import Database
from app.store.deliveries import Deliveries
from app.store.outbox import Outbox
from app.store.seal import Sealer
from app.store.upkeep import Upkeep
from tests.integration.store.make import ACCOUNT, key, parent, placing, rows, value
from tests.integration.store.test_outbox import claim, owe, result

_NAMES = """
SELECT count(*), min(right(relname, 8)), max(right(relname, 8)) FROM pg_class
WHERE relname ~ '^webhook_delivery_p[0-9]{8}$'
"""
_DAYS = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'), to_char(now() AT TIME ZONE 'UTC' + '3 days', 'YYYYMMDD')"


async def test_partitions_of_today_and_three_more_days_are_made_once(database: Database, sealer: Sealer) -> None:
    await asyncio.gather(*(Upkeep(database).run() for _ in range(3)))
    await Upkeep(database).run()
    [(count, first, last)] = await rows(database, _NAMES)
    [(today, ahead)] = await rows(database, _DAYS)
    assert (count, first, last) == (4, today, ahead)


async def test_rows_that_came_before_their_partition_move_into_it(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    outbox = Outbox(database, sealer)
    await outbox.finish([result(delivery) for delivery in await claim(outbox)])
    assert await value(database, "SELECT count(*) FROM webhook_delivery_default") == 1
    await Upkeep(database).run()
    assert await value(database, "SELECT count(*) FROM webhook_delivery_default") == 0
    [view] = await Deliveries(database, sealer).page(ACCOUNT, "delivered", size=10, after=None)
    assert len(view.attempts) == 1


async def test_a_partition_goes_when_its_last_row_is_older_than_the_retention(
    database: Database, sealer: Sealer
) -> None:
    await Upkeep(database, retention_days=30).run()
    for age in (30, 31):
        day = f"to_char(now() AT TIME ZONE 'UTC' - interval '{age} days', 'YYYYMMDD')"
        name = await value(database, f"SELECT 'webhook_attempt_p' || {day}")
        first = await value(database, f"SELECT to_date(right('{name}', 8), 'YYYYMMDD')")
        await rows(
            database,
            f"CREATE TABLE {name} PARTITION OF webhook_attempt "
            f"FOR VALUES FROM ('{first} 00:00+00') TO ('{first} 24:00+00')",
        )
    await Upkeep(database, retention_days=30).run()
    left = "SELECT count(*) FROM pg_class WHERE relname ~ '^webhook_attempt_p[0-9]{8}$'"
    assert await value(database, left) == 5


async def test_keys_older_than_a_day_are_forgotten(database: Database, sealer: Sealer) -> None:
    async with placing(database, sealer) as placer:
        await placer.place([parent()], idempotency=key("old"))
        await rows(database, "UPDATE idempotency SET created_at = now() - interval '25 hours'")
        await placer.place([parent()], idempotency=key("new"))
    await Upkeep(database).run()
    assert await rows(database, "SELECT key FROM idempotency") == [("new",)]
