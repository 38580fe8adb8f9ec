"""Deliveries as the API lists and replays them, outbox and history as one; knows nothing of how they are sent."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.callback import HttpMethod
from app.calls.errors import NotFound
from app.calls.sid import AccountSid, CallSid, MessageId
from app.runtime.patience import renewed
from app.store.database import Database
from app.store.seal import Sealer
from app.store.statement import statement

_HIGHEST = 2**63 - 1
_STEP = 500  # deliveries replayed in one transaction

FOR_CALL = statement("""
SELECT {OWED} FROM webhook_outbox WHERE account_sid = :account AND call_sid = :call
UNION ALL SELECT {PAST} FROM webhook_delivery WHERE account_sid = :account AND call_sid = :call
ORDER BY id
""")
GET = statement("""
SELECT {OWED} FROM webhook_outbox WHERE account_sid = :account AND id = :id
UNION ALL SELECT {PAST} FROM webhook_delivery WHERE account_sid = :account AND id = :id
""")
PAGE = statement("""
(SELECT {OWED} FROM webhook_outbox WHERE account_sid = :account AND id < :below ORDER BY id DESC LIMIT :limit)
UNION ALL
(SELECT {PAST} FROM webhook_delivery WHERE account_sid = :account AND id < :below ORDER BY id DESC LIMIT :limit)
ORDER BY id DESC LIMIT :limit
""")
PAGE_OWED = statement("""
SELECT {OWED} FROM webhook_outbox WHERE account_sid = :account AND id < :below ORDER BY id DESC LIMIT :limit
""")
PAGE_DEAD = statement("""
SELECT {PAST} FROM webhook_delivery WHERE account_sid = :account AND id < :below AND state = 'dead'
ORDER BY id DESC LIMIT :limit
""")
PAGE_DELIVERED = statement("""
SELECT {PAST} FROM webhook_delivery WHERE account_sid = :account AND id < :below AND state = 'delivered'
ORDER BY id DESC LIMIT :limit
""")
ATTEMPTS = statement("""
SELECT delivery_id, number, at, status, latency_ms, error, answer FROM webhook_attempt
WHERE delivery_id = ANY(CAST(:ids AS bigint[])) AND logged_at >= :since ORDER BY delivery_id, number, logged_at
""")
MATCHING = statement("""
SELECT id FROM (
    SELECT id, account_sid, call_sid, created_at, 'owed' AS state FROM webhook_outbox
    UNION ALL SELECT id, account_sid, call_sid, created_at, state FROM webhook_delivery
) AS v
WHERE account_sid = :account AND id > :after
  AND (CAST(:state AS text) IS NULL OR state = :state) AND (CAST(:call_sid AS text) IS NULL OR call_sid = :call_sid)
  AND (CAST(:created_after AS timestamptz) IS NULL OR created_at >= :created_after)
  AND (CAST(:created_before AS timestamptz) IS NULL OR created_at < :created_before)
ORDER BY id LIMIT :limit
""")
REPLAY_OWED = statement("""
UPDATE webhook_outbox SET next_at = now(), earlier = earlier + attempt, attempt = 0,
                          expires_at = now() + interval '24 hours', lease_until = NULL, lease_token = NULL
