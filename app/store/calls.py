"""Reads calls and their events, one account at a time; writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import Call, Direction
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid
from app.calls.status import FINAL, Status
from app.store.database import Database
from app.store.rows import call_of
from app.store.seal import Sealer
from app.store.statement import statement

GET = statement("SELECT {CALL} FROM {CALLS} WHERE c.sid = :sid AND c.account_sid = :account")
LEGS = statement(
    "SELECT {CALL} FROM {CALLS} WHERE c.parent_sid = ANY(CAST(:parents AS text[])) ORDER BY c.parent_sid, c.leg_index"
)
EVENTS = statement("SELECT seq, type, at, detail FROM call_event WHERE call_sid = :sid ORDER BY seq")
ACCOUNT_OF = statement("SELECT account_sid FROM calls WHERE sid = :sid")
PAGE = "SELECT {CALL} FROM {CALLS} WHERE c.account_sid = :account"
NEWEST_FIRST = " ORDER BY c.created_at DESC, c.sid DESC LIMIT :limit"

# One condition per filter that is given; a value is always a parameter.
_CONDITIONS = {
    "status": "c.status = :status",
    "to": "c.to_uri = :to",
    "from_": "c.from_uri = :from_",
    "direction": "c.direction = :direction",
    "parent_sid": "c.parent_sid = :parent_sid",
    "start_from": "c.start_time >= :start_from",
    "start_until": "c.start_time < :start_until",
    "end_from": "c.end_time >= :end_from",
    "end_until": "c.end_time < :end_until",
}
# Lets the planner use the small index of the calls that run.
_RUNNING = "c.end_time IS NULL"
_AFTER = "(c.created_at, c.sid) < (:after_time, :after_sid)"

Bound = date | datetime


@dataclass(frozen=True, slots=True)
class CallFilters:
    """What a list is narrowed to; None narrows nothing.

    A date is a whole UTC day, bounds included: `start_time` that day, `_before` until its end, `_after` from its
    beginning. A datetime is that moment, included in both.
    """

    status: Status | None = None
    to: str | None = None
    from_: str | None = None
    direction: Direction | None = None
    parent_sid: CallSid | None = None
    start_time: date | None = None
    start_time_before: Bound | None = None
    start_time_after: Bound | None = None
    end_time: date | None = None
    end_time_before: Bound | None = None
    end_time_after: Bound | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    seq: int
    event: Event
    at: datetime
    detail: Mapping[str, Any] | None


class CallReads:
    """Raises Unavailable from every method."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def get(self, account: AccountSid, sid: str) -> Call | None:
        """None for an unknown sid and for another account's alike."""
        calls = await self._calls(GET, {"account": account, "sid": sid})
        return calls[0] if calls else None

    async def legs(self, parents: Sequence[CallSid]) -> dict[CallSid, list[Call]]:
        """Every parent has an entry; legs by leg_index."""
        found: dict[CallSid, list[Call]] = {sid: [] for sid in parents}
        for leg in await self._calls(LEGS, {"parents": list(parents)}):
            if leg.parent_sid is not None:
                found[leg.parent_sid].append(leg)
        return found

    async def page(
        self, account: AccountSid, filters: CallFilters, *, size: int, after: tuple[datetime, str] | None
    ) -> list[Call]:
        """Newest first by (created_at, sid), up to size + 1 so that the caller knows whether there is more."""
        given = _parameters(filters)
        conditions = [_CONDITIONS[name] for name in given]
        if filters.status is not None and filters.status not in FINAL:
            conditions.append(_RUNNING)
        if after is not None:
            conditions.append(_AFTER)
            given |= {"after_time": after[0], "after_sid": after[1]}
        sql = PAGE + "".join(f" AND {condition}" for condition in conditions) + NEWEST_FIRST
        return await self._calls(statement(sql), {**given, "account": account, "limit": size + 1})

    async def events(self, sid: CallSid) -> list[StoredEvent]:
        """In the order in which they happened. Check the account first: `get`."""

        async def work(connection: AsyncConnection) -> list[StoredEvent]:
            rows = await connection.execute(EVENTS, {"sid": sid})
            return [StoredEvent(row.seq, Event(row.type), row.at, row.detail) for row in rows]

        return await self._database.run(work, one=True)

    async def account_of(self, sid: str) -> AccountSid | None:
        """Whose call it is; None when there is no such call."""

        async def work(connection: AsyncConnection) -> AccountSid | None:
            return (await connection.execute(ACCOUNT_OF, {"sid": sid})).scalar()

        return await self._database.run(work, one=True)

    async def _calls(self, sql: TextClause, parameters: Mapping[str, Any]) -> list[Call]:
        async def work(connection: AsyncConnection) -> list[Call]:
            rows = (await connection.execute(sql, parameters)).mappings()
            return [call_of(row, self._sealer) for row in rows]

        return await self._database.run(work, one=True)


def _parameters(filters: CallFilters) -> dict[str, Any]:
    start = _span(filters.start_time, filters.start_time_after, filters.start_time_before)
    end = _span(filters.end_time, filters.end_time_after, filters.end_time_before)
    named = {
        "status": filters.status,
        "to": filters.to,
        "from_": filters.from_,
        "direction": filters.direction,
        "parent_sid": filters.parent_sid,
        "start_from": start[0],
        "start_until": start[1],
        "end_from": end[0],
        "end_until": end[1],
    }
    return {name: value for name, value in named.items() if value is not None}


def _span(day: date | None, after: Bound | None, before: Bound | None) -> tuple[datetime | None, datetime | None]:
    """From (included) and until (excluded); the narrower of what is given."""
    lows = [_begin(bound) for bound in (day, after) if bound is not None]
    highs = [_end(bound) for bound in (day, before) if bound is not None]
    return max(lows, default=None), min(highs, default=None)


def _begin(bound: Bound) -> datetime:
    return bound if isinstance(bound, datetime) else datetime.combine(bound, time.min, UTC)


def _end(bound: Bound) -> datetime:
    step = timedelta(microseconds=1) if isinstance(bound, datetime) else timedelta(days=1)
    return _begin(bound) + step
