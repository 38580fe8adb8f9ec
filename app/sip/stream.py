"""TCP and TLS of a SIP endpoint: connections made and accepted, used while they last. Knows bytes, not messages."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from app.sip.framer import Framer
from app.sip.message import MalformedMessage
from app.sip.tls import Security, explained
from app.sip.transport import Hop, TransportError, family_of

_CONNECT_TIMEOUT = 5.0  # seconds, handshake included
_IDLE = 120.0  # seconds without a message after which a connection nobody uses is closed
_MAX_ACCEPTED = 1_000
_PING = b"\r\n\r\n"  # RFC 5626 §4.4.1: what lies between us and a talking peer forgets a silent connection
_PONG = b"\r\n"

Lost = Callable[[str], None]
Received = Callable[[bytes, Hop, "Connection"], None]


class Connection(asyncio.Protocol):
    """One connection: what is sent before it stands waits, and whoever waits for an answer hears of its end."""

    def __init__(self, owner: "StreamTransport", remote: Hop | None) -> None:
        self._owner = owner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._pending: list[bytes] = []
        self._on_standing: list[Callable[[], None]] = []
        self._waiting: dict[object, Lost] = {}
        self._idle: asyncio.TimerHandle | None = None
        self.accepted = remote is None
        self.remote = remote or Hop(owner.name, "", 0)
        self.local = ("", 0)
        self.users = 0  # calls whose dialog lives on this connection
        self.closed = False
        self.standing = asyncio.get_running_loop().create_future()
        self.standing.add_done_callback(lambda future: future.exception())  # nobody need look

    @property
    def stands(self) -> bool:
        """Whether it has been made; what is written before waits."""
        return self._transport is not None

    def write(self, data: bytes) -> None:
        if self._transport is None:
            self._pending.append(data)
        else:
            self._transport.write(data)
            self._touch()

    def when_standing(self, then: Callable[[], None]) -> None:
        """Call `then` as soon as what has been written has left; never, if no connection comes to be."""
        if self._transport is None:
            self._on_standing.append(then)
        else:
            then()

    def watch(self, waiter: object, lost: Lost) -> None:
        """Call `lost` if the connection ends before `unwatch`."""
        self._waiting[waiter] = lost

    def unwatch(self, waiter: object) -> None:
        self._waiting.pop(waiter, None)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def fail(self, why: str) -> None:
        """The connection never came to be, or has ended."""
        if self.closed:
            return
        self.closed = True
        if self._idle is not None:
            self._idle.cancel()
        if not self.standing.done():
            self.standing.set_exception(TransportError(why))
        self._owner.forget(self)
        waiting, self._waiting = list(self._waiting.values()), {}
        for lost in waiting:
            lost(why)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.local = transport.get_extra_info("sockname")[:2]
        if self.accepted:
            host, port = transport.get_extra_info("peername")[:2]
            self.remote = Hop(self._owner.name, host, port)
            self._owner.remember(self)
        for data in self._pending:
            self._transport.write(data)
        self._pending.clear()
        for then in self._on_standing:
            then()
        self._on_standing.clear()
        self.standing.set_result(None)
        self._touch()

    def data_received(self, data: bytes) -> None:
        self._touch()
        try:
            for message in self._framer.feed(data):
                self._answer_pings()
                self._owner.received(message, self.remote, self)
            self._answer_pings()
        except MalformedMessage:
            self._owner.junk()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(
            f"the connection to {self.remote.host} port {self.remote.port} was lost: {exc or 'closed by the peer'}"
        )

    def _answer_pings(self) -> None:
        for _ in range(self._framer.pings):
            self.write(_PONG)
        self._framer.pings = 0

    def _touch(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(_IDLE, self._when_idle)

    def _when_idle(self) -> None:
        if self.users or self._waiting:
            self.write(_PING)
        else:
            self.close()


class StreamTransport:
    """The listening socket and every connection, found again by where it leads. With `security` this is TLS."""

    def __init__(self, received: Received, junk: Callable[[], None], security: Security | None = None) -> None:
        self.name = "tcp" if security is None else "tls"
        self.received = received
        self._security = security
        self.port: int | None = None  # that we listen on
        self.junk = junk
        self._server: asyncio.Server | None = None
        self._connections: dict[Hop, Connection] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._host = ""

    async def open(self, host: str, port: int | None) -> None:
        """Listen, unless `port` is None; raises OSError when it is taken, and for TLS without a certificate."""
        self._host = host
        if port is None:
            return
        context = self._security.server if self._security is not None else None
        if self._security is not None and context is None:
            raise OSError(0, "TLS cannot be listened for without a certificate")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, None), host, port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._connections.values()):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def connection(self, hop: Hop) -> Connection:
        """The connection that leads there, being made if there is none."""
        found = self._connections.get(hop)
        if found is not None and not found.closed:
            return found
        made = Connection(self, hop)
        self._connections[hop] = made
        task = asyncio.get_running_loop().create_task(self._connect(made, hop, self._bound(made)), name="sip.connect")
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return made

    def standing(self, hop: Hop) -> Connection | None:
        """The connection that leads there, if there is one."""
        return self._connections.get(hop)

    async def can_connect(self, hop: Hop, seconds: float) -> bool:
        """Whether a connection there stands within `seconds`."""
        with suppress(TransportError, TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.connection(hop).standing), seconds)
            return True
        return False

    def remember(self, connection: Connection) -> None:
        """An accepted connection leads to its own far end, too (RFC 5923 is not needed for that: same five-tuple)."""
        if sum(1 for other in self._connections.values() if other.accepted) >= _MAX_ACCEPTED:
            connection.close()
        else:
            self._connections[connection.remote] = connection

    def forget(self, connection: Connection) -> None:
        if self._connections.get(connection.remote) is connection:
            del self._connections[connection.remote]

    def _bound(self, connection: Connection) -> socket.socket | OSError:
        """Bound before it connects: what is written for it may name its port."""
        sock = socket.socket(family_of(connection.remote.host), socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.bind(("" if self._host in ("0.0.0.0", "::") else self._host, 0))
        except OSError as error:
            sock.close()
            return error
        connection.local = sock.getsockname()[:2]
        return sock

    async def _connect(self, connection: Connection, hop: Hop, sock: socket.socket | OSError) -> None:
        loop = asyncio.get_running_loop()
        context = self._security.client if self._security is not None else None
        where = f"{hop.host} port {hop.port}"
        try:
            if isinstance(sock, OSError):
                raise sock
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await loop.sock_connect(sock, (hop.host, hop.port))
                name = (hop.domain or hop.host) if context is not None else None
                await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=name)
        except TimeoutError:
            connection.fail(f"{where} did not accept a {self.name.upper()} connection in {_CONNECT_TIMEOUT:g} s")
        except ssl.SSLError as error:
            connection.fail(f"{explained(error, hop.domain or hop.host)} ({where})")
        except OSError as error:
            connection.fail(f"no {self.name.upper()} connection to {where}: {error.strerror or error}")
        except asyncio.CancelledError:
            connection.fail("the endpoint is closed")
            raise
        finally:
            if not connection.stands and isinstance(sock, socket.socket):
                sock.close()
