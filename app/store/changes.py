"""Writes what happened to calls, many calls in one commit: status, facts, event and owed delivery together."""

import asyncio
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.change import Change, Facts
from app.calls.errors import Fenced
from app.calls.status import FINAL
from app.store.database import Database
from app.store.destinations import Destinations
from app.store.goodbyes import Goodbyes
from app.store.group import Batch, Group
from app.store.rows import origin_of, sealed_url, to_json
from app.store.seal import Sealer
from app.store.statement import statement

# `held` locks what this call already owes against being finished until we commit: either we see that a delivery is
# gone, or its finish, which unblocks in a second statement, sees our row. Rows are locked in one order everywhere.
# A claim (FOR NO KEY UPDATE) is not disturbed by it.
CHANGE = statement("""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS t(
        nr int, sid text, epoch int, seq int, at timestamptz, status text, final boolean,
        start_time timestamptz, ring_time timestamptz, answer_time timestamptz, end_time timestamptz,
        sip_call_id text, sip_response_code smallint, sip_response_reason text, reason text,
        dial_call_status text, dial_call_sid text, dial_call_duration int, dialog jsonb,
        screening text, recording_sid text, recording_duration int, goodbye_by bigint,
        event text, detail jsonb,
        message_id text, destination_id bigint, method text, url text, url_sealed bytea, body text, sequence int)
), changed AS (
    UPDATE calls c SET
        status = COALESCE(i.status, c.status),
        last_seq = i.seq,
        start_time = COALESCE(i.start_time, c.start_time),
        ring_time = COALESCE(i.ring_time, c.ring_time),
        answer_time = COALESCE(i.answer_time, c.answer_time),
        end_time = CASE WHEN i.final THEN COALESCE(i.end_time, i.at) ELSE c.end_time END,
        sip_call_id = COALESCE(i.sip_call_id, c.sip_call_id),
        sip_response_code = COALESCE(i.sip_response_code, c.sip_response_code),
        sip_response_reason = COALESCE(i.sip_response_reason, c.sip_response_reason),
        reason = COALESCE(i.reason, c.reason),
        dial_call_status = COALESCE(i.dial_call_status, c.dial_call_status),
        dial_call_sid = COALESCE(i.dial_call_sid, c.dial_call_sid),
        dial_call_duration = COALESCE(i.dial_call_duration, c.dial_call_duration),
        dialog = COALESCE(i.dialog, c.dialog),
        screening = CASE WHEN i.final THEN NULLIF(COALESCE(i.screening, c.screening), 'running')
                         ELSE COALESCE(i.screening, c.screening) END,
        recording_sid = COALESCE(i.recording_sid, c.recording_sid),
        recording_duration = COALESCE(i.recording_duration, c.recording_duration),
        dialed_at = CASE WHEN i.status = 'initiated' THEN COALESCE(c.dialed_at, now()) ELSE c.dialed_at END,
        worker_id = CASE WHEN i.final THEN NULL ELSE c.worker_id END,
        run_at = CASE WHEN i.final THEN NULL ELSE c.run_at END,
        callback_seq = COALESCE(i.sequence + 1, c.callback_seq)
    FROM input i
    WHERE c.sid = ANY(CAST(:sids AS text[])) AND c.sid = i.sid
      AND c.epoch = i.epoch AND c.last_seq < i.seq
      AND (i.status IS NULL OR (c.status, i.status) IN ({MOVES}))
    RETURNING i.nr, c.sid, c.account_sid
), events AS (
    INSERT INTO call_event (call_sid, seq, type, at, detail)
    SELECT i.sid, i.seq, i.event, i.at, i.detail FROM input i JOIN changed USING (nr) WHERE i.event IS NOT NULL
), goodbyes AS (
    INSERT INTO goodbye (worker_id, call_sid)
    SELECT i.goodbye_by, i.sid FROM input i JOIN changed USING (nr) WHERE i.goodbye_by IS NOT NULL
), held AS MATERIALIZED (
    SELECT o.call_sid FROM webhook_outbox o
    WHERE o.call_sid = ANY(CAST(:owing AS text[])) AND o.sequence >= 0 AND {HOLDS} ORDER BY o.id FOR KEY SHARE OF o
), owed AS (
    INSERT INTO webhook_outbox (message_id, destination_id, account_sid, call_sid, sequence, method, url, url_sealed,
                                body, expires_at, blocked)
    SELECT i.message_id, i.destination_id, changed.account_sid, i.sid, i.sequence, i.method, i.url, i.url_sealed,
           i.body, now() + interval '24 hours', i.sid IN (SELECT call_sid FROM held)
    FROM input i JOIN changed USING (nr) WHERE i.message_id IS NOT NULL ORDER BY i.nr
    RETURNING 1
)
SELECT nr, (SELECT pg_notify('webhook', '') FROM (SELECT 1 FROM owed LIMIT 1) AS any_row) FROM changed
""")

