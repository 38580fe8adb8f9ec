"""HTTP out: an httpx transport with its own pools, caps, deadline and address check. Follows and remembers nothing.

httpx gives its errors and, for documents and media, its types; what httpcore does beneath it was measured at 260-310
requests/s per core with 50 connections, its time-outs are per read and it reads an answer whole. Attempts, of which
there are thousands a second, hand in bytes: httpx.Request and httpx.Response were a third of an attempt's CPU.
"""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.webhooks.answer import Answer
from app.webhooks.connection import Connection
from app.webhooks.failures import ClosedUnanswered, connecting
from app.webhooks.guard import Guard
from app.webhooks.limits import Limits
from app.webhooks.pool import Origin, Pool

_MAX_ADDRESSES = 4  # of one name, tried one after the other
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as it goes over the wire."""

    origin: Origin
    data: bytes = field(repr=False)


class Transport(httpx.AsyncBaseTransport):
    """Answers come back whole, capped, undecoded (`Content-Encoding` is taken off) and within the deadline."""

    def __init__(self, guard: Guard, limits: Limits | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._limits = limits or Limits()
        self._tls = tls or default_tls()
        self._pool = Pool(self._limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError, its text short and free of credentials."""
        answer = await self.send(_outgoing(request))
        headers = [header for header in answer.headers if header[0].lower() != b"content-encoding"]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))

    async def send(self, request: Outgoing) -> Answer:
        """The same without httpx's types."""
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._exchange(request.origin, request.data)
        except TimeoutError:
            raise httpx.ReadTimeout(f"timeout after {self._limits.total:g} s") from None

    async def aclose(self) -> None:
        self._pool.close()

    async def _exchange(self, origin: Origin, data: bytes) -> Answer:
        kept = self._pool.take(origin)
        if kept is not None:
            try:
                return await self._on(kept, origin, data)
            except ClosedUnanswered:
                pass  # it had died while it was idle: once more at once, on a new one
        return await self._on(await self._connect(origin), origin, data)

    async def _on(self, connection: Connection, origin: Origin, data: bytes) -> Answer:
        answer = await connection.exchange(data)
        if answer.reusable:
            self._pool.keep(origin, connection)
        return answer

    async def _connect(self, origin: Origin) -> Connection:
        stage = "dns"
        try:
            async with asyncio.timeout(self._limits.connect):
                addresses = await self._guard.addresses(origin.host)
                stage = "connect"
                return await self._connect_any(origin, addresses[:_MAX_ADDRESSES])
        except TimeoutError:
            raise httpx.ConnectTimeout(f"{stage}: timeout after {self._limits.connect:g} s") from None

    async def _connect_any(self, origin: Origin, addresses: list[str]) -> Connection:
        """The first that accepts; each has an equal share of the time that is left, so a black hole leaves some."""
        for left in range(len(addresses), 1, -1):
            try:
                async with asyncio.timeout(self._limits.connect / left):
                    return await self._dial(origin, addresses[-left])
            except (TimeoutError, httpx.ConnectError):
                continue
        return await self._dial(origin, addresses[-1])

    async def _dial(self, origin: Origin, address: str) -> Connection:
        """Exactly the address that was checked; the certificate is checked against the name in the URL."""
        encrypted = origin.scheme == "https"
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self._limits, self._pool.forget),
                address,
                origin.port,
                ssl=self._tls if encrypted else None,
                server_hostname=origin.host.rstrip(".") if encrypted else None,
            )
        except TimeoutError as error:
            if error.errno is None:
                raise  # ours, not the system's ETIMEDOUT
            raise connecting(error) from None
        except OSError as error:
            raise connecting(error) from None
        return connection


def default_tls() -> ssl.SSLContext:
    """The system's certificate authorities; httpx's own list where the system has none (slim containers)."""
    paths = ssl.get_default_verify_paths()
    system = bool(paths.cafile) or (bool(paths.capath) and any(Path(paths.capath).iterdir()))
    context = ssl.create_default_context() if system else httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def origin_of(url: httpx.URL) -> Origin:
    """Raises httpx.UnsupportedProtocol and httpx.InvalidURL for what cannot be requested."""
    default = _DEFAULT_PORTS.get(url.scheme)
    if default is None:
        raise httpx.UnsupportedProtocol("the URL is neither http nor https")
    host = url.raw_host.decode("ascii")
    port = url.port if url.port is not None else default
    if not host or not 0 < port < 65536:
        raise httpx.InvalidURL("the URL has no host, or a port that is not between 1 and 65535")
    return Origin(url.scheme, host, port)


def serialize(method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """Raises httpx.LocalProtocolError for a line break where none may be."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), path)]
    lines += [b"%s: %s" % header for header in headers]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise httpx.LocalProtocolError("a header or the URL has a line break in it")
    return b"".join((head, b"\r\n\r\n", body))


def _outgoing(request: httpx.Request) -> Outgoing:
    if not isinstance(request.stream, httpx.ByteStream):
        raise httpx.LocalProtocolError("a body of unknown length is not sent")
    origin = origin_of(request.url)
    body = b"".join(request.stream)
    return Outgoing(origin, serialize(request.method, request.url.raw_path, request.headers.raw, body))
