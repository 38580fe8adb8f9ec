"""Audio before the answer: SDP in provisionals, forks, changes, and what becomes of it all."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.calls.ports import Answered, Ended, Moved, Progress, Silence
from app.sip.conversation import Conversation
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import PATIENCE, Peer, row, sdp


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    return await new_bench(timing=Timing())  # no timer is tested here


@dataclass
class Ear:
    """Where a peer hears."""

    socket: socket.socket

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def hear(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 2048), PATIENCE)

    async def hears_no_more(self) -> None:
        """What is under way is heard; then three frames long nothing."""
        with pytest.raises(TimeoutError):
            while True:
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 2048), 0.06)


@pytest.fixture
def ears() -> Iterator[tuple[Ear, Ear]]:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
    yield Ear(sockets[0]), Ear(sockets[1])
    for each in sockets:
        each.close()


async def heard_early(leg: Conversation) -> Progress:
    while True:
        progress = await told(leg, Progress)
        if progress.early_media:
            return progress


@pytest.mark.parametrize("code", [180, 183])
async def test_sdp_in_a_provisional_lets_audio_flow_both_ways(
    bench: Bench, peer: Peer, ears: tuple[Ear, Ear], code: int
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    assert not (await told(leg, Progress)).early_media
    peer.answer(invite, code, body=sdp(port=ears[0].port))
    assert (await told(leg, Progress)).early_media
    packet = await ears[0].hear()
    assert leg.session is not None
    ears[0].socket.sendto(packet[:2] + b"\0\1" + packet[4:], ("127.0.0.1", leg.session.media.local_port))
    async with asyncio.timeout(PATIENCE):
        while not leg.session.media.packets_received:
            await asyncio.sleep(0)
    peer.answer(invite, 200, body=sdp(port=ears[1].port))
    await peer.expect("ACK")
    await told(leg, Answered)
    await ears[1].hear()
    await ears[0].hears_no_more()


async def test_the_same_provisional_again_says_nothing_new(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    for _ in range(3):
        peer.answer(invite, 183, body=sdp())
    peer.answer(invite, 200, body=sdp())
    await peer.expect("ACK")
    assert (await told(leg, Progress)).early_media
    await told(leg, Answered)


async def test_of_forks_the_newest_is_heard_and_the_2xx_has_the_last_word(
    bench: Bench, peer: Peer, ears: tuple[Ear, Ear]
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, tag="one", body=sdp(port=ears[0].port))
    await heard_early(leg)
    await ears[0].hear()
    peer.answer(invite, 183, tag="two", body=sdp(port=ears[1].port, formats="8"))
    await heard_early(leg)
    await ears[1].hear()
    await ears[0].hears_no_more()
    peer.answer(invite, 200, tag="one")  # its answer stands in its 183
    assert (await peer.expect("ACK")).to_tag == "one"
    await told(leg, Answered)
    await ears[0].hear()
    await ears[1].hears_no_more()
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.audio.name == "PCMU"


async def test_what_an_update_changed_holds_after_a_200_without_sdp(
    bench: Bench, peer: Peer, ears: tuple[Ear, Ear]
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, headers=(*row("Require", "100rel"), *row("RSeq", "1")), body=sdp(port=ears[0].port))
    peer.answer(await peer.expect("PRACK"), 200)
    await ears[0].hear()
    peer.ask(invite, "UPDATE", body=sdp(port=ears[1].port))
    await peer.expect("200 UPDATE")
    await ears[1].hear()
    peer.answer(invite, 200)
    await peer.expect("ACK")
    await answered(leg)
    await ears[0].hears_no_more()
    await ears[1].hear()


async def test_an_update_before_any_answer_is_refused(bench: Bench, peer: Peer) -> None:
    await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    peer.ask(invite, "UPDATE", body=sdp())
    await peer.expect("491 UPDATE")


@pytest.mark.parametrize("body", [sdp(address="10.9.8.7"), sdp(formats="111"), b"junk"])
async def test_early_sdp_that_cannot_be_used_is_left_to_the_2xx(bench: Bench, peer: Peer, body: bytes) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=body)
    assert not (await told(leg, Progress)).early_media
    peer.accept(invite)
    await peer.expect("ACK")
    await told(leg, Answered)


async def test_a_refused_address_in_early_sdp_ends_a_call_that_a_bare_200_answers(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(address="10.9.8.7"))
    peer.answer(invite, 200)
    await peer.expect("ACK")
    await peer.expect("BYE")
    assert "DIAL_SIP_ALLOW" in ((await outcome_of(leg)).detail or "")


async def test_a_name_in_early_sdp_is_told_once_it_is_known(bench: Bench, peer: Peer, ears: tuple[Ear, Ear]) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(address="localhost", port=ears[0].port))
    assert not (await told(leg, Progress)).early_media
    assert (await told(leg, Progress)).early_media
    await ears[0].hear()


async def test_a_leg_that_is_refused_or_left_early_returns_everything(
    bench: Bench, peer: Peer, ears: tuple[Ear, Ear]
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(port=ears[0].port))
    await ears[0].hear()
    peer.answer(invite, 486)
    await peer.expect("ACK")
    await outcome_of(leg)
    assert (bench.media.ports.used, bench.phone.calls) == (0, {})
    other = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(port=ears[1].port))
    await ears[1].hear()
    other.hang_up()
    assert bench.media.ports.used == 0
    await ears[1].hears_no_more()


async def test_when_the_call_goes_elsewhere_nothing_more_is_said_to_whom_it_left(
    bench: Bench, peer: Peer, ears: tuple[Ear, Ear]
) -> None:
    other = await Peer().open()
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(port=ears[0].port))
    await heard_early(leg)
    peer.answer(invite, 302, headers=row("Contact", other.uri))
    await other.expect("INVITE")
    await told(leg, Moved)
    await ears[0].hears_no_more()
    other.close()


async def test_silence_before_the_answer_is_no_fault_and_after_it_is(new_bench: NewBench, peer: Peer) -> None:
    bench = await new_bench(timing=Timing())
    bench.media.timeout = 0.1
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        rtp.setblocking(False)
        ear = Ear(rtp)
        peer.answer(invite, 183, body=sdp(port=ear.port))
        packet = await ear.hear()
        assert leg.session is not None
        rtp.sendto(packet, ("127.0.0.1", leg.session.media.local_port))
        for _ in range(15):  # 0.3 s of it
            await ear.hear()
        assert (await told(leg, Progress)).early_media
        assert leg.signals.empty()
        peer.answer(invite, 200)
        await peer.expect("ACK")
        await told(leg, Answered)
        await told(leg, Silence)
    leg.hang_up()
    await told(leg, Ended)