STANDING = statement("SELECT sid, epoch, last_seq FROM calls WHERE sid = ANY(CAST(:sids AS text[]))")

# While PostgreSQL works on one batch the next one is put together: no more CPU each, and two cores are used.
_WRITERS = 2

_FACTS = tuple(field.name for field in fields(Facts))
_facts_of = attrgetter(*_FACTS)


class Changes:
    """One per process that owns calls."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self.goodbyes = Goodbyes(database)
        self._destinations = Destinations(database)
        self._group: Group[Change, None] = Group("changes", self._commit, patient=True, writers=_WRITERS)

    async def start(self) -> None:
        await self._group.start()

    async def stop(self) -> None:
        """Returns when everything queued is durable; cancel it to give up on a database that is away."""
        await self._group.stop()

    def write(self, change: Change) -> "asyncio.Future[None]":
        """Done when durable; Fenced when the epoch is lost or the status table refuses; never Unavailable.

        The order per call is the order of the calls to `write`. Cancelling the future does not take the change back.
        """
        return self._group.put(change, change.sid)

    async def _commit(self, batch: Batch[Change]) -> Sequence[Exception | None]:
        await self._destinations.learn(origin_of(change.owed.url) for change in batch.items if change.owed)
        rows = [self._row(nr, change) for nr, change in enumerate(batch.items)]
        parameters = {
            "rows": to_json(rows),
            "sids": [change.sid for change in batch.items],
            "owing": [change.sid for change in batch.items if change.owed],
        }
        tries = 0

        async def work(connection: AsyncConnection) -> set[int]:
            nonlocal tries
            tries += 1
            written = {row.nr for row in await connection.execute(CHANGE, parameters)}
            if len(written) < len(batch.items) and (batch.again or tries > 1):
                written |= await _written_before(connection, batch.items)
            return written

        written = await self._database.run(work, one=True)
        for nr in written:
            if "goodbye_by" in rows[nr] or batch.again:  # an earlier try may have written what has been heard by now
                self._keep(batch.items[nr])
        return [None if nr in written else _fenced(change) for nr, change in enumerate(batch.items)]

    def _keep(self, change: Change) -> None:
        if change.goodbye is not None and change.worker_id is not None:
            self.goodbyes.keep(change.sid, change.worker_id, change.goodbye)

    def _row(self, nr: int, change: Change) -> dict[str, Any]:
        row: dict[str, Any] = {
            "nr": nr,
            "sid": change.sid,
            "epoch": change.epoch,
            "seq": change.seq,
            "at": change.at,
            "status": change.status,
            "final": change.status in FINAL,
            "event": change.event,
            "detail": change.detail,
        }
        for name, value in zip(_FACTS, _facts_of(change.facts), strict=True):
            if value is not None:
                row[name] = value
        # Asked as late as can be: a peer that is near has heard by now, and nothing need be written.
        if change.goodbye is not None and not change.goodbye.heard:
            row["goodbye_by"] = change.worker_id
        if (owed := change.owed) is not None:
            row["url"], row["url_sealed"] = sealed_url(owed.url, self._sealer)
            row["destination_id"] = self._destinations.id_of(origin_of(owed.url))
            row |= {"message_id": owed.message_id, "method": owed.method, "body": owed.body, "sequence": owed.sequence}
        return row


async def _written_before(connection: AsyncConnection, changes: Sequence[Change]) -> set[int]:
    """Those that an earlier try had committed although its answer was lost: nobody else has this epoch and seq."""
    rows = await connection.execute(STANDING, {"sids": [change.sid for change in changes]})
    standing = {row.sid: (row.epoch, row.last_seq) for row in rows}
    return {nr for nr, change in enumerate(changes) if standing.get(change.sid) == (change.epoch, change.seq)}


def _fenced(change: Change) -> Fenced:
    return Fenced(f"call {change.sid} is not ours any more (epoch {change.epoch}, change {change.seq})")
