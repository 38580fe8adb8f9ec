"""What is owed to customers' callbacks: claims, results, order and breaker state; sends nothing itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from app.calls.callback import HttpMethod
from app.calls.sid import AccountSid, CallSid, MessageId
from app.store.accounts import SigningSecrets
from app.store.database import Database
from app.store.seal import Sealer

LEASE = 60.0  # seconds that a claim holds
BreakerWord = Literal["closed", "open", "half-open"]
DeliveryState = Literal["delivered", "owed", "dead"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one callback, claimed for one attempt."""

    id: int
    message_id: MessageId
    destination_id: int
    origin: str  # scheme://host:port
    account_sid: AccountSid
    call_sid: CallSid
    sequence: int
    method: HttpMethod
    url: str = field(repr=False)  # real, user information included
    body: str | None = field(repr=False)
    attempt: int  # from 1, this one; starts anew with a replay
    created_at: datetime
    expires_at: datetime
    lease_token: int
    claimed_at: datetime  # by the database's clock; the claim holds LEASE seconds


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt. `owed` needs `next_in`, seconds until the next attempt."""

    delivery: Delivery
    state: DeliveryState
    next_in: float | None
    status: int | None
    latency_ms: int
    error: str | None
    answer: bytes  # the first KiB
    at: datetime


@dataclass(frozen=True, slots=True)
class Breaker:
    """`open`: no claims for `open_for` seconds, then one probe (`half-open`) until somebody says what came of it."""

    state: BreakerWord = "closed"
    consecutive_failures: int = 0
    cool_down: float = 0.0  # seconds, doubled by whoever opens it again
    open_for: float = 0.0  # seconds from now, by the database's clock


@dataclass(frozen=True, slots=True)
class Destination:
    id: int
    origin: str
    max_in_flight: int | None  # None: the dispatcher's own limit
    paused: bool
    breaker: Breaker


class Outbox:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def claim(self, *, room: int, per_destination: int, busy: Mapping[int, int]) -> list[Delivery]:
        raise NotImplementedError

    async def finish(self, results: Sequence[Result]) -> set[int]:
        """The ids that were still ours; the others had been claimed by somebody else since. Claim again after it."""
        raise NotImplementedError

    async def next_due(self) -> float | None:
        """Seconds until something becomes due that is not due now; None when nothing is waiting."""
        raise NotImplementedError

    async def destinations(self, ids: Iterable[int]) -> dict[int, Destination]:
        raise NotImplementedError

    async def breaker(self, destination_id: int, breaker: Breaker) -> None:
        raise NotImplementedError

    async def release(self, ids: Iterable[int]) -> None:
        """Give back claims that were not started; no attempt is burned."""
        raise NotImplementedError

    async def secrets(self, account: AccountSid) -> SigningSecrets:
        raise NotImplementedError
