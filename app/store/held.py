"""What a worker stores in its own hands without a claim: a later Dial's legs, and an inbound call. Dials nobody."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import Call, NewCall
from app.calls.errors import Fenced
from app.store.rows import call_of, document_of, row_of, to_json
from app.store.seal import Sealer
from app.store.statement import statement

HOLD_PARENT = statement("""
SELECT sid FROM calls WHERE sid = :parent AND epoch = :epoch AND worker_id = :worker AND end_time IS NULL FOR UPDATE
""")
ADD_LEGS = statement("""
INSERT INTO calls (sid, account_sid, parent_sid, leg_index, direction, from_uri, to_uri, worker_id, epoch,
                   caller_name, forwarded_from, callback_url, callback_sealed, callback_method, callback_events)
SELECT sid, account_sid, parent_sid, leg_index, direction, from_uri, to_uri, :worker, 1,
       caller_name, forwarded_from, callback_url, callback_sealed, callback_method, callback_events
FROM json_to_recordset(CAST(:legs AS json)) AS l(
    sid text, account_sid text, parent_sid text, leg_index int, direction text, from_uri text, to_uri text,
    caller_name text, forwarded_from text,
    callback_url text, callback_sealed bytea, callback_method text, callback_events text[])
ORDER BY leg_index ON CONFLICT (sid) DO NOTHING
""")
# Never due, so that nobody claims it; dialled from its first moment, so that nobody hands it back.
ADOPT = statement("""
WITH stored AS (
    INSERT INTO calls (sid, account_sid, direction, from_uri, to_uri, worker_id, epoch, dialed_at, dialog,
                       caller_name, forwarded_from, has_caller,
                       callback_url, callback_sealed, callback_method, callback_events)
    SELECT sid, account_sid, direction, from_uri, to_uri, :worker, 1, now(), dialog,
           caller_name, forwarded_from, has_caller, callback_url, callback_sealed, callback_method, callback_events
    FROM json_to_record(CAST(:call AS json)) AS c(
        sid text, account_sid text, direction text, from_uri text, to_uri text, dialog jsonb,
        caller_name text, forwarded_from text, has_caller boolean,
        callback_url text, callback_sealed bytea, callback_method text, callback_events text[])
    ON CONFLICT (sid) DO NOTHING
    RETURNING sid
)
INSERT INTO call_document (call_sid, sealed, rcml, metadata)
SELECT d.call_sid, d.sealed, d.rcml, d.metadata
FROM json_to_record(CAST(:document AS json)) AS d(call_sid text, sealed bytea, rcml text, metadata jsonb)
WHERE d.call_sid IN (SELECT sid FROM stored)
""")
THESE = statement("SELECT {CALL} FROM {CALLS} WHERE c.sid = ANY(CAST(:sids AS text[])) ORDER BY c.leg_index")


async def add_legs(
    connection: AsyncConnection, worker_id: int, parent: Call, legs: Sequence[NewCall], *, sealer: Sealer
) -> list[Call]:
    """Once however often it is asked. Raises Fenced."""
    owner = {"parent": parent.sid, "epoch": parent.epoch, "worker": worker_id}
    if (await connection.execute(HOLD_PARENT, owner)).one_or_none() is None:
        raise Fenced(f"call {parent.sid} is not ours any more")
    rows = to_json([row_of(leg, sealer) for leg in legs])
    await connection.execute(ADD_LEGS, {"legs": rows, "worker": worker_id})
    stored = await connection.execute(THESE, {"sids": [leg.sid for leg in legs]})
    return [call_of(row, sealer) for row in stored.mappings()]


async def adopt(
    connection: AsyncConnection, worker_id: int, call: NewCall, dialog: Mapping[str, Any], *, sealer: Sealer
) -> Call:
    """Once however often it is asked. Raises Fenced when somebody took it over since an earlier try."""
    parameters = {
        "worker": worker_id,
        "call": to_json({**row_of(call, sealer), "dialog": dict(dialog)}),
        "document": to_json(document_of(call, sealer) or {}),
    }
    await connection.execute(ADOPT, parameters)
    row = (await connection.execute(THESE, {"sids": [call.sid]})).mappings().one()
    stored = call_of(row, sealer)
    if (stored.worker_id, stored.epoch) != (worker_id, 1):
        raise Fenced(f"call {call.sid} is not ours any more")
    return stored
