"""What the database knows of load, counted for the metrics; every count is bounded. Knows no Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database
from app.store.statement import statement

# A scrape must cost the same whatever has piled up: 100,000 stands for "at least that many".
RUNNING = statement("""
SELECT status, count(*) AS calls FROM (SELECT status FROM calls WHERE end_time IS NULL LIMIT 100000) AS running
GROUP BY status
""")
DELIVERIES = statement("""
SELECT (SELECT count(*) FROM (SELECT FROM webhook_outbox LIMIT 100000) AS some_owed) AS owed,
       (SELECT count(*) FROM (SELECT FROM webhook_delivery WHERE state = 'dead' LIMIT 100000) AS some_dead) AS dead
""")


@dataclass(frozen=True, slots=True)
class Figures:
    running: Mapping[str, int]  # calls that have not ended, by status
    owed: int
    dead: int


async def count(database: Database) -> Figures:
    """Raises Unavailable."""

    async def work(connection: AsyncConnection) -> Figures:
        running = {row.status: row.calls for row in await connection.execute(RUNNING)}
        row = (await connection.execute(DELIVERIES)).one()
        return Figures(running, row.owed, row.dead)

    return await database.run(work, seconds=2.0)
