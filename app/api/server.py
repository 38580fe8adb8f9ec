"""Serves the web application over HTTP with uvicorn until a signal comes, and says when it is ready."""

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

_HEADERS_AT_MOST = 16 * 1024  # bytes
_GRACE = 15  # seconds for requests that run when the signal comes


async def serve(app: FastAPI, *, host: str, port: int, root_path: str, ready: Callable[[], None]) -> int:
    """The exit status: 1 when the port could not be bound."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        root_path=root_path,
        http="httptools",
        h11_max_incomplete_event_size=_HEADERS_AT_MOST,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = _Server(config, ready)
    await server.serve()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
