"""Stores and reads the SIP messages of legs; knows nothing of SIP and decides nothing about what is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.sid import CallSid
from app.calls.wire import LeftOut, WireCopy, address_of, address_text
from app.store.database import Database
from app.store.statement import statement

# The copies may be lost with the server, never be waited for: their commit waits for no disk.
NOT_AWAITED = statement("SET LOCAL synchronous_commit = off")
# COPY: a quarter of the worker's CPU that an INSERT of arrays takes (measured: 10 instead of 40 µs a message).
COPY = """
COPY sip_message (call_sid, seq, at, direction, transport, local, remote, data, left_out) FROM STDIN (FORMAT binary)
"""
# DISTINCT: a batch whose COMMIT got no answer may be there twice.
READ = statement("""
SELECT DISTINCT ON (at, call_sid, seq) call_sid, seq, at, direction, transport, local, remote, data
FROM sip_message
WHERE call_sid = ANY(CAST(:sids AS text[])) AND logged_at >= :since AND direction IS NOT NULL
ORDER BY at, call_sid, seq
""")
COUNT = statement("""
SELECT call_sid, max(at) AS at, max(left_out) AS left_out FROM sip_message
WHERE call_sid = ANY(CAST(:sids AS text[])) AND logged_at >= :since AND direction IS NULL
GROUP BY call_sid
""")
_TYPES = ("text", "int4", "timestamptz", "text", "text", "text", "text", "bytea", "int4")


class TraceStore:
    """Raises Unavailable from every method."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, batch: Sequence[WireCopy | LeftOut]) -> None:
        """All of them or none."""
        rows = [_row(one) for one in batch]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(NOT_AWAITED)
            raw: Any = (await connection.get_raw_connection()).driver_connection
            async with raw.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.set_types(_TYPES)
                for row in rows:
                    await copy.write_row(row)

        await self._database.run(work)

    async def read(self, sids: Sequence[CallSid], since: datetime) -> tuple[list[WireCopy], list[LeftOut]]:
        """Of all these legs in one, in the order in which they were on the wire; `since` their call was placed."""
        wanted = {"sids": list(sids), "since": since}

        async def work(connection: AsyncConnection) -> tuple[list[WireCopy], list[LeftOut]]:
            copies = [_copy(row) for row in await connection.execute(READ, wanted)]
            counts = [LeftOut(row.call_sid, row.at, row.left_out) for row in await connection.execute(COUNT, wanted)]
            return copies, counts

        return await self._database.run(work)


def _row(one: WireCopy | LeftOut) -> tuple[Any, ...]:
    if isinstance(one, LeftOut):
        return one.call_sid, -one.messages, one.at, None, None, None, None, None, one.messages
    local, remote = address_text(one.local), address_text(one.remote)
    return one.call_sid, one.seq, one.at, one.direction, one.transport, local, remote, one.data, 0


def _copy(row: Any) -> WireCopy:
    return WireCopy(
        row.call_sid,
        row.seq,
        row.at,
        row.direction,
        row.transport,
        address_of(row.local),
        address_of(row.remote),
        bytes(row.data),
    )
