"""Documents that running calls are given over the API: stored sealed, the newest of each call, taken once per claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.sid import CallSid
from app.store.rows import unsealed
from app.store.seal import Sealer
from app.store.statement import statement

# The parent is locked against being claimed meanwhile: either the claim sees the document or `TAKE` does.
REPLACE = statement("""
WITH parent AS MATERIALIZED (
    SELECT sid FROM calls
    WHERE sid = :sid AND account_sid = :account AND parent_sid IS NULL AND end_time IS NULL FOR UPDATE
), stored AS (
    INSERT INTO call_replacement (call_sid, sealed) SELECT sid, :sealed FROM parent
    ON CONFLICT (call_sid) DO UPDATE SET sealed = excluded.sealed, number = DEFAULT, taken_epoch = NULL
    RETURNING call_sid
)
SELECT pg_notify('command', call_sid) FROM stored
""")
# Taken in an older epoch is not taken: a call that was handed back begins anew, with the newest document.
_TAKE = """
WITH fresh AS MATERIALIZED (
    SELECT r.call_sid, c.epoch FROM calls c JOIN call_replacement r ON r.call_sid = c.sid
    WHERE {which} AND c.end_time IS NULL AND r.taken_epoch IS DISTINCT FROM c.epoch
    ORDER BY r.call_sid FOR UPDATE OF r
)
UPDATE call_replacement r SET taken_epoch = f.epoch FROM fresh f
WHERE r.call_sid = ANY(ARRAY(SELECT call_sid FROM fresh)) AND r.call_sid = f.call_sid
RETURNING r.call_sid, r.number, r.sealed
"""
TAKE = statement(_TAKE.replace("{which}", "c.worker_id = :worker"))
TAKE_OF = statement(_TAKE.replace("{which}", "c.sid = ANY(CAST(:sids AS text[]))"))


@dataclass(frozen=True, slots=True)
class Replacement:
    sid: CallSid
    number: int  # grows with each document
    document: bytes = field(repr=False)  # unsealed; empty when DIAL_SECRET_KEY was changed


async def replace(connection: AsyncConnection, key: Mapping[str, str], document: bytes, sealer: Sealer) -> bool:
    """`key` is the account and sid of a parent; one that has ended, and a leg, are left as they are: False."""
    done = await connection.execute(REPLACE, {**key, "sealed": sealer.seal(document)})
    return done.one_or_none() is not None


async def take(connection: AsyncConnection, worker_id: int, sealer: Sealer) -> list[Replacement]:
    """What this worker's calls were given since it last asked."""
    rows = await connection.execute(TAKE, {"worker": worker_id})
    return [_replacement(row, sealer) for row in rows]


async def take_of(connection: AsyncConnection, sids: Sequence[CallSid], sealer: Sealer) -> dict[CallSid, bytes]:
    """What calls that have just been claimed were given."""
    rows = await connection.execute(TAKE_OF, {"sids": list(sids)})
    return {row.call_sid: _replacement(row, sealer).document for row in rows}


def _replacement(row: Any, sealer: Sealer) -> Replacement:
    return Replacement(row.call_sid, row.number, unsealed(row.sealed, row.call_sid, sealer))
