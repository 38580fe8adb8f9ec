"""Connections that wait for their next request, per origin. Opens none and sends nothing."""

import asyncio
from dataclasses import dataclass

from app.webhooks.connection import Connection
from app.webhooks.limits import Limits, descriptors


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str  # as in the URL, IDNA-encoded, without brackets
    port: int


class Pool:
    """Last in, first out, so that what is not needed grows old and is closed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = min(limits.kept, descriptors() // 4)
        self._idle: dict[Origin, list[Connection]] = {}
        self._origins: dict[Connection, Origin] = {}  # of the idle ones, oldest first
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """A connection that is still open, out of the pool; None when there is none."""
        while idle := self._idle.get(origin):
            connection = idle[-1]
            self.forget(connection)
            if connection.usable:
                return connection
        return None

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Put back, or close when the origin has its share; the oldest gives way when all together are too many."""
        idle = self._idle.setdefault(origin, [])
        if self._closed or not connection.usable or len(idle) >= self._limits.kept_per_origin:
            connection.abort()
            if not idle:
                del self._idle[origin]
            return
        connection.idle_since = asyncio.get_running_loop().time()
        idle.append(connection)
        self._origins[connection] = origin
        if len(self._origins) > self._most:
            self._close(next(iter(self._origins)))
        if self._sweeper is None:
            self._arm()

    def forget(self, connection: Connection) -> None:
        """Take `connection` out, if it is in: it was lost or is about to be used."""
        origin = self._origins.pop(connection, None)
        if origin is None:
            return
        idle = self._idle[origin]
        idle.remove(connection)
        if not idle:
            del self._idle[origin]

    def close(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._origins):
            self._close(connection)

    def __len__(self) -> int:
        return len(self._origins)

    def _close(self, connection: Connection) -> None:
        self.forget(connection)
        connection.abort()

    def _arm(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(self._limits.idle / 2, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = asyncio.get_running_loop().time() - self._limits.idle
        for connection in [idle for idle in self._origins if idle.idle_since <= oldest]:
            self._close(connection)
        if self._origins:
            self._arm()
