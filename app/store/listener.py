"""Waits for NOTIFY on a connection of its own; knows nothing of what a notification is about."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from app.runtime import log

_log = log.get(__name__)
_BACKOFF = (0.1, 0.2, 0.5, 1.0)  # seconds; the last one repeats
_ALIVE_SECONDS = 15.0  # how often a silent connection is asked whether it still lives


class Listener:
    """Wakes whoever waits. Several notifications before a `wait` are one; it is sure to wake after a reconnect."""

    def __init__(self, conninfo: str, channels: Sequence[str]) -> None:
        self._conninfo = conninfo
        self._channels = channels
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name=f"listen {' '.join(self._channels)}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self, timeout: float) -> bool:
        """True: something came, or the connection was just made anew (sweep); False: `timeout` seconds passed."""
        try:
            async with asyncio.timeout(timeout):
                await self._came.wait()
        except TimeoutError:
            return False
        self._came.clear()
        return True

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    await self._subscribe(connection)
                    failures = 0
                    await self._hear(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if failures == 0:
                    _log.warning("database.listen_lost", channels=self._channels, error=str(error).strip())
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1

    async def _subscribe(self, connection: psycopg.AsyncConnection[Any]) -> None:
        for channel in self._channels:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._came.set()  # what was sent while nobody listened is lost: the one who waits must look

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        while True:
            async for _ in connection.notifies(timeout=_ALIVE_SECONDS):
                self._came.set()
            async with asyncio.timeout(5):  # TCP may never say that the peer is gone
                await connection.execute("SELECT 1")
