"""What is owed to customers' callbacks: claims, results, order and breaker state; sends nothing itself."""

import secrets
import time
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.callback import HttpMethod
from app.calls.sid import AccountSid, CallSid, MessageId
from app.runtime import log
from app.store.accounts import Accounts, SigningSecrets
from app.store.database import Database
from app.store.outbox_statements import (
    BREAKER,
    CLAIM,
    DISOWN,
    EXPIRE,
    FINISH,
    NEXT_DUE,
    RELEASE,
    SWEEP,
    UNBLOCK,
)
from app.store.rows import real_url, to_json
from app.store.seal import Sealer

_log = log.get(__name__)

LEASE = 20.0  # seconds that a claim holds: an attempt takes 15 at most, and a dispatcher may be killed
_HOPS = 500  # destinations looked at in one claim; the next claim goes on behind them
_PROBE_SECONDS = 20.0  # until another probe may be tried when nobody said what became of one: an attempt takes 15
_SWEEP_SECONDS = 5.0  # the first retry's delay
_ANSWER_BYTES = 1024
_ERROR_CHARACTERS = 500
BreakerWord = Literal["closed", "open", "half-open"]
DeliveryState = Literal["delivered", "owed", "dead"]


@dataclass(frozen=True, slots=True)
class Breaker:
    """`open`: no claims for `open_for` seconds, then one probe (`half-open`) until somebody says what came of it."""

    state: BreakerWord = "closed"
    consecutive_failures: int = 0
    cool_down: float = 0.0  # seconds, doubled by whoever opens it again
    open_for: float = 0.0  # seconds from now, by the database's clock


_CLOSED = Breaker()


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
    breaker: Breaker = _CLOSED  # its destination's, as the claim has found or, for a probe, has made it


_COPIED = tuple(field.name for field in fields(Delivery) if field.name not in {"url", "breaker"})


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


