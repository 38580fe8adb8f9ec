"""The numbers of callback origins: looked up once per process, made when new. Knows nothing of what is sent there."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database
from app.store.statement import statement

_KEPT = 10_000  # origins remembered; customers may make up any number of them

# In one order, so that two processes that meet the same new origins cannot wait for each other.
MAKE_DESTINATIONS = statement("""
INSERT INTO webhook_destination (origin)
SELECT origin FROM unnest(CAST(:origins AS text[])) AS t(origin) ORDER BY origin
ON CONFLICT (origin) DO NOTHING
""")
DESTINATION_IDS = statement("SELECT origin, id FROM webhook_destination WHERE origin = ANY(CAST(:origins AS text[]))")


class Destinations:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, int] = {}

    async def learn(self, origins: Iterable[str]) -> None:
        """Make sure that `id_of` knows `origins`. Raises Unavailable."""
        needed = set(origins)
        unknown = sorted(needed - self._ids.keys())
        if not unknown:
            return
        if len(self._ids) > _KEPT:
            self._ids.clear()
            unknown = sorted(needed)

        async def work(connection: AsyncConnection) -> dict[str, int]:
            await connection.execute(MAKE_DESTINATIONS, {"origins": unknown})
            rows = await connection.execute(DESTINATION_IDS, {"origins": unknown})
            return {row.origin: row.id for row in rows}

        self._ids |= await self._database.run(work)

    def id_of(self, origin: str) -> int:
        return self._ids[origin]
