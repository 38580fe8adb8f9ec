"""The far end of the calls that run meanwhile: sound ones that must not suffer, victims whose dialogs are fuzzed."""

import asyncio
import socket
from collections import deque

from app.sip import build
from app.sip.message import MalformedMessage, SipMessage
from tests.fuzz.grammar import CALLER, Here

Address = tuple[str, int]
_KEPT = 400  # messages heard that are worth changing
_RECEIVE_BUFFER = 4 * 1024 * 1024  # bytes


def bound(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    made.bind((host, 0))
    return made


class SoundCallee(asyncio.DatagramProtocol):
    """Answers every INVITE and waits for `hang_up`."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.media = bound(host)
        self.answered = asyncio.Event()
        self.wanted = 1
        self.invites: dict[str, SipMessage] = {}
        self.media_ports: list[Address] = []
        self._peer: Address = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None
        self._talking: set[str] = set()
        self.over = 0  # BYEs that were answered with 200

    async def open(self) -> "SoundCallee":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=bound(self.host))
        return self

    @property
    def uri(self) -> str:
        assert self._transport is not None
        return f"sip:sound@{self.host}:{self._transport.get_extra_info('sockname')[1]}"

    def close(self) -> None:
        self.media.close()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = SipMessage.decode(data)
        self._peer = addr
        if not message.is_request:
            self.over += message.method_name == "BYE" and message.status_code == 200
        elif message.method_name == "INVITE":
            self._accept(message, addr)
        elif message.method_name == "ACK":
            self._talking.add(message.call_id)
            if len(self._talking) >= self.wanted:
                self.answered.set()
        else:
            self._send(build.response(message, 200, to_tag="sound"), addr)

    def hang_up(self) -> None:
        for number, invite in enumerate(self.invites.values()):
            rows = [
                ("Via", f"SIP/2.0/UDP {self.uri.partition('@')[2]};branch=z9hG4bKsoundbye{number}"),
                ("From", f"{invite.first('to')};tag=sound"),
                ("To", invite.first("from") or ""),
                ("Call-ID", invite.call_id),
                ("CSeq", "1 BYE"),
                ("Max-Forwards", "70"),
            ]
            self._send(build.request("BYE", (invite.first("contact") or "").strip("<>"), rows), self._peer)

    def _accept(self, invite: SipMessage, addr: Address) -> None:
        if invite.call_id not in self.invites:
            self.invites[invite.call_id] = invite
            offer = invite.sdp()
            self.media_ports.append((offer.address, offer.port))
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.media.getsockname()[1]} RTP/AVP 0\r\n"
        )
        headers = (("Contact", f"<{self.uri}>"),)
        kind = "application/sdp"
        self._send(
            build.response(invite, 200, to_tag="sound", headers=headers, body=body.encode(), content_type=kind), addr
        )

    def _send(self, data: bytes, addr: Address) -> None:
        assert self._transport is not None
        self._transport.sendto(data, addr)


class Attacker:
    """A socket that sends what it is told, keeps what it hears for seeds, and knows the newest victims."""

    def __init__(self, host: str, phone: Address) -> None:
        self.socket = bound(host)
        self.media = bound(host)
        self.here = Here(host, self.socket.getsockname()[1], self.media.getsockname()[1])
        self.phone = phone
        self.heard = 0
        self.answered = 0
        self.seeds: deque[bytes] = deque(maxlen=_KEPT)
        self.victims: deque[SipMessage] = deque(maxlen=8)  # INVITEs
        self.requests: deque[SipMessage] = deque(maxlen=64)  # what victims ask
        self.replies: deque[SipMessage] = deque(maxlen=16)  # to INVITEs of ours, with a tag
        self._known: set[str] = set()
        self._taken: set[str] = set()
        self._barrier = 0
        self._passed: asyncio.Future[None] | None = None
        self.invited = 0
        self.number = ""  # that is answered
        self.callers = 0  # of that number

    def open(self) -> "Attacker":
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._readable)
        return self

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()
        self.media.close()

    @property
    def taken(self) -> int:
        """Calls of ours that were answered with 200."""
        return len(self._taken)

    @property
    def uri(self) -> str:
        return f"sip:victim@{self.here.host}:{self.here.port}"

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, self.phone)

    async def barrier(self, seconds: float = 20.0) -> None:
        """Return once all that was sent has been dealt with: this OPTIONS came after it, and is answered."""
        self._barrier += 1
        self._passed = asyncio.get_running_loop().create_future()
        rows = [
            ("Via", f"SIP/2.0/UDP {self.here.host}:{self.here.port};rport;branch=z9hG4bKbarrier{self._barrier}"),
            ("From", "<sip:barrier@fuzz.invalid>;tag=barrier"),
            ("To", "<sip:phone@fuzz.invalid>"),
            ("Call-ID", f"barrier-{self._barrier}"),
            ("CSeq", "1 OPTIONS"),
            ("Max-Forwards", "70"),
        ]
        request = build.request("OPTIONS", "sip:phone@127.0.0.1", rows)
        async with asyncio.timeout(seconds):
            while not self._passed.done():
                self.send(request)
                await asyncio.wait([self._passed], timeout=1.0)

    def _readable(self) -> None:
        for _ in range(64):
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        try:
            message = SipMessage.decode(data)
        except MalformedMessage:
            return
        if message.call_id == f"barrier-{self._barrier}":
            if self._passed is not None and not self._passed.done():
                self._passed.set_result(None)
        elif message.call_id.startswith("barrier-"):
            return
        elif not message.is_request:
            self.answered += 1
            if message.call_id.startswith(CALLER) and message.method_name == "INVITE" and message.to_tag:
                self._hear_reply(message)
        else:
            self.heard += 1
            self.requests.append(message)
            self.seeds.append(data)
            if message.method_name == "INVITE" and message.call_id not in self._known:
                self._known.add(message.call_id)
                self.invited += 1
                self.victims.append(message)

    def _hear_reply(self, reply: SipMessage) -> None:
        if reply.status_code < 300:
            self.replies.append(reply)
        if reply.status_code == 200:
            self._taken.add(reply.call_id)
