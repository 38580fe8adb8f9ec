"""How much body is read, how long it may take, and how long the database; knows nothing of what either says."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import Refused
from app.rcml.codes import Code
from app.runtime.patience import begun

MAX_BODY = 64 * 1024  # bytes
MAX_SECONDS = 15.0  # from the first byte asked for to the last
DATABASE_SECONDS = 1.8  # for all that a request asks it, so that 503 comes within 2


class BodyLimits:
    """413 as soon as it is known, without reading on; 408 for a body that drips."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bounded = _Bounded(scope, receive)

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start" and bounded.is_unread:
                # What was not read would be read on for as long as it drips: the connection ends with the answer.
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, bounded.receive, watch)


class DatabaseLimit:
    """One patience for a whole request: who it is, whether there is room and what is stored are asked one by one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with begun(DATABASE_SECONDS):
            await self._app(scope, receive, send)


class _Bounded:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self._announced = int(length) if length.isdigit() else 0
        self._chunked = b"transfer-encoding" in headers
        self._read = 0
        self._whole = False
        self._deadline: float | None = None

    @property
    def is_unread(self) -> bool:
        """Whether more of the body may still come."""
        return not self._whole and (self._chunked or self._announced > 0)

    async def receive(self) -> Message:
        if self._whole:  # what follows is only that the client has gone
            return await self._receive()
        if self._announced > MAX_BODY:
            raise Refused(Code.BODY_TOO_LARGE)
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(Code.BODY_TOO_SLOW) from error
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        if self._read > MAX_BODY:
            raise Refused(Code.BODY_TOO_LARGE)
        return message
