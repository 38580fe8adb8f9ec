"""Stores dial requests, many in one commit: a parent, its legs and its idempotency key, all or nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import NewCall
from app.calls.errors import KeyConflict, TooManyCalls, Unavailable
from app.calls.sid import AccountSid, CallSid
from app.runtime.patience import waiting
from app.store.allowance import Allowance, Wanted
from app.store.database import Database
from app.store.group import Batch, Group
from app.store.rows import document_of, row_of, to_json
from app.store.seal import Sealer
from app.store.statement import statement

NO_LIMITS = Allowance()
PATIENCE = 2.0  # seconds until a caller is told to come back

# The conflicting row is updated even if nothing changes: only so it is waited for, and returned, while another process
# is still committing it. Keys are taken in one order, so that two processes cannot wait for each other.
PLACE = statement("""
WITH keyed AS (
    INSERT INTO idempotency AS i (account_sid, key, digest, call_sid)
    SELECT k.account_sid, k.key, k.digest, k.call_sid
    FROM json_to_recordset(CAST(:keys AS json)) AS k(account_sid text, key text, digest bytea, call_sid text)
    ORDER BY k.account_sid, k.key
    ON CONFLICT (account_sid, key) DO UPDATE SET
        digest = CASE WHEN i.created_at < now() - interval '24 hours' THEN excluded.digest ELSE i.digest END,
        call_sid = CASE WHEN i.created_at < now() - interval '24 hours' THEN excluded.call_sid ELSE i.call_sid END,
        created_at = CASE WHEN i.created_at < now() - interval '24 hours' THEN now() ELSE i.created_at END
    RETURNING account_sid, key, digest, call_sid
), placed AS (
    SELECT c.* FROM json_to_recordset(CAST(:calls AS json)) AS c(
        nr int, root text, keyed boolean, sid text, account_sid text, parent_sid text, leg_index int, direction text,
        from_uri text, to_uri text, caller_name text, forwarded_from text,
        has_caller boolean, callback_url text, callback_sealed bytea, callback_method text, callback_events text[])
    WHERE NOT c.keyed OR c.root IN (SELECT call_sid FROM keyed)
), stored AS (
    INSERT INTO calls (sid, account_sid, parent_sid, leg_index, direction, from_uri, to_uri, run_at, caller_name,
                       forwarded_from, has_caller, callback_url, callback_sealed, callback_method, callback_events)
    SELECT sid, account_sid, parent_sid, leg_index, direction, from_uri, to_uri,
           CASE WHEN parent_sid IS NULL THEN now() END, caller_name, forwarded_from, has_caller,
           callback_url, callback_sealed, callback_method, callback_events
    FROM placed ORDER BY nr
    ON CONFLICT (sid) DO NOTHING
    RETURNING sid
), documents AS (
    INSERT INTO call_document (call_sid, sealed, rcml, metadata, idempotency_key)
    SELECT d.call_sid, d.sealed, d.rcml, d.metadata, d.idempotency_key
    FROM json_to_recordset(CAST(:documents AS json)) AS d(
        call_sid text, sealed bytea, rcml text, metadata jsonb, idempotency_key text)
    WHERE d.call_sid IN (SELECT sid FROM stored)
)
SELECT now() AS created_at,
       (SELECT count(*) FROM placed) = (SELECT count(*) FROM stored) AS all_new,
       (SELECT json_agg(json_build_array(account_sid, key, encode(digest, 'hex'), call_sid)) FROM keyed) AS keys,
       (SELECT pg_notify('dial', '') FROM (SELECT 1 FROM stored LIMIT 1) AS any_row)
