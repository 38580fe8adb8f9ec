"""A telephone that really talks: a SIP peer with RTP that calls or is called, says audio and keeps what it hears.

It shares nothing with the product but its table of G.711; the messages are written and read by hand.
"""

import asyncio
import re
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.kit.ear import PATIENCE, Ear


@dataclass
class Talk:
    """One dialog of a talker."""

    talker: "Talker"
    ear: Ear
    call_id: str
    local: str  # From or To with our tag
    remote: str
    target: str  # Contact of the other side
    invite: str = ""  # the INVITE that came
    cseq: int = 1
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    responses: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    def hang_up(self) -> None:
        self.request("BYE")
        self.over.set()

    def hold(self, direction: str = "sendonly") -> None:
        self.request("INVITE", body=self.talker.sdp(self.ear, direction))

    def info(self, key: str) -> None:
        self.request("INFO", body=f"Signal={key}\r\nDuration=160\r\n", kind="application/dtmf-relay")

    def request(self, method: str, body: str = "", kind: str = "application/sdp") -> None:
        self.cseq += 1
        self.talker.send(self.lines(method, self.target, self.cseq, body, kind))

    def lines(self, method: str, uri: str, cseq: int, body: str = "", kind: str = "application/sdp") -> str:
        rows = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.talker.port};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:{self.talker.user}@127.0.0.1:{self.talker.port}>",
            *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(rows) + "\r\n\r\n" + body


