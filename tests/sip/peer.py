"""A SIP peer whose every message a test writes: bytes on loopback, over UDP or on one accepted TCP connection."""

import asyncio
import itertools
import re
import ssl
from collections import Counter
from collections.abc import Sequence

from app.sip import build
from app.sip.framer import Framer
from app.sip.headers import hostport
from app.sip.message import SipMessage

PATIENCE = 5.0  # seconds until a test gives up

SDP = (
    "v=0\r\no=peer 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP{family} {address}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP {formats}\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
)


def sdp(address: str = "127.0.0.1", port: int = 9, direction: str = "sendrecv", formats: str = "0") -> bytes:
    family = 6 if ":" in address else 4
    return SDP.format(family=family, address=address, port=port, direction=direction, formats=formats).encode()


def row(name: str, value: str) -> tuple[tuple[str, str], ...]:
    return ((name, value),)


class Peer(asyncio.DatagramProtocol):
    """Answers nothing by itself. `tag` is its To tag."""

    def __init__(self, tag: str = "peer", host: str = "127.0.0.1") -> None:
        self.tag = tag
        self.host = host
        self.port = 0
        self.inbox: asyncio.Queue[SipMessage] = asyncio.Queue()
        self.raw: dict[int, bytes] = {}  # by id of the message: its bytes
        self.sources: list[tuple[str, int]] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._taken: Counter[bytes] = Counter()
        self._numbers = itertools.count(1)

    async def open(self, port: int = 0) -> "Peer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, port))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def uri(self) -> str:
        return f"sip:bob@{hostport(self.host, self.port)}"

    @property
    def _sent_by(self) -> str:
        return hostport(self.host, self.port)

    @property
    def contact(self) -> str:
        return f"<sip:peer@{hostport(self.host, self.port)}>"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = SipMessage.decode(data)
        self.raw[id(message)] = data
        self.sources.append(addr[:2])
        self.inbox.put_nowait(message)

    async def next(self) -> SipMessage:
        message = await asyncio.wait_for(self.inbox.get(), PATIENCE)
        self._taken[self.raw.get(id(message), b"")] += 1
        self._taken[b""] = 0  # of one whose bytes a test let go, nobody knows
        return message

    async def expect(self, what: str, *, repeats: bool = True) -> SipMessage:
        """The next message, which must be `what`: a method, or a code and the method it answers (``200 BYE``).

        `repeats` of what was taken before may come in between: with timers this short a busy machine makes some.
        """
        while True:
            message = await self.next()
            got = message.method_name if message.is_request else f"{message.status_code} {message.method_name}"
            if got != what and repeats and self._taken[self.raw.get(id(message), b"")] > 1:
                continue
            assert got == what, f"{got} came, {what} was expected"
            return message

    def send(self, data: bytes, to: tuple[str, int] | None = None) -> None:
        assert self._transport is not None
        self._transport.sendto(data, to or self.sources[-1])

    def answer(
        self,
        request: SipMessage,
        code: int,
        reason: str = "",
        *,
        tag: str | None = None,
        body: bytes = b"",
        headers: Sequence[build.Header] = (),
    ) -> None:
        """A response; 101–299 carry a Contact unless `headers` has one."""
        extra = list(headers)
        if 100 < code < 300 and not any(name == "Contact" for name, _ in extra):
            extra.append(("Contact", self.contact))
        kind = "application/sdp" if body else None
        self.send(
            build.response(request, code, reason, to_tag=tag or self.tag, headers=extra, body=body, content_type=kind)
        )

    def accept(self, request: SipMessage, **more: object) -> None:
        """A 200 with SDP."""
        self.answer(request, 200, "OK", body=sdp(), **more)  # type: ignore[arg-type] # whatever answer() takes

    def request(
        self,
        invite: SipMessage,
        method: str,
        *,
        cseq: int | None = None,
        tag: str | None = None,
        body: bytes = b"",
        headers: Sequence[build.Header] = (),
        kind: str = "application/sdp",
    ) -> bytes:
        """The bytes of a request of ours in the dialog of `invite`."""
        number = next(self._numbers) if cseq is None else cseq
        contact = re.sub(r"[<>]", "", invite.first("contact") or "")
        rows = [
            ("Via", f"SIP/2.0/UDP {self._sent_by};branch=z9hG4bKpeer{id(self)}{method}{next(self._numbers)}"),
            ("From", f"{invite.first('to')};tag={tag or self.tag}"),
            ("To", invite.first("from") or ""),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{number} {method}"),
            ("Max-Forwards", "70"),
            *(() if any(name == "Contact" for name, _ in headers) else (("Contact", self.contact),)),
            *headers,
            *((("Content-Type", kind),) if body else ()),
        ]
        return build.request(method, contact, rows, body)

    def ask(self, invite: SipMessage, method: str, **more: object) -> None:
        self.send(self.request(invite, method, **more))  # type: ignore[arg-type] # whatever request() takes

    async def silence(self, phone_address: tuple[str, int]) -> None:
        """Assert that nothing has come: what the phone sent before it answered this OPTIONS would be here first."""
        name = f"barrier{next(self._numbers)}"
        rows = [
            ("Via", f"SIP/2.0/UDP {self._sent_by};branch=z9hG4bK{name}"),
            ("From", f"<sip:barrier@127.0.0.1>;tag={name}"),
            ("To", "<sip:phone@127.0.0.1>"),
            ("Call-ID", name),
            ("CSeq", "1 OPTIONS"),
        ]
        self.send(build.request("OPTIONS", "sip:phone@127.0.0.1", rows), phone_address)
        await self.expect("200 OPTIONS", repeats=False)


class TcpPeer:
    """The same over TCP, or TLS with a `context`: listens, and speaks on the newest connection."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.transport = "tcp" if context is None else "tls"
        self.headers: tuple[build.Header, ...] = ()  # of its answers, instead of the Contact
        self._context = context
        self.port = 0
        self.inbox: asyncio.Queue[SipMessage] = asyncio.Queue()
        self.connections = 0
        self.pongs = 0
        self.pinged = asyncio.Event()
        self.ended = asyncio.Event()  # a connection, by the phone
        self.writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None

    async def open(self, port: int = 0) -> "TcpPeer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.connections += 1
        framer = Framer()
        while data := await reader.read(65536):
            if data == b"\r\n\r\n":
                self.pinged.set()
                continue
            while data.startswith(b"\r\n"):
                self.pongs += 1
                data = data[2:]
            for message in framer.feed(data):
                self.inbox.put_nowait(SipMessage.decode(message))
        self.ended.set()

    async def expect(self, what: str) -> SipMessage:
        message = await asyncio.wait_for(self.inbox.get(), PATIENCE)
        got = message.method_name if message.is_request else f"{message.status_code} {message.method_name}"
        assert got == what, f"{got} came, {what} was expected"
        return message

    def send(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def answer(self, request: SipMessage, code: int, reason: str = "", body: bytes = b"") -> None:
        contact = self.headers or (("Contact", f"<sip:peer@127.0.0.1:{self.port};transport={self.transport}>"),)
        kind = "application/sdp" if body else None
        self.send(build.response(request, code, reason, to_tag="peer", headers=contact, body=body, content_type=kind))
