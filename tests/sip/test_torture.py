"""All 49 messages of RFC 4475 at the endpoint: each is answered as the RFC asks or dropped, and the next call works."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import pytest

from app.sip import build
from app.sip.framer import Framer
from app.sip.message import SipMessage
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.peer import PATIENCE, Peer
from tests.sip.torture import invalid, semantics, valid

MESSAGES = valid.MESSAGES | invalid.MESSAGES | semantics.MESSAGES
DROPPED = 0

# Registrations and messages are not for us: 405, whatever else is odd about them. No INVITE finds anybody: 404.
ANSWERS = {
    **dict.fromkeys(("esc01", "longreq", "invut", "sdp01", "inv2543"), 404),
    **dict.fromkeys(("intmeth", "escnull", "esc02", "dblreq", "mpart01"), 405),
    **dict.fromkeys(("regbadct", "unksm2", "regaut01", "cparam01", "cparam02", "regescrt"), 405),
    **dict.fromkeys(("lwsdisp", "semiuri", "transports", "badbranch", "zeromf"), 200),
    **dict.fromkeys(("badinv01", "clerr", "ncl", "scalar02", "quotbal", "ltgtruri", "lwsruri"), 400),
    **dict.fromkeys(("mismatch01", "mismatch02", "insuf", "multi01", "mcl01"), 400),
    # Wrong, but the RFC lets a liberal element understand them all the same.
    **dict.fromkeys(("lwsstart", "escruri", "baddate"), 404),
    **dict.fromkeys(("trws", "badaspec", "baddn"), 200),
    "badvers": 505,
    "wsinv": 481,  # its To has a tag
    **dict.fromkeys(("unkscm", "novelsc"), 416),
    "bext01": 420,
    # Responses to nothing that we asked; the last one has two Vias and a code of ten digits has none.
    **dict.fromkeys(("unreason", "noreason", "scalarlg", "bigcode", "bcast"), DROPPED),
}
# Where the stream cannot be cut, the connection is closed; what it promises and does not send is waited for.
OVER_TCP = ANSWERS | {"ncl": DROPPED, "mcl01": DROPPED, "inv2543": DROPPED, "clerr": DROPPED}

UNFRAMED = frozenset({"ncl", "mcl01", "inv2543", "clerr", "dblreq"})  # nothing after them can be found

# SHA-1 of all, in the order of the RFC: the octets are those of its archive (Appendix A) as two public copies, which
# agree but for a last empty line in baddn, have them.
DIGEST = "43cc8f85214cf65242ef7f6830538145222242b2"


class Wire(asyncio.DatagramProtocol):
    """A socket at the very port that a message's Via names: that is where its answer goes."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[SipMessage] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.put_nowait(SipMessage.decode(data))


def barrier(transport: str) -> bytes:
    """A request whose answer comes after that of the message before it."""
    rows = [
        ("Via", f"SIP/2.0/{transport} 127.0.0.1;branch=z9hG4bKbarrier;rport"),
        ("From", "<sip:barrier@127.0.0.1>;tag=1"),
        ("To", "<sip:phone@127.0.0.1>"),
        ("Call-ID", "barrier"),
        ("CSeq", "1 OPTIONS"),
        ("Max-Forwards", "70"),
    ]
    return build.request("OPTIONS", "sip:phone@127.0.0.1", rows)


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    """With the RFC's timers: nothing here waits for one, and a busy machine brings no retransmission."""
    return await new_bench(timing=Timing())


@pytest.fixture
async def next_call(bench: Bench, peer: Peer) -> AsyncIterator[None]:
    """A call placed after the test is answered and ended by its callee."""
    yield
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await answered(leg)
    await peer.expect("ACK")
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")
    assert str((await outcome_of(leg)).reason) == "callee-hangup"


def test_the_messages_are_those_of_the_rfc() -> None:
    assert len(MESSAGES) == len(ANSWERS) == 49
    assert hashlib.sha1(b"".join(MESSAGES.values()), usedforsecurity=False).hexdigest() == DIGEST


@pytest.mark.usefixtures("next_call")
@pytest.mark.parametrize("name", MESSAGES)
async def test_over_udp(bench: Bench, name: str) -> None:
    pid = os.getpid()
    host = f"127.{64 + (pid >> 16) % 64}.{(pid >> 8) % 256}.{pid % 254 + 1}"  # port 5060 of nobody else
    port = {"quotbal": 5050, "bext01": 5061}.get(name, 5060)
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_datagram_endpoint(Wire, local_addr=(host, port))
    try:
        for datagram in (MESSAGES[name], barrier("UDP")):
            transport.sendto(datagram, bench.address)
        assert await codes_before_barrier(wire.heard) == ([ANSWERS[name]] if ANSWERS[name] else [])
    finally:
        transport.close()


async def codes_before_barrier(heard: asyncio.Queue[SipMessage]) -> list[int]:
    codes: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while (message := await heard.get()).call_id != "barrier":
            codes.append(message.status_code)
    return codes


@pytest.mark.usefixtures("next_call")
@pytest.mark.parametrize("name", MESSAGES)
async def test_over_tcp(bench: Bench, name: str) -> None:
    reader, writer = await asyncio.open_connection(*bench.address)
    whole = MESSAGES[name]
    for part in (whole[:100], whole[100:] + barrier("TCP")):
        writer.write(part)
        await asyncio.sleep(0)
    heard: asyncio.Queue[SipMessage] = asyncio.Queue()
    framer = Framer()
    async with asyncio.timeout(PATIENCE):
        while name != "clerr" and (data := await reader.read(65536)):
            for message in (SipMessage.decode(one) for one in framer.feed(data)):
                heard.put_nowait(message)
                if message.call_id == "barrier":
                    reader.feed_eof()
    writer.close()
    heard.put_nowait(SipMessage.decode(barrier("TCP")))
    expected = [OVER_TCP[name]] if OVER_TCP[name] else []
    if name == "dblreq":
        expected = [405, 404]  # here they are two
    assert await codes_before_barrier(heard) == expected
    assert (heard.qsize() > 0) == (name not in UNFRAMED)
