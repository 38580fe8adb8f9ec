"""The way to PostgreSQL: the pool, its time limits and what is tried again by itself. Knows no table."""

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.calls.errors import Unavailable
from app.runtime.patience import waiting
from app.store.connection import Connection
from app.store.failure import AWAY, is_collision, is_cut, is_transient, unavailable
from app.store.listener import Listener

PING = "SELECT 1"

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

_STATEMENT_SECONDS = 5.0
_LOCK_SECONDS = 2.0
# A transaction that is left open makes claims 20 times slower (dead index entries), and one of a process that stands
# still (SIGSTOP) must let go of its rows before its lease lapses and others take them.
_IDLE_SECONDS = 5.0
_CONNECT_SECONDS = 2
_POOL_SECONDS = 2.0
_TRIES = 4  # of a transaction that a collision or a cut connection ended
_RETRY_SECONDS = 2.0

# Kept by every connection. JIT costs more than it saves on statements of a millisecond. Every statement has its index:
# without sequential scans, a plan that was prepared while a table was empty cannot hurt once the table is full.
_SESSION = {
    "statement_timeout": f"{int(_STATEMENT_SECONDS * 1000)}",
    "lock_timeout": f"{int(_LOCK_SECONDS * 1000)}",
    "idle_in_transaction_session_timeout": f"{int(_IDLE_SECONDS * 1000)}",
    "jit": "off",
    "enable_seqscan": "off",
    "TimeZone": "UTC",
}


class Database:
    """One pool per process."""

    def __init__(self, url: str, *, pool_size: int = 10, name: str = "dial") -> None:
        """`url` is any spelling that libpq or SQLAlchemy knows."""
        self.conninfo = _conninfo(url, name, _SESSION)

        async def connect() -> psycopg.AsyncConnection[tuple[object, ...]]:
            return await Connection.connect(self.conninfo)

        self._plain = create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            pool_use_lifo=True,
            hide_parameters=True,  # an exception's text must not carry anybody's data into a log
            # What nearly every connection is used for: to switch there and back cost as much as half a statement.
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            use_native_hstore=False,  # else each new connection looks, in a transaction, for a type nothing has
        )
        self.engine: AsyncEngine = self._plain.execution_options(isolation_level="READ COMMITTED")

    async def run(self, work: Work[T], *, seconds: float = _STATEMENT_SECONDS * 2, one: bool = False) -> T:
        """`work` in one transaction, again when a collision or a cut connection ended it. Raises Unavailable.

        After a cut nobody knows whether the COMMIT was done, so `work` must be right when it runs a second time.
        `seconds` bounds one try, and the patience of whoever is served all of them: a server that hangs is as good as
        one that is away. `one` says that `work` is a
        single statement: that is a transaction by itself, in one round trip instead of three.
        """
        begin = self._plain.connect if one else self.engine.begin
        started = time.monotonic()
        for left in reversed(range(_TRIES)):
            try:
                async with waiting(seconds), begin() as connection:
                    return await work(connection)
            except AWAY as error:
                again = is_collision(error) or is_cut(error)
                if not again or not left or time.monotonic() - started > _RETRY_SECONDS:
                    if is_transient(error):
                        raise unavailable(error) from error
                    raise
        raise Unavailable("the database is not available")

    async def ping(self) -> None:
        """Raises Unavailable."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(text(PING))

        await self.run(work, seconds=2.0, one=True)

    async def close(self) -> None:
        """Close every connection that is not in use."""
        await self.engine.dispose()

    def listen(self, *channels: str) -> Listener:
        """A connection of its own, outside the pool, that reconnects by itself."""
        return Listener(self.conninfo, channels)


def sync_engine(url: str) -> Engine:
    """For migrations only: no statement timeout, one connection."""
    conninfo = _conninfo(url, "dial-migrate", {"lock_timeout": _SESSION["lock_timeout"], "TimeZone": "UTC"})
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), pool_size=1, max_overflow=0
    )


def _conninfo(url: str, name: str, session: dict[str, str]) -> str:
    """libpq's own spelling, with what every connection keeps; what the URL says about options wins over ours."""
    plain = re.sub(r"\Apostgres(?:ql)?\+\w+:", "postgresql:", url)
    given = conninfo_to_dict(plain)
    options = " ".join(f"-c {key}={value}" for key, value in session.items())
    defaults = {
        "client_encoding": "utf8",
        "application_name": name,
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": 5000,
    }
    merged: dict[str, Any] = {**defaults, **given, "options": f"{options} {given.get('options') or ''}".strip()}
    return make_conninfo("", **merged)
