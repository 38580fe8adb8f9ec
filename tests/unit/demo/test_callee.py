"""The demo's callee at the end of a real UDP socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.demo.callee import Callee
from app.demo.story import Story
from app.media.packet import Packet, pack
from app.sip import build
from app.sip.message import SipMessage

OFFER = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"


class Caller(asyncio.DatagramProtocol):
    """A socket that keeps what comes."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # it is one

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.inbox.put_nowait(data)

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    async def next(self) -> SipMessage:
        return SipMessage.decode(await asyncio.wait_for(self.inbox.get(), 5))

    async def until(self, start: str) -> SipMessage:
        """The next message whose first line begins so; others are passed over."""
        while True:
            message = await self.next()
            if bytes(message.heading).decode().startswith(start):
                return message

    def send(self, callee: Callee, method: str, *, branch: str, to_tag: str = "", body: bytes = b"") -> None:
        to = f"<{callee.uri}>" + (f";tag={to_tag}" if to_tag else "")
        number = 2 if method == "BYE" else 1
        headers = [
            ("Via", f"SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:bob@127.0.0.1:{self.port}>;tag=bob"),
            ("To", to),
            ("Call-ID", "demo-test"),
            ("CSeq", f"{number} {method}"),
            ("Contact", f"<sip:bob@127.0.0.1:{self.port}>"),
        ]
        self.transport.sendto(build.request(method, callee.uri, headers, body), ("127.0.0.1", callee.port))


@asynccontextmanager
async def callee_and_caller(answers: int = 200, talks: float = 0.05) -> AsyncIterator[tuple[Callee, Caller, Story]]:
    story = Story()
    callee = Callee(story, answers=answers, rings=0.01, talks=talks)
    await callee.start()
    transport, caller = await asyncio.get_running_loop().create_datagram_endpoint(Caller, local_addr=("127.0.0.1", 0))
    try:
        yield callee, caller, story
    finally:
        callee.stop()
        transport.close()


async def test_it_rings_answers_and_hangs_up_and_tells_every_message() -> None:
    async with callee_and_caller() as (callee, caller, story):
        caller.send(callee, "INVITE", branch="1", body=OFFER.format(port=caller.port).encode())
        answer = await caller.until("SIP/2.0 200")
        assert answer.content_type == "application/sdp"
        assert b"RTP/AVP 0" in answer.content
        caller.send(callee, "ACK", branch="2", to_tag=answer.to_tag or "")
        while (first := await caller.inbox.get())[:3] != b"BYE":
            assert first[0] == 0x80  # its RTP comes to the same socket here
        bye = SipMessage.decode(first)
        assert (bye.from_tag, bye.to_tag, bye.call_id) == (answer.to_tag, "bob", "demo-test")
        ok = build.response(bye, 200, "OK")
        caller.transport.sendto(ok, ("127.0.0.1", callee.port))
        while len(story.sip) < 7:
            await asyncio.sleep(0)
    assert [(seen.by, seen.text) for seen in story.sip] == [
        ("product", "INVITE"),
        ("callee", "100 Trying"),
        ("callee", "180 Ringing"),
        ("callee", "200 OK"),
        ("product", "ACK"),
        ("callee", "BYE"),
        ("product", "200 OK (BYE)"),
    ]
    assert story.rtp_sent > 0


async def test_it_counts_rtp_and_nothing_else() -> None:
    async with callee_and_caller(talks=5) as (callee, caller, story):
        caller.send(callee, "INVITE", branch="1", body=OFFER.format(port=9).encode())
        answer = await caller.until("SIP/2.0 200")
        media = ("127.0.0.1", int(answer.content.split(b"m=audio ")[1].split()[0]))
        caller.send(callee, "ACK", branch="2", to_tag=answer.to_tag or "")
        caller.transport.sendto(b"no RTP", media)
        caller.transport.sendto(pack(Packet(0, True, 1, 160, 7, b"\xff" * 160)), media)
        while not story.rtp_received:
            await asyncio.sleep(0)
    assert story.rtp_received == 1


@pytest.mark.parametrize("code", [486, 603])
async def test_it_refuses_when_it_is_told_to(code: int) -> None:
    async with callee_and_caller(answers=code) as (callee, caller, story):
        caller.send(callee, "INVITE", branch="1")
        refusal = await caller.until(f"SIP/2.0 {code}")
        caller.send(callee, "ACK", branch="1", to_tag=refusal.to_tag or "")
        while story.sip[-1].text != "ACK":
            await asyncio.sleep(0)


async def test_a_repeated_invite_gets_the_newest_response_again() -> None:
    async with callee_and_caller() as (callee, caller, _):
        caller.send(callee, "INVITE", branch="1")
        first = await caller.until("SIP/2.0 200")
        caller.send(callee, "INVITE", branch="1")
        assert (await caller.until("SIP/2.0 200")).to_tag == first.to_tag


async def test_an_answer_without_its_ack_is_repeated() -> None:
    async with callee_and_caller() as (callee, caller, _):
        caller.send(callee, "INVITE", branch="1")
        first = await caller.until("SIP/2.0 200")
        assert (await caller.next()).to_tag == first.to_tag


async def test_a_call_that_is_cancelled_while_it_rings_ends_487() -> None:
    async with callee_and_caller() as (callee, caller, _):
        callee.rings = 5
        caller.send(callee, "INVITE", branch="1")
        await caller.until("SIP/2.0 180")
        caller.send(callee, "CANCEL", branch="1")
        assert (await caller.until("SIP/2.0 200")).cseq == (1, "CANCEL")
        assert (await caller.until("SIP/2.0 487")).cseq == (1, "INVITE")


async def test_a_bye_from_the_caller_ends_the_call() -> None:
    async with callee_and_caller(talks=5) as (callee, caller, story):
        caller.send(callee, "INVITE", branch="1", body=OFFER.format(port=9).encode())
        answer = await caller.until("SIP/2.0 200")
        caller.send(callee, "ACK", branch="2", to_tag=answer.to_tag or "")
        caller.send(callee, "BYE", branch="3", to_tag=answer.to_tag or "")
        assert (await caller.until("SIP/2.0 200")).cseq == (2, "BYE")
    assert "BYE" not in [seen.text for seen in story.sip if seen.by == "callee"]


async def test_junk_is_dropped() -> None:
    async with callee_and_caller() as (callee, caller, story):
        caller.transport.sendto(b"\0\1\2", ("127.0.0.1", callee.port))
        caller.send(callee, "OPTIONS", branch="1")
        assert (await caller.next()).status_code == 200
    assert [seen.text for seen in story.sip] == ["OPTIONS", "200 OK (OPTIONS)"]