class Talker(asyncio.DatagramProtocol):
    """Answers every call at once, unless `answers` is 0 (it rings) or another code."""

    def __init__(self, user: str = "talker", *, codecs: Sequence[int] = (0, 8), events: int | None = 101) -> None:
        self.user = user
        self.port = 0
        self.answers = 200
        self.early = False  # 183 with SDP before the answer
        self.talks: dict[str, Talk] = {}
        self.came: asyncio.Queue[Talk] = asyncio.Queue()
        self._codecs = codecs
        self._events = events
        self._service: tuple[str, int] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@127.0.0.1:{self.port}"

    async def called(self) -> Talk:
        """The next call that comes."""
        return await asyncio.wait_for(self.came.get(), PATIENCE)

    async def call(self, number: str, service: tuple[str, int], extra: str = "") -> Talk:
        """INVITE the service; `responses` tells what it answers, `answered` when it did."""
        self._service = service
        uri = f"sip:{number}@{service[0]}:{service[1]}"
        tag = secrets.token_hex(4)
        ear = await self.ear()
        local = f'"Talker" <sip:{self.user}@127.0.0.1:{self.port}>;tag={tag}'
        talk = Talk(self, ear, secrets.token_hex(8), local, f"<{uri}>", uri)
        self.talks[talk.call_id] = talk
        message = talk.lines("INVITE", uri, talk.cseq, self.sdp(ear))
        talk.invite = message
        self.send(message.replace("Max-Forwards: 70\r\n", "Max-Forwards: 70\r\n" + extra, 1))
        return talk

    async def ear(self) -> Ear:
        """The media half of a new dialog."""
        return await Ear(self._codecs[0], self._events).open()

    def cancel(self, talk: Talk) -> None:
        head = talk.invite.partition("\r\n\r\n")[0].split("\r\n")
        rows = [row for row in head[1:] if not row.startswith(("Content", "CSeq", "Contact"))]
        first = head[0].replace("INVITE", "CANCEL")
        self.send("\r\n".join([first, *rows, f"CSeq: {talk.cseq} CANCEL", "Content-Length: 0", "", ""]))

    def send(self, message: str) -> None:
        assert self._transport is not None and self._service is not None
        self._transport.sendto(message.encode(), self._service)

    def sdp(self, ear: Ear, direction: str = "sendrecv") -> str:
        numbers = " ".join(map(str, [*self._codecs, *([self._events] if self._events else [])]))
        events = f"a=rtpmap:{self._events} telephone-event/8000\r\n" if self._events else ""
        return (
            f"v=0\r\no=talker 1 {secrets.randbits(20)} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {ear.port} RTP/AVP {numbers}\r\n{events}a={direction}\r\n"
        )

    def widen(self, size: int) -> None:
        """Room for so many bytes that have come and have not been read: a burst must not be lost here."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def close(self) -> None:
        for talk in self.talks.values():
            talk.ear.close()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a datagram transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = data.decode("utf-8", "replace")
        self._service = addr
        if message.startswith("SIP/2.0"):
            self._response(message)
        else:
            task = asyncio.ensure_future(self._request(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _response(self, message: str) -> None:
        talk = self.talks.get(_header(message, "Call-ID"))
        if talk is None:
            return
        code, method = int(message.split(" ", 2)[1]), _header(message, "CSeq").split()[1]
        talk.responses.put_nowait(f"{code} {method}")
        if method == "INVITE" and code > 100:
            talk.remote = _header(message, "To")
            if contact := _header(message, "Contact"):
                talk.target = contact.strip("<>").split(">")[0]
            if "m=audio" in message:
                talk.ear.start(_media(message))
        if method == "INVITE" and code >= 200:
            self.send(talk.lines("ACK", talk.target, int(_header(message, "CSeq").split()[0])))
            (talk.answered if code < 300 else talk.over).set()

    async def _request(self, message: str) -> None:
        method, call_id = message.split(" ", 1)[0], _header(message, "Call-ID")
        talk = self.talks.get(call_id)
        if method == "INVITE" and talk is None:
            await self._invited(message)
        elif talk is None:
            self._answer(message, 481)
        elif method == "ACK":
            talk.answered.set()
        elif method == "CANCEL":
            self._answer(message, 200)
            self._answer(talk.invite, 487, tag=talk.local)
            talk.over.set()
        elif method == "INVITE":
            self._answer(message, 200, tag=talk.local, body=self.sdp(talk.ear))
        else:
            self._answer(message, 200, tag=talk.local)
            if method == "BYE":
                talk.over.set()

    async def _invited(self, message: str) -> None:
        ear = await self.ear()
        local = f"{_header(message, 'To')};tag={secrets.token_hex(4)}"
        target = _header(message, "Contact").strip("<>").split(">")[0]
        talk = Talk(self, ear, _header(message, "Call-ID"), local, _header(message, "From"), target, message)
        self.talks[talk.call_id] = talk
        if "m=audio" in message:
            ear.start(_media(message))
        self.came.put_nowait(talk)
        self._answer(message, 183 if self.early else 180, tag=local, body=self.sdp(ear) if self.early else "")
        if self.answers:
            self.answer(talk, self.answers)

    def answer(self, talk: Talk, code: int = 200) -> None:
        self._answer(talk.invite, code, tag=talk.local, body=self.sdp(talk.ear) if code == 200 else "")
        if code >= 300:
            talk.over.set()

    def _answer(self, request: str, code: int, tag: str = "", body: str = "") -> None:
        vias = re.findall(r"(?im)^Via: .*$", request)
        rows = [
            f"SIP/2.0 {code} Whatever",
            *(via.strip() for via in vias),
            f"From: {_header(request, 'From')}",
            f"To: {tag or _header(request, 'To')}",
            f"Call-ID: {_header(request, 'Call-ID')}",
            f"CSeq: {_header(request, 'CSeq')}",
            f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.send("\r\n".join(rows) + "\r\n\r\n" + body)


@asynccontextmanager
async def talker(user: str = "talker", **options: object) -> AsyncIterator[Talker]:
    made = Talker(user, **options)  # type: ignore[arg-type]  # Talker's own
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, local_addr=("127.0.0.1", 0))
    try:
        yield made
    finally:
        made.close()


def _header(message: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}\s*:\s*(.*?)\s*$", message.partition("\r\n\r\n")[0])
    return found[1] if found else ""


def _media(message: str) -> tuple[str, int]:
    address = re.search(r"c=IN IP4 (\S+)", message)
    port = re.search(r"m=audio (\d+)", message)
    return (address[1] if address else "127.0.0.1"), int(port[1]) if port else 0
