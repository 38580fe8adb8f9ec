"""Serves the web application over HTTP with uvicorn until a signal comes, and says when it is ready."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from app.api.connection import Connection

_GRACE = 15  # seconds for requests that run when the signal comes
# Seconds that a connection may idle. Longer than clients and load balancers keep theirs (httpx 5, nginx, ELB 60): who
# closes first must be the one who sends, or a request meets a connection that is just being closed.
_IDLE = 75


async def serve(app: FastAPI, *, host: str, port: int, root_path: str, ready: Callable[[], None]) -> int:
    """The exit status: 1 when the port could not be bound."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        root_path=root_path,
        http=Connection,
        ws="none",
        lifespan="off",
        proxy_headers=False,  # nothing here asks where a request came from
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config, ready, app.state.streams.stopping)
    await server.serve()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal once more when all is done, and the exit status would be the signal's."""
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()  # an event stream would use up the whole grace
        await super().shutdown(sockets)
