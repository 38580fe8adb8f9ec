"""Deliveries that are really owed: calls, changes and accounts made through the store, in a database of their own."""

import asyncio
import contextlib
import gc
import ipaddress
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import psycopg
import pytest
import pytest_asyncio

from app.calls.address import AddressPolicy
from app.calls.call import Direction, NewCall
from app.calls.change import Change, Owed
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid, new_call_sid, new_message_id
from app.calls.status import Status
from app.store.accounts import Accounts
from app.store.changes import Changes
from app.store.database import Database
from app.store.outbox import Outbox
from app.store.placing import Placing
from app.store.seal import Sealer
from app.webhooks.dispatch import Dispatcher
from app.webhooks.limits import Limits

LOOPBACK = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))

_STEPS = (
    (Status.INITIATED, Event.INITIATED),
    (Status.RINGING, Event.RINGING),
    (Status.IN_PROGRESS, Event.ANSWERED),
    (Status.COMPLETED, Event.COMPLETED),
)


@dataclass
class Owing:
    """Owes events of new calls to a URL; everything is committed when its methods return."""

    account: AccountSid
    secret: str
    token: str
    placing: Placing
    changes: Changes

    async def calls(self, url: str, count: int = 1, events: int = 1) -> list[CallSid]:
        """`count` calls with the first `events` of initiated, ringing, answered and completed owed each."""
        calls = [
            NewCall(new_call_sid(), self.account, Direction.OUTBOUND_API, "sip:a@h", "sip:b@h") for _ in range(count)
        ]
        await asyncio.gather(*(self.placing.place([call], idempotency=None) for call in calls))
        written = []
        for seq, (status, event) in enumerate(_STEPS[:events]):
            for call in calls:
                body = urlencode({"CallSid": call.sid, "CallStatus": status, "SequenceNumber": seq})
                owed = Owed(new_message_id(), "POST", url, body, seq)
                change = Change(call.sid, 0, seq + 1, datetime.now(UTC), status, event=event, owed=owed)
                written.append(self.changes.write(change))
        await asyncio.gather(*written)
        return [call.sid for call in calls]


@pytest_asyncio.fixture
async def owing(database: Database, sealer: Sealer) -> AsyncIterator[Owing]:
    account = await Accounts(database, sealer).create()
    placing, changes = Placing(database, sealer), Changes(database, sealer)
    await placing.start()
    await changes.start()
    yield Owing(account.sid, account.secret, account.token, placing, changes)
    await placing.stop()
    await changes.stop()


Start = Callable[..., contextlib.AbstractAsyncContextManager[Dispatcher]]


@pytest.fixture
def dispatching(database: Database, sealer: Sealer) -> Start:
    """`async with dispatching(retries=…)`: a running dispatcher, stopped without grace at the end."""

    @contextlib.asynccontextmanager
    async def start(
        *, retries: tuple[float, ...] = (5.0, 30.0), limits: Limits | None = None, **options: int
    ) -> AsyncIterator[Dispatcher]:
        dispatcher = Dispatcher(
            Outbox(database, sealer), database, policy=LOOPBACK, retries=retries, limits=limits, **options
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            if not task.done():
                await dispatcher.stop(0)
            await task
            # A connect() that was cancelled leaves psycopg's socket open until it is collected, and a server process
            # that waits 60 s for a login: until then, PostgreSQL drops no database.
            gc.collect()

    return start


@dataclass
class Records:
    """What the database says, read behind everybody's back."""

    url: str

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            return await (await connection.execute(query.encode())).fetchall()

    async def owed(self) -> int:
        return len(await self.rows("SELECT id FROM webhook_outbox"))

    async def until(self, query: str, expected: object, timeout: float = 10.0) -> None:
        """Until the first column of `query`'s rows is `expected`."""
        async with asyncio.timeout(timeout):
            while [row[0] for row in await self.rows(query)] != expected:
                await asyncio.sleep(0.02)


@pytest.fixture
def records(database_url: str) -> Records:
    return Records(database_url)
