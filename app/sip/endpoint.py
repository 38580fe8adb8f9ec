"""One SIP address: UDP and TCP on one port, TLS on another, and the transactions over them. Knows no calls.

Whatever arrives, the loop goes on: junk is counted and dropped.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import prometheus_client

from app.calls.ports import Clock
from app.runtime import log
from app.sip import build, tls
from app.sip.exchange import ClientExchange, Exchange, Key, ResponseUser, ServerExchange
from app.sip.headers import hostport
from app.sip.message import MalformedMessage, SipMessage
from app.sip.pyvoip import SIPStatus
from app.sip.stream import Connection, StreamTransport
from app.sip.tls import Security
from app.sip.trace import OnMessage, WireMessage
from app.sip.transaction import CLIENT_INVITE, CLIENT_OTHER, SERVER_INVITE, SERVER_OTHER, Input, Timing
from app.sip.transport import Hop, TransportError, UdpTransport, can_reach, local_address_towards

_log = log.get(__name__)

_DROPPED = prometheus_client.Counter("dial_sip_dropped_total", "Messages that were dropped unanswered", ["why"])
_JUNK, _STRAY, _CRASHED = (_DROPPED.labels(why) for why in ("junk", "stray", "crashed"))
_MOST_SERVED = 1_000  # requests of one call to remember for 64·T1, 3 to 6 kB each; ten keys a second make a third
_MAGIC = "z9hG4bK"  # RFC 3261 §8.1.1.7


class Incoming(NamedTuple):
    """A request that belongs to no transaction yet."""

    key: Key
    request: SipMessage
    source: Hop  # where answers go
    connection: Connection | None


class Endpoint:
    """Sends requests and answers, matches what comes back (RFC 3261 §17.1.3, §17.2.3, §18)."""

    def __init__(
        self,
        *,
        on_request: Callable[[Incoming], None],
        on_ack: Callable[[SipMessage], None],
        clock: Clock,
        timing: Timing | None = None,
        advertised_host: str = "",
        security: Security | None = None,
    ) -> None:
        self.timing = timing or Timing()
        self.on_message: OnMessage | None = None
        self._on_request = on_request
        self._on_ack = on_ack
        self._clock = clock
        self._advertised = advertised_host
        self._clients: dict[Key, ClientExchange] = {}
        self._servers: dict[Key, ServerExchange] = {}
        self._served: Counter[str] = Counter()  # of `_servers`, by Call-ID
        self._late: dict[Key, ResponseUser] = {}
        self._udp = UdpTransport(self._datagram)
        self.security = security or tls.security()
        self.tcp = StreamTransport(self._framed, _JUNK.inc)
        self._tls = StreamTransport(self._framed, _JUNK.inc, self.security)
        self._tag_key = secrets.token_bytes(16)
        self.local = ("", 0)

    async def open(self, host: str, port: int, *, attempts: int = 20, listens_for_tls: bool = True) -> None:
        """Bind UDP and TCP to the same port; raises OSError when it is taken. Port 0: any that is free for both.

        TLS connections are accepted at the port that `security` names, if it does and if they shall be.
        """
        await self._open(host, port, attempts)
        try:
            await self._tls.open(host, self.security.port if listens_for_tls else None)
        except OSError:
            await self.close()
            raise

    async def _open(self, host: str, port: int, attempts: int) -> None:
        for attempt in range(attempts if port == 0 else 1):
            self._udp.open(host, port)
            self.local = self._udp.local
            try:
                await self.tcp.open(host, self.local[1])
            except OSError:
                self._udp.close()
                if port != 0 or attempt + 1 == attempts:
                    raise
            else:
                return

    async def close(self) -> None:
        for exchange in [*self._clients.values(), *self._servers.values()]:
            exchange.close()
        self._clients.clear()
        self._servers.clear()
        self._served.clear()
        self._late.clear()
        self._udp.close()
        await self.tcp.close()
        await self._tls.close()

    @property
    def transactions(self) -> int:
        """How many are alive."""
        return len(self._clients) + len(self._servers)

    # -- where we are

    @property
    def tls_port(self) -> int | None:
        """Where TLS connections are accepted, if any are."""
        return self._tls.port

    def address_towards(self, host: str) -> tuple[str, int]:
        """Host and port that the peer at `host` shall see: advertised, bound, or that of the route. May raise."""
        bound, port = self.local
        if self._advertised:
            return self._advertised, port
        if bound in ("0.0.0.0", "::"):
            return local_address_towards(host), port
        return bound, port

    def sent_by(self, hop: Hop) -> tuple[str, int]:
        """Host and port for the Via and Contact of what goes to `hop`; may raise TransportError.

        Where nobody listens for TLS, it is the port of the connection: a peer finds that again by it, and can send
        its BYE.
        """
        host, port = self.address_towards(hop.host)
        if hop.transport == "tls":
            port = self._tls.port or self._tls.connection(hop).local[1]
        return host, port

    def reaches(self, address: str) -> bool:
        return can_reach(self.local[0], address)

    # -- sending

    def request(self, hop: Hop, data: bytes, user: ResponseUser, *, branch: str, method: str) -> ClientExchange:
        """Begin a client transaction; failures are told to `user`, later."""
        key = (branch, method)
        table = CLIENT_INVITE if method == "INVITE" else CLIENT_OTHER
        exchange = ClientExchange(self, key, table, hop=hop, data=data, user=user)
        self._clients[key] = exchange
        exchange.begin()
        return exchange

    def send(self, hop: Hop, data: bytes) -> None:
        """Send outside of any transaction (an ACK of a 2xx); what fails is lost, the peer will ask again."""
        with suppress(TransportError):
            self.transmit(hop, data)

    def transmit(self, hop: Hop, data: bytes) -> Connection | None:
        connection: Connection | None = None
        if hop.transport == "udp":
            self._udp.send(hop, data)
        elif hop.transport in ("tcp", "tls"):
            connection = (self.tcp if hop.transport == "tcp" else self._tls).connection(hop)
            connection.write(data)
        else:
            raise TransportError(f"transport {hop.transport} is not supported")
        if self.on_message is not None:
            self._trace("out", hop, data, connection)
        return connection

    def stands(self, hop: Hop) -> bool:
        """Whether there is a connection that leads there."""
        streams = {"tcp": self.tcp, "tls": self._tls}.get(hop.transport)
        return streams is not None and streams.standing(hop) is not None

    def hold(self, hop: Hop) -> Callable[[], None]:
        """Keep the connection that leads there, if it is one, until what is returned is called: a call lives on it."""
        streams = {"tcp": self.tcp, "tls": self._tls}.get(hop.transport)
        connection = streams.standing(hop) if streams is not None else None
        if connection is None:
            return _nothing
        connection.users += 1

        def let_go() -> None:
            connection.users -= 1

        return let_go

    def reply(self, hop: Hop, data: bytes, connection: Connection | None) -> None:
        """The connection it came over; else, and over UDP, the source, at the port of the Via (§18.2.2, RFC 3581).

        A `maddr` is not followed: answers go to who asked, so that nobody is flooded through us.
        """
        if connection is not None and not connection.closed:
            connection.write(data)
            if self.on_message is not None:
                self._trace("out", hop, data, connection)
            return
        self.send(hop, data)

    def forget(self, exchange: Exchange) -> None:
        if isinstance(exchange, ServerExchange) and self._servers.get(exchange.key) is exchange:
            self._served[exchange.call_id] -= 1
            if not self._served[exchange.call_id]:
                del self._served[exchange.call_id]
        tables: tuple[dict[Key, ClientExchange] | dict[Key, ServerExchange], ...] = (self._clients, self._servers)
        for table in tables:
            if table.get(exchange.key) is exchange:
                del table[exchange.key]

    def answer_late(self, branch: str, method: str, user: ResponseUser) -> None:
        """Give `user` the answers that come after its transaction has ended; `ignore_late` ends it."""
        self._late[branch, method] = user

    def ignore_late(self, branch: str, method: str) -> None:
        self._late.pop((branch, method), None)

    # -- receiving

    def _datagram(self, data: bytes, source: Hop) -> None:
        if not data.strip(b"\r\n\0 "):
            return  # a keep-alive
        self._receive(data, source, None)

    def _framed(self, data: bytes, source: Hop, connection: Connection) -> None:
        self._receive(data, source, connection)

    def _receive(self, data: bytes, source: Hop, connection: Connection | None) -> None:
        if self.on_message is not None:
            self._trace("in", source, data, connection)
        try:
            message = SipMessage.decode(data)
            if message.is_request:
                self._receive_request(message, source, connection)
            else:
                self._receive_response(message)
        except MalformedMessage:
            _JUNK.inc()
        except Exception:
            _CRASHED.inc()
            _log.exception("sip.crashed", source=hostport(source.host, source.port))

    def _receive_response(self, response: SipMessage) -> None:
        if response.validate() is not None:
            _JUNK.inc()
            return
        key = (response.branch, response.cseq[1])
        exchange = self._clients.get(key)
        if exchange is not None:
            exchange.receive(response)
        elif (late := self._late.get(key)) is not None:
            late.on_response(response)
        else:
            _STRAY.inc()

    def _receive_request(self, request: SipMessage, source: Hop, connection: Connection | None) -> None:
        via = request.via_top
        if via is None:
            _JUNK.inc()  # not even a 400 could be addressed
            return
        method = request.method_name
        key = self._server_key(request, "INVITE" if method == "ACK" else method)
        found = self._servers.get(key)
        if method == "ACK":
            if found is None or not found.feed(Input.ACK, request):
                self._on_ack(request)  # of a 2xx: a transaction of its own (§17.1.1.3)
        elif found is not None:
            found.feed(Input.REQUEST, request)
        else:
            port = via.with_source(source.host, source.port).reply_to[1]
            incoming = Incoming(key, request, source._replace(port=port), connection)
            if self._served[request.call_id] < _MOST_SERVED or method == "BYE":
                self._on_request(incoming)
                served = self._servers.get(key)
                if served is not None:
                    served.settle()
            else:
                self.refuse(incoming, SIPStatus.SERVICE_UNAVAILABLE, headers=(("Retry-After", "32"),))

    def serve(self, incoming: Incoming) -> ServerExchange:
        """Begin a server transaction for a request that has something to do with us."""
        key, request, source, connection = incoming
        table = SERVER_INVITE if request.method_name == "INVITE" else SERVER_OTHER
        exchange = ServerExchange(self, key, table, request=request, source=source, connection=connection)
        self._servers[key] = exchange
        self._served[request.call_id] += 1
        return exchange

    def refuse(
        self,
        incoming: Incoming,
        status: SIPStatus,
        reason: str | None = None,
        *,
        headers: Sequence[build.Header] = (),
    ) -> None:
        """Answer without keeping anything (RFC 3261 §8.2.7): a flood of strangers' requests costs no memory."""
        request, source = incoming.request, incoming.source
        seed = "\0".join(incoming.key) + request.call_id + (request.from_tag or "")
        tag = hashlib.blake2b(seed.encode(), key=self._tag_key, digest_size=8).hexdigest()
        data = build.response(
            request,
            int(status),
            reason or status.phrase,
            to_tag=tag,
            headers=headers,
            source=(source.host, source.port),
        )
        self.reply(source, data, incoming.connection)

    def invite_of(self, cancel: SipMessage) -> ServerExchange | None:
        """The INVITE that a CANCEL means (§9.2)."""
        return self._servers.get(self._server_key(cancel, "INVITE"))

    @staticmethod
    def _server_key(request: SipMessage, method: str) -> Key:
        """§17.2.3; without the magic cookie, or with nothing behind it, what RFC 2543 compared.

        The Call-ID is in it because some peers use one branch again for another call.
        """
        via = request.via_top
        sent_by = via.sent_by.lower() if via else ""
        if request.branch.startswith(_MAGIC) and request.branch != _MAGIC:
            return request.branch, sent_by, request.call_id, method
        return str(via), request.call_id, request.from_tag or "", str(request.cseq[0]), request.request_uri, method

    def _trace(self, direction: Literal["in", "out"], remote: Hop, data: bytes, connection: Connection | None) -> None:
        if connection is None:
            self._tell(direction, remote, data, self.local)
        else:
            connection.when_standing(lambda: self._tell(direction, remote, data, connection.local))

    def _tell(self, direction: Literal["in", "out"], remote: Hop, data: bytes, local: tuple[str, int]) -> None:
        if self.on_message is not None:
            far = (remote.host, remote.port)
            self.on_message(WireMessage(direction, remote.transport, local, far, data, self._clock.now()))


def _nothing() -> None:
    """Lets go of what was not held."""
