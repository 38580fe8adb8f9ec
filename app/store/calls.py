"""Reads calls and their events, one account at a time; writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from app.calls.call import Call, Direction
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid
from app.calls.status import Status
from app.store.database import Database
from app.store.seal import Sealer


@dataclass(frozen=True, slots=True)
class CallFilters:
    """What a list is narrowed to; None narrows nothing. Dates are UTC days: that day, or before/after (inclusive)."""

    status: Status | None = None
    to: str | None = None
    from_: str | None = None
    direction: Direction | None = None
    parent_sid: CallSid | None = None
    start_time: date | None = None
    start_time_before: date | datetime | None = None
    start_time_after: date | datetime | None = None
    end_time: date | None = None
    end_time_before: date | datetime | None = None
    end_time_after: date | datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    seq: int
    event: Event
    at: datetime
    detail: Mapping[str, Any] | None


class CallReads:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def get(self, account: AccountSid, sid: str) -> Call | None:
        raise NotImplementedError

    async def legs(self, parents: Sequence[CallSid]) -> dict[CallSid, list[Call]]:
        """Every parent has an entry; legs by leg_index."""
        raise NotImplementedError

    async def page(
        self, account: AccountSid, filters: CallFilters, *, size: int, after: tuple[datetime, str] | None
    ) -> list[Call]:
        """Newest first by (created_at, sid), up to size + 1 so that the caller knows whether there is more."""
        raise NotImplementedError

    async def events(self, sid: CallSid) -> list[StoredEvent]:
        raise NotImplementedError

    async def account_of(self, sid: str) -> AccountSid | None:
        raise NotImplementedError
