"""What is let go is freed at once, and what is kept takes no more than it needs: a flood must not make memory grow."""

import asyncio
import ctypes
import gc
import socket
import weakref
from collections import deque
from random import Random

from app.sip.message import SipMessage
from app.sip.sdp import UnusableSdp
from app.sip.transaction import Timing
from app.sip.transport import Hop, UdpTransport
from tests.sip.conftest import Bench, NewBench, answered
from tests.sip.peer import PATIENCE, Peer, sdp

_DATAGRAMS = 20_000
_KEPT = 1_000  # at a time, as server transactions are
_MOST_HOLES = 2.0  # MB; 8 before datagrams were copied to their size, 0.1 since


_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Heap(ctypes.Structure):
    """glibc's mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


def _holes_mb() -> float:
    """Memory that malloc has of the system and nobody has of it."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Heap
    return float(mallinfo2().fordblks) / 1024 / 1024


async def test_datagrams_that_are_kept_leave_no_holes() -> None:
    rng, kept, count = Random(1), deque[tuple[bytes, bytes]](maxlen=_KEPT), 0

    def received(data: bytes, source: Hop) -> None:
        nonlocal count
        count += 1
        if rng.random() < 0.3:
            kept.append((data, bytes(rng.randrange(600, 3000))))  # with an answer

    transport, before = UdpTransport(received), _holes_mb()
    transport.open("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(_DATAGRAMS):
            sender.sendto(bytes(rng.randrange(520, 1400)), transport.local)
            if number % 50 == 0:
                async with asyncio.timeout(PATIENCE):
                    while count < number:
                        await asyncio.sleep(0)  # the loop reads the socket meanwhile
    transport.close()
    assert count > _DATAGRAMS - 50
    assert _holes_mb() - before < _MOST_HOLES


def test_a_message_whose_sdp_is_of_no_use_is_freed_when_it_is_let_go() -> None:
    message = SipMessage.decode(b"INVITE sip:a SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n")
    gone = weakref.ref(message)
    gc.disable()
    try:
        for _ in range(2):
            assert _why_not(message) == "the SDP has no m= line"
        del message
        assert gone() is None
    finally:
        gc.enable()


async def test_a_request_that_has_its_answer_is_remembered_at_half_the_size_and_repeated_all_the_same(
    new_bench: NewBench, peer: Peer
) -> None:
    bench = await new_bench(timing=Timing())
    await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await peer.expect("ACK")
    info = peer.request(invite, "INFO", headers=(("X-Long", "x" * 500),))
    peer.send(info)
    first = await peer.expect("200 INFO")
    [kept] = [each for each in bench.phone.endpoint._servers.values() if each.request.method_name == "INFO"]
    assert "_index" not in vars(kept.request)
    peer.send(info)
    again = await peer.expect("200 INFO")
    assert peer.raw[id(again)] == peer.raw[id(first)]
    assert (kept.request.first("x-long"), kept.request.cseq) == ("x" * 500, first.cseq)  # read anew
    assert kept.request.raw_headers


def _why_not(message: SipMessage) -> str:
    """pytest.raises would keep it."""
    try:
        message.sdp()
    except UnusableSdp as error:
        return str(error)
    return ""


async def test_a_call_is_freed_although_another_dialog_of_it_was_changed_after_its_end(
    bench: Bench, peer: Peer
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, tag="fork", body=sdp())
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    gone = weakref.ref(leg)
    gc.collect()
    gc.disable()
    try:
        leg.hang_up()
        bye = await peer.expect("BYE")
        peer.ask(invite, "UPDATE", tag="fork")
        await peer.expect("200 UPDATE")
        peer.answer(bye, 200)
        bench.legs.clear()
        del leg
        async with asyncio.timeout(PATIENCE):
            while gone() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