WHERE account_sid = :account AND id = ANY(CAST(:ids AS bigint[])) AND (lease_until IS NULL OR lease_until < now())
""")
# The history's row moves back, so that a delivery is in one place only. Its attempts stay and go on counting.
REPLAY_PAST = statement("""
WITH past AS (
    DELETE FROM webhook_delivery WHERE account_sid = :account AND id = ANY(CAST(:ids AS bigint[])) RETURNING *
), back AS (
    INSERT INTO webhook_outbox (id, message_id, destination_id, account_sid, call_sid, sequence, method, url,
                                url_sealed, body, earlier, created_at, expires_at, blocked)
    SELECT b.id, message_id, destination_id, account_sid, b.call_sid, b.sequence, method, url, url_sealed, body,
           attempts, created_at, now() + interval '24 hours',
           row_number() OVER (PARTITION BY b.call_sid, b.sequence < 0 ORDER BY b.id) > 1
           OR EXISTS (SELECT FROM webhook_outbox o
                      WHERE o.call_sid = b.call_sid AND o.id < b.id AND {SAME_ORDER} AND {HOLDS})
    FROM past b ORDER BY b.id
    RETURNING 1
)
SELECT pg_notify('webhook', '')
""")

State = Literal["owed", "delivered", "dead"]


@dataclass(frozen=True, slots=True)
class AttemptView:
    number: int  # from 1; goes on counting over replays
    at: datetime
    status: int | None
    latency_ms: int
    error: str | None
    answer: str  # the first KiB, undecodable bytes replaced


@dataclass(frozen=True, slots=True)
class DeliveryView:
    id: int
    message_id: MessageId  # the webhook-id header
    account_sid: AccountSid
    call_sid: CallSid
    sequence: int  # UNNUMBERED: of a recording
    method: HttpMethod
    url: str  # masked
    body: str | None
    state: State
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime | None  # of an owed one
    expires_at: datetime
    attempts: tuple[AttemptView, ...] = ()


_COPIED = tuple(field.name for field in fields(DeliveryView) if field.name != "attempts")


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which ones to replay; None narrows nothing."""

    state: State | None = "dead"
    call_sid: CallSid | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class Deliveries:
    """Raises Unavailable from every method."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database

    async def for_call(self, account: AccountSid, sid: CallSid) -> list[DeliveryView]:
        """As they were fired, attempts included."""
        return await self._views(FOR_CALL, {"account": account, "call": sid})

    async def page(
        self, account: AccountSid, state: State | None, *, size: int, after: int | None
    ) -> list[DeliveryView]:
        """Newest first by id, up to size + 1, attempts included; `after` is the last id of the page before."""
        statements = {None: PAGE, "owed": PAGE_OWED, "dead": PAGE_DEAD, "delivered": PAGE_DELIVERED}
        below = _HIGHEST if after is None else after
        return await self._views(statements[state], {"account": account, "below": below, "limit": size + 1})

    async def get(self, account: AccountSid, id: int) -> DeliveryView | None:
        """None for an unknown id and for another account's alike."""
        if not 0 <= id <= _HIGHEST:
            return None
        views = await self._views(GET, {"account": account, "id": id})
        return views[0] if views else None

    async def replay(self, account: AccountSid, id: int) -> DeliveryView:
        """Owed again from now on, whatever it was, with a new schedule. Raises NotFound.

        One whose attempt is under way at this moment stays as it is.
        """

        async def work(connection: AsyncConnection) -> None:
            await _replay(connection, account, [id])

        if 0 <= id <= _HIGHEST:
            await self._database.run(work)
        view = await self.get(account, id)
        if view is None:
            raise NotFound(str(id))
        return view

    async def replay_many(self, account: AccountSid, filter: DeliveryFilter) -> int:
        """How many are owed again. In steps, so that no number of them runs into a time limit."""
        chosen = {**asdict(filter), "account": account, "limit": _STEP, "after": -1}
        count = 0

        async def work(connection: AsyncConnection) -> list[int]:
            ids = list((await connection.execute(MATCHING, chosen)).scalars())
            await _replay(connection, account, ids)
            return ids

        while ids := await self._database.run(work):
            count += len(ids)
            renewed()
            chosen["after"] = ids[-1]  # ids only grow: what is delivered again meanwhile is not met again
        return count

    async def _views(self, sql: TextClause, parameters: dict[str, Any]) -> list[DeliveryView]:
        async def work(connection: AsyncConnection) -> list[DeliveryView]:
            rows = (await connection.execute(sql, parameters)).mappings().all()
            if not rows:
                return []
            # An attempt is never older than its delivery: partitions before that day are not looked at.
            wanted = {"ids": [row["id"] for row in rows], "since": min(row["created_at"] for row in rows)}
            attempts: dict[int, list[AttemptView]] = {}
            for row in await connection.execute(ATTEMPTS, wanted):
                attempts.setdefault(row.delivery_id, []).append(_attempt(row))
            return [
                DeliveryView(**{name: row[name] for name in _COPIED}, attempts=tuple(attempts.get(row["id"], ())))
                for row in rows
            ]

        return await self._database.run(work)


async def _replay(connection: AsyncConnection, account: AccountSid, ids: Sequence[int]) -> None:
    parameters = {"account": account, "ids": list(ids)}
    await connection.execute(REPLAY_OWED, parameters)
    await connection.execute(REPLAY_PAST, parameters)


def _attempt(row: Row[Any]) -> AttemptView:
    answer = (row.answer or b"").decode(errors="replace")
    return AttemptView(row.number, row.at, row.status, row.latency_ms, row.error, answer)
