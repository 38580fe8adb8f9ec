"""The customer's application: an HTTP server that checks each webhook's signature and answers what it is told to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.demo.ports import HOST
from app.demo.story import Story

PATH = "/events"
_LONGEST_HEAD = 32 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class _Request:
    target: str
    headers: dict[str, str]  # lower-case names
    body: bytes


class Receiver:
    """Listens from `start` to `stop`; `secret` is whsec_…"""

    def __init__(self, story: Story, *, secret: str, answers: int = 204) -> None:
        self._story = story
        self._webhook = Webhook(secret)
        self._answers = HTTPStatus(answers)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=_LONGEST_HEAD)
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}{PATH}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while request := await _read(reader):
                self._take(request)
                writer.write(_answer(self._answers))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # the sender went away: a delivery that was not answered comes again
        finally:
            self._open.discard(writer)
            writer.close()

    def _take(self, request: _Request) -> None:
        parameters = dict(parse_qsl(request.body.decode(errors="replace")))
        self._story.arrived(
            request.headers.get("webhook-id", ""),
            parameters,
            answered=self._answers,
            problem=_refusal(lambda: self._webhook.verify(request.body, request.headers, json_parse=False)),
        )


def _refusal(verify: Callable[[], object]) -> str | None:
    try:
        verify()
    except (WebhookVerificationError, ValueError) as error:  # ValueError: the header is not even of the right form
        return str(error)
    return None


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """The next request of a connection; None when the sender has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    start, *rows = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return _Request(start.split(" ")[1], headers, body)


def _answer(status: HTTPStatus) -> bytes:
    length = "" if status == HTTPStatus.NO_CONTENT else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status} {status.phrase}\r\n{length}\r\n".encode()
