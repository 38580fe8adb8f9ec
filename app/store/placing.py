"""Stores dial requests, many in one commit: a parent, its legs and its idempotency key, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.calls.call import NewCall
from app.calls.sid import AccountSid, CallSid
from app.store.database import Database
from app.store.seal import Sealer


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


class Placing:
    """One per process that takes dial requests."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        raise NotImplementedError

    async def place(self, calls: Sequence[NewCall], *, idempotency: Idempotency | None) -> Placed | Replayed:
        """`calls` is the parent and its legs. Raises KeyConflict, Unavailable (within 2 s)."""
        raise NotImplementedError
