"""How much body is read and how long it may take; counts bytes and knows nothing of what they say."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import Refused
from app.rcml.codes import Code

MAX_BODY = 64 * 1024  # bytes
MAX_SECONDS = 15.0  # from the first byte asked for to the last

# What was not read would be taken for the next request, so the connection ends with the answer.
_CLOSE = {"Connection": "close"}


class BodyLimits:
    """413 as soon as it is known, without reading on; 408 for a body that drips."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _Bounded(scope, receive).receive
        await self._app(scope, receive, send)


class _Bounded:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._announced = _content_length(scope)
        self._read = 0
        self._whole = False
        self._deadline: float | None = None

    async def receive(self) -> Message:
        if self._whole:  # what follows is only that the client has gone
            return await self._receive()
        if self._announced > MAX_BODY:
            raise Refused(Code.BODY_TOO_LARGE, headers=_CLOSE)
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + MAX_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(Code.BODY_TOO_SLOW, headers=_CLOSE) from error
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        if self._read > MAX_BODY:
            raise Refused(Code.BODY_TOO_LARGE, headers=_CLOSE)
        return message


def _content_length(scope: Scope) -> int:
    """What the header says; uvicorn has refused what is not a number."""
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(value) if value.isdigit() else 0