""")

CREATED_AT = statement("SELECT sid, created_at FROM calls WHERE sid = ANY(CAST(:sids AS text[]))")


@dataclass(frozen=True, slots=True)
class Idempotency:
    account_sid: AccountSid
    key: str
    digest: bytes  # SHA-256 of query and body bytes


@dataclass(frozen=True, slots=True)
class Placed:
    created_at: datetime  # one for parent and legs


@dataclass(frozen=True, slots=True)
class Replayed:
    sid: CallSid


_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Request:
    calls: Sequence[NewCall]
    idempotency: Idempotency | None

    @property
    def root(self) -> CallSid:
        return self.calls[0].sid

    @property
    def wanted(self) -> Wanted:
        parent = self.calls[0]
        return Wanted(parent.sid, parent.account_sid, self.idempotency.key if self.idempotency else None)

    @property
    def key(self) -> _Key | None:
        return (self.idempotency.account_sid, self.idempotency.key) if self.idempotency else None


@dataclass(frozen=True, slots=True)
class _Stored:
    created_at: Mapping[str, datetime]  # of every root that is stored
    keys: Mapping[_Key, tuple[bytes, str]]  # digest and sid that each key stands for
    refused: Mapping[str, TooManyCalls]  # of each root that is not


class Placing:
    """One per process that takes dial requests."""

    def __init__(self, database: Database, sealer: Sealer, allowance: Allowance = NO_LIMITS) -> None:
        self._database = database
        self._sealer = sealer
        self._allowance = allowance
        self._group: Group[_Request, Placed | Replayed] = Group("placing", self._commit, patient=False)

    async def start(self) -> None:
        await self._group.start()

    async def stop(self) -> None:
        """Returns when everything queued is answered."""
        await self._group.stop()

    async def place(self, calls: Sequence[NewCall], *, idempotency: Idempotency | None) -> Placed | Replayed:
        """`calls` is the parent and its legs. Raises KeyConflict, TooManyCalls, Unavailable (within 2 s).

        After Unavailable the request may or may not be stored: repeated with its key it gives the same sid.
        """
        request = _Request(calls, idempotency)
        try:
            async with waiting(PATIENCE):
                return await self._group.put(request, request.root)
        except TimeoutError as error:
            raise Unavailable("the database did not answer in time") from error

    async def _commit(self, batch: Batch[_Request]) -> Sequence[Placed | Replayed | Exception]:
        firsts: dict[_Key | None, _Request] = {}
        for request in batch.items:
            if request.key is not None:
                firsts.setdefault(request.key, request)
        written = [r for r in batch.items if r.key is None or firsts[r.key] is r]

        async def work(connection: AsyncConnection) -> _Stored:
            refused: dict[str, TooManyCalls] = {}
            if self._allowance.bounded:
                refused = await self._allowance.refuse(connection, [request.wanted for request in written])
            admitted = [request for request in written if request.root not in refused]
            return await _store(connection, self._parameters(admitted), admitted, refused)

        stored = await self._database.run(work, seconds=PATIENCE)
        return [_answer(request, firsts.get(request.key, request), stored) for request in batch.items]

    def _parameters(self, requests: Sequence[_Request]) -> dict[str, str]:
        keys: list[dict[str, Any]] = []
        calls: list[dict[str, Any]] = []
        documents: list[dict[str, Any]] = []
        for request in requests:
            if (given := request.idempotency) is not None:
                keys.append({**asdict(given), "call_sid": request.root})
            for call in request.calls:
                of_request = {"nr": len(calls), "root": request.root, "keyed": given is not None}
                calls.append({**of_request, **row_of(call, self._sealer)})
                if (document := document_of(call, self._sealer)) is not None:
                    documents.append(document)
        return {"keys": to_json(keys), "calls": to_json(calls), "documents": to_json(documents)}


async def _store(
    connection: AsyncConnection,
    parameters: Mapping[str, Any],
    requests: Sequence[_Request],
    refused: Mapping[str, TooManyCalls],
) -> _Stored:
    roots = [request.root for request in requests]
    row = (await connection.execute(PLACE, parameters)).mappings().one()
    created_at = dict.fromkeys(roots, row["created_at"])
    if not row["all_new"]:  # the COMMIT of an earlier try was done, only its answer was lost
        earlier = await connection.execute(CREATED_AT, {"sids": list(roots)})
        created_at |= {row.sid: row.created_at for row in earlier}
    keys = {(account, key): (bytes.fromhex(digest), sid) for account, key, digest, sid in row["keys"] or ()}
    return _Stored(created_at, keys, refused)


def _answer(request: _Request, first: _Request, stored: _Stored) -> Placed | Replayed | Exception:
    """`first` is what was written for the request: itself, or an earlier one of the batch with its key."""
    if (refusal := stored.refused.get(first.root)) is not None:
        return refusal
    if request.key is not None and request.idempotency is not None:
        digest, sid = stored.keys[request.key]
        if digest != request.idempotency.digest:
            return KeyConflict("the Idempotency-Key was used with another request")
        if sid != request.root:
            return Replayed(CallSid(sid))
    return Placed(stored.created_at[request.root])
