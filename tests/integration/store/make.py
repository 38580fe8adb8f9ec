"""Calls, changes and a proxy that cuts connections, for the tests of the store."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from app.calls.call import Direction, NewCall
from app.calls.callback import Callback
from app.calls.change import Change, Facts, Owed
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid, new_account_sid, new_call_sid, new_message_id
from app.calls.status import Status
from app.store.changes import Changes
from app.store.database import Database
from app.store.placing import Idempotency, Placing
from app.store.seal import Sealer

ACCOUNT = new_account_sid()


def parent(account: AccountSid = ACCOUNT, **columns: Any) -> NewCall:
    columns.setdefault("document", b'{"verbs":[]}')
    columns.setdefault("rcml", "<Response/>")
    return NewCall(new_call_sid(), account, Direction.OUTBOUND_API, "sip:bob@host", "sip:alice@example.com", **columns)


def leg(of: NewCall, index: int = 0, **columns: Any) -> NewCall:
    columns.setdefault("callback", Callback("https://app.example/events"))
    return NewCall(
        new_call_sid(),
        of.account_sid,
        Direction.OUTBOUND_DIAL,
        "sip:bob@host",
        "sip:alice@example.com",
        parent_sid=of.sid,
        leg_index=index,
        **columns,
    )


def key(name: str = "key", body: str = "body", account: AccountSid = ACCOUNT) -> Idempotency:
    return Idempotency(account, name, hashlib.sha256(body.encode()).digest())


def owed(sequence: int = 0, url: str = "https://app.example/events") -> Owed:
    return Owed(new_message_id(), "POST", url, f"SequenceNumber={sequence}", sequence)


def change(sid: CallSid, seq: int, status: Status | None = None, *, epoch: int = 0, **rest: Any) -> Change:
    return Change(sid, epoch, seq, datetime.now(UTC), status, **rest)


STEPS = (
    (Status.INITIATED, Event.INITIATED),
    (Status.RINGING, Event.RINGING),
    (Status.IN_PROGRESS, Event.ANSWERED),
    (Status.COMPLETED, Event.COMPLETED),
)


def life(sid: CallSid, *, epoch: int = 0, url: str = "https://app.example/events") -> list[Change]:
    """The four changes of a leg that is answered and hung up, each with its event and its delivery."""
    return [
        change(sid, seq, status, epoch=epoch, event=event, owed=owed(seq - 1, url), facts=Facts())
        for seq, (status, event) in enumerate(STEPS, 1)
    ]


@contextlib.asynccontextmanager
async def placing(database: Database, sealer: Sealer) -> AsyncIterator[Placing]:
    made = Placing(database, sealer)
    await made.start()
    yield made
    await made.stop()


@contextlib.asynccontextmanager
async def changes(database: Database, sealer: Sealer) -> AsyncIterator[Changes]:
    made = Changes(database, sealer)
    await made.start()
    yield made
    await made.stop()


async def place(database: Database, sealer: Sealer, *, legs: int = 1, **columns: Any) -> list[NewCall]:
    first = parent(**columns)
    calls = [first, *(leg(first, index) for index in range(legs))]
    async with placing(database, sealer) as open_placing:
        await open_placing.place(calls, idempotency=None)
    return calls


async def rows(database: Database, sql: str, **parameters: Any) -> list[Any]:
    async with database.engine.begin() as connection:
        result = await connection.execute(text(sql), parameters)
        return list(result.all()) if result.returns_rows else []


async def value(database: Database, sql: str, **parameters: Any) -> Any:
    return (await rows(database, sql, **parameters))[0][0]


class Proxy:
    """Stands between client and server; cuts the connection after a COMMIT reached the server, or all of them."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self.cut_after_commits = 0  # how many COMMITs get no answer
        self.open = True
        self._writers: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        t = self._target
        self.url = f"postgresql://{t['user']}:{t['password']}@127.0.0.1:{port}/{t['dbname']}"
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left half open: a server process that waits for a password holds up every DROP DATABASE."""
        self._server.close()
        self.cut()
        for task in filter(None, list(self._served)):
            task.cancel()
            await asyncio.wait([task])
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            writer.transport.abort()
            return
        self._served.add(asyncio.current_task())
        to_reader, to_writer = await asyncio.open_connection(self._target["host"], int(self._target["port"]))
        self._writers |= {writer, to_writer}
        silenced = asyncio.Event()
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._pump(reader, to_writer, silenced, is_client=True),
                self._pump(to_reader, writer, silenced, is_client=False),
            )
        writer.transport.abort()
        to_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silenced: asyncio.Event, *, is_client: bool
    ) -> None:
        while data := await reader.read(65536):
            if is_client and b"COMMIT\0" in data and self.cut_after_commits:
                self.cut_after_commits -= 1
                silenced.set()
            if silenced.is_set() and not is_client:
                break  # the server has answered the COMMIT; the client never hears of it
            writer.write(data)
            await writer.drain()
        writer.transport.abort() if not is_client else writer.close()
