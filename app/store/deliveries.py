"""Deliveries as the API lists and replays them, outbox and history as one; knows nothing of how they are sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.calls.callback import HttpMethod
from app.calls.sid import AccountSid, CallSid, MessageId
from app.store.database import Database
from app.store.seal import Sealer

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
    sequence: int
    method: HttpMethod
    url: str  # masked
    body: str | None
    state: State
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime | None  # of an owed one
    expires_at: datetime
    attempts: tuple[AttemptView, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which ones to replay; None narrows nothing."""

    state: State | None = "dead"
    call_sid: CallSid | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class Deliveries:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def for_call(self, account: AccountSid, sid: CallSid) -> list[DeliveryView]:
        """In sequence, attempts included."""
        raise NotImplementedError

    async def page(
        self, account: AccountSid, state: State | None, *, size: int, after: int | None
    ) -> list[DeliveryView]:
        """Newest first by id, up to size + 1, attempts included; `after` is the last id of the page before."""
        raise NotImplementedError

    async def get(self, account: AccountSid, id: int) -> DeliveryView | None:
        raise NotImplementedError

    async def replay(self, account: AccountSid, id: int) -> DeliveryView:
        """Owed again from now on, whatever it was, with a new schedule. Raises NotFound."""
        raise NotImplementedError

    async def replay_many(self, account: AccountSid, filter: DeliveryFilter) -> int:
        """How many are owed again."""
        raise NotImplementedError
