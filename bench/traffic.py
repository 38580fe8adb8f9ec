"""The two ends of the road: a client that asks at a steady rate whatever comes back, and a receiver of callbacks."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from bench.sipp import HOST

_TIMEOUT = 20.0  # seconds for one request


@dataclass(frozen=True, slots=True)
class Placed:
    """One request and what came back."""

    asked_at: float  # wall clock when it was due, so that a client that lags hides nothing
    took: float  # seconds from then until the whole answer was there
    status: int  # 0: no answer
    body: Mapping[str, Any]


class Client:
    """Kept-alive connections to the API; a request takes an idle one or opens another."""

    def __init__(self, port: int, credentials: str) -> None:
        self._port = port
        self._authorization = "Basic " + b64encode(credentials.encode()).decode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.opened = 0

    async def get(self, path: str) -> Any:
        status, body = await self._request("GET", path, b"")
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {body!r}")
        return body

    async def place_at_rate(self, body: bytes, *, rate: float, seconds: float) -> list[Placed]:
        """A dial request every 1/`rate` s for `seconds`, each on its own whether or not others were answered."""
        began, wall = time.perf_counter(), time.time()
        running = []
        for number in range(int(rate * seconds)):
            due = number / rate
            if (early := began + due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            running.append(asyncio.create_task(self._place(body, began + due, wall + due)))
        return await asyncio.gather(*running)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()

    async def _place(self, body: bytes, due: float, asked_at: float) -> Placed:
        try:
            async with asyncio.timeout(_TIMEOUT):
                status, answer = await self._request("POST", "/v1/dials", body)
        except (OSError, asyncio.IncompleteReadError):  # a TimeoutError is an OSError
            status, answer = 0, {}
        return Placed(asked_at, time.perf_counter() - due, status, answer)

    async def _request(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        reader, writer = await self._connection()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {self._authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            content = await reader.readexactly(_content_length(head))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(head[9:12]), json.loads(content or b"null")

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # the server had enough of an idle one
        self.opened += 1
        return await asyncio.open_connection(HOST, self._port)


@dataclass(slots=True)
class Receiver:
    """Answers 204 at once and keeps what came and when."""

    arrivals: list[tuple[float, bytes]] = field(default_factory=list)  # wall clock, body
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/events"

    async def start(self) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def first_arrivals(self) -> dict[tuple[str, int], float]:
        """(CallSid, SequenceNumber) → when it first came."""
        first: dict[tuple[str, int], float] = {}
        for at, body in self.arrivals:
            said = dict(parse_qsl(body.decode()))
            first.setdefault((said["CallSid"], int(said["SequenceNumber"])), at)
        return first


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + _content_length(self._buffer[: end + 4])
            if len(self._buffer) < whole:
                return
            self._receiver.arrivals.append((time.time(), self._buffer[end + 4 : whole]))
            self._buffer = self._buffer[whole:]
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]  # a stream's has it


def _content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    return 0 if at < 0 else int(lower[at + 17 : lower.index(b"\r\n", at + 17)])
