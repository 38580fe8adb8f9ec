"""A webhook receiver on loopback that records what it gets and can misbehave in every way a real one does."""

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came over the wire."""

    method: str
    target: str  # path and query, raw
    headers: dict[str, str]  # names in lower case
    body: bytes
    connection: int  # number of the connection it came on, from 1

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def status(code: int, body: bytes = b"", **headers: str) -> Reply:
    """A complete answer; underscores in header names become hyphens."""
    lines = [f"HTTP/1.1 {code} Whatever", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if code not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def raw(data: bytes, *, close: bool = False) -> Reply:
    """Exactly these bytes, then the end of the connection if `close`."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return reply


def hang() -> Reply:
    """Take the request and say nothing until the other side goes."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    return reply


def drip(head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", every: float = 0.02) -> Reply:
    """A byte now and then, for ever: every single read succeeds."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(every)

    return reply


def endless(head: bytes = b"HTTP/1.1 200 OK\r\n\r\n", chunk: bytes = b"x" * 65536) -> Reply:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(chunk)
            await writer.drain()

    return reply


def reset() -> Reply:
    """Without an answer: RST where the system sends one, else FIN."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return reply


def redirect(url: str) -> Reply:
    return status(302, Location=url)


def gzip_bomb(size: int = 16 * 1024 * 1024) -> Reply:
    return status(200, gzip.compress(b"\0" * size), Content_Encoding="gzip")


@dataclass
class Receiver:
    """`answers` are used up one by one, then `otherwise` answers for ever."""

    url: str = ""
    port: int = 0
    requests: list[Seen] = field(default_factory=list)
    answers: list[Reply] = field(default_factory=list)
    otherwise: Reply = field(default_factory=lambda: status(204))
    chooses: Callable[[Seen], Reply] | None = None  # decides by the request itself, before `otherwise` does
    connections: int = 0  # accepted so far
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def wait_for(self, count: int, timeout: float = 10.0) -> list[Seen]:
        """The requests so far, as soon as there are `count`; TimeoutError when they do not come."""
        return await self.until(lambda: len(self.requests) >= count, timeout)

    async def until(self, enough: Callable[[], bool], timeout: float = 10.0) -> list[Seen]:
        """The requests so far, as soon as they are `enough`; TimeoutError when they do not come."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(enough)
        return list(self.requests)

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    def drop_connections(self) -> None:
        """Close every connection, as a server does with idle ones or when it restarts."""
        for writer in list(self._writers):
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while (seen := await _read(reader, number)) is not None:
                reply = self._reply_to(seen)
                async with self._arrived:
                    self.requests.append(seen)
                    self._arrived.notify_all()
                await reply(reader, writer)
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            with contextlib.suppress(ConnectionError):
                writer.close()

    def _reply_to(self, seen: Seen) -> Reply:
        if self.answers:
            return self.answers.pop(0)
        return self.chooses(seen) if self.chooses else self.otherwise


@contextlib.asynccontextmanager
async def receiver(
    *answers: Reply, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, name: str | None = None
) -> AsyncIterator[Receiver]:
    """A running receiver; `name` replaces the host in its URL. Host `::` is every address of this machine, IPv4 too."""
    running = Receiver(answers=list(answers))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::")
    server = await asyncio.start_server(running.serve, sock=listening, ssl=tls)
    running.port = server.sockets[0].getsockname()[1]
    running.url = f"{'https' if tls else 'http'}://{name or (f'[{host}]' if ':' in host else host)}:{running.port}"
    try:
        yield running
    finally:
        server.close()
        for writer in list(running._writers):
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    request_line, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = request_line.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body, connection)