class Outbox:
    """Raises Unavailable from every method.

    `more`: since the last claim began, something has become claimable that no notification and no time will tell of.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self.more = False
        self._database = database
        self._sealer = sealer
        self._accounts = Accounts(database, sealer)
        self._start = 0  # the destination after which the next claim begins
        self._tokens: dict[int, int] = {}  # of the claims that are neither finished nor released
        self._filled: dict[int, int] = {}  # destinations that may have more → attempts at which they had no room left
        self._swept = time.monotonic()

    async def claim(self, *, room: int, per_destination: int, busy: Mapping[int, int]) -> list[Delivery]:
        """Up to `room` due deliveries, destinations in turn, none beyond what its destination has room for.

        `busy`: attempts under way per destination id. A destination whose breaker is open gives nothing, and one
        probe when its time has come.
        """
        if room <= 0:
            return []
        token = secrets.randbits(62)
        parameters = {
            "start": self._start,
            "hops": _HOPS,
            "busy_ids": list(busy),
            "busy_counts": list(busy.values()),
            "per_destination": per_destination,
            "room": room,
            "probe_seconds": _PROBE_SECONDS,
            "lease": LEASE,
            "token": token,
        }

        tries = 0

        async def work(connection: AsyncConnection) -> list[RowMapping]:
            nonlocal tries
            tries += 1
            if tries > 1:  # the claim before may have been committed unheard: do not wait for its lease to lapse
                await connection.execute(DISOWN, {"token": token})
            return list((await connection.execute(CLAIM, parameters)).mappings())

        self.more = False
        await self._sweep_at_times()
        rows = await self._database.run(work, one=True)
        claimed = [self._delivery(row) for row in rows if row["id"] is not None]
        full = len(claimed) == room
        self._start = _next_start(rows, full=full)
        self.more = full or bool(rows and rows[0]["visited"] == _HOPS)
        self._note_filled(rows if claimed else (), busy, whole=not self.more)
        self._tokens |= dict.fromkeys((delivery.id for delivery in claimed), token)
        return claimed

    async def finish(self, results: Sequence[Result]) -> set[int]:
        """The ids that were still ours; the others had been claimed by somebody else since. Claim again after it."""
        rows = {
            "ids": [result.delivery.id for result in results],
            "results": to_json([_row(result) for result in results]),
        }
        tries, unblocked = 0, False

        async def work(connection: AsyncConnection) -> set[int]:
            nonlocal tries, unblocked
            tries += 1
            finished = (await connection.execute(FINISH, rows)).all()
            if finished:
                calls = list({row.call_sid for row in finished})
                unblocked = bool((await connection.execute(UNBLOCK, {"calls": calls})).all()) or unblocked
            return {row.id for row in finished}

        ours = await self._database.run(work)
        if unblocked or any(r.state == "owed" or r.delivery.destination_id in self._filled for r in results):
            self.more = True
        if tries > 1 and len(ours) < len(results):
            _log.info("outbox.finished_twice_or_fenced", ours=len(ours), results=len(results))
        for result in results:
            self._forget(result.delivery.id, result.delivery.lease_token)
        return ours

    async def next_due(self) -> float | None:
        """Seconds until something becomes due that is not due now; None when nothing is waiting."""

        async def work(connection: AsyncConnection) -> float | None:
            seconds = (await connection.execute(NEXT_DUE, {"hops": _HOPS})).scalar()
            return None if seconds is None else max(0.0, float(seconds))

        return await self._database.run(work, one=True)

    async def breaker(self, destination_id: int, breaker: Breaker) -> None:
        """Store what this dispatcher found out, for all of them."""
        row = {
            "id": destination_id,
            "state": breaker.state,
            "failures": breaker.consecutive_failures,
            "cool_down": breaker.cool_down,
            "open_for": breaker.open_for,
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(BREAKER, row)

        await self._database.run(work, one=True)

    async def release(self, ids: Iterable[int]) -> None:
        """Give back claims that were not started; no attempt is burned."""
        held = {id: self._tokens[id] for id in ids if id in self._tokens}
        if not held:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(RELEASE, {"ids": list(held), "tokens": list(held.values())})

        await self._database.run(work, one=True)
        for id, token in held.items():
            self._forget(id, token)

    async def sweep(self) -> int:
        """Unblock what a crash left blocked; `claim` does it every few seconds. How many."""

        async def work(connection: AsyncConnection) -> int:
            return len((await connection.execute(SWEEP, {"age": _SWEEP_SECONDS})).all())

        return await self._database.run(work, one=True)

    async def expire(self) -> int:
        """End, as dead, what is past its time behind an open breaker; call it about every minute. How many."""

        async def work(connection: AsyncConnection) -> int:
            expired = (await connection.execute(EXPIRE)).all()
            if expired:
                await connection.execute(UNBLOCK, {"calls": list({row.call_sid for row in expired})})
            return len(expired)

        return await self._database.run(work)

    async def secrets(self, account: AccountSid) -> SigningSecrets:
        """What signs this account's deliveries. Raises NotFound."""
        return await self._accounts.signing(account)

    async def _sweep_at_times(self) -> None:
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            if count := await self.sweep():
                _log.warning("outbox.unblocked_by_sweep", deliveries=count)

    def _note_filled(self, rows: Sequence[RowMapping], busy: Mapping[int, int], *, whole: bool) -> None:
        """Which destinations gave all that they had room for. `whole`: the claim has seen everything that was due."""
        given = Tally(row["destination_id"] for row in rows)
        if whole:
            for id in [id for id, at in self._filled.items() if id not in given and busy.get(id, 0) < at]:
                del self._filled[id]  # there was room, and nothing was due
        for row in rows:
            id, free = row["destination_id"], row["free"]
            if given[id] >= free:
                self._filled[id] = free + busy.get(id, 0)
            elif whole:
                self._filled.pop(id, None)

    def _delivery(self, row: RowMapping) -> Delivery:
        return Delivery(
            **{name: row[name] for name in _COPIED},
            url=real_url(row["url"], row["url_sealed"], self._sealer),
            breaker=_breaker(row),
        )

    def _forget(self, id: int, token: int) -> None:
        if self._tokens.get(id) == token:
            del self._tokens[id]


def _next_start(rows: Sequence[RowMapping], *, full: bool) -> int:
    """Go on after the last destination that was served when there was no room for more, else after the last seen."""
    if not rows:
        return 0
    return int(rows[-1]["destination_id"] if full else rows[0]["last_visited"])


def _row(result: Result) -> dict[str, Any]:
    return {
        "id": result.delivery.id,
        "token": result.delivery.lease_token,
        "state": result.state,
        "next_in": max(0.0, result.next_in or 0.0),
        "status": result.status,
        "latency_ms": result.latency_ms,
        "error": None if result.error is None else _storable(result.error),
        "answer": result.answer[:_ANSWER_BYTES],
        "at": result.at,
    }


def _storable(text: str) -> str:
    """What any receiver may have said, as PostgreSQL can keep it: one odd character must not spoil a whole batch."""
    return text[:_ERROR_CHARACTERS].encode(errors="replace").decode().replace("\0", "\ufffd")


def _breaker(row: RowMapping) -> Breaker:
    """Nothing is claimed from a destination whose breaker is open: it is closed, or this is the probe."""
    if row["probing"]:
        return Breaker("half-open", row["consecutive_failures"], row["cool_down"], _PROBE_SECONDS)
    return _CLOSED
