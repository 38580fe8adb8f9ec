"""Keys that the peer presses: each press told once, by whichever ways it comes."""

import asyncio
import itertools
import socket
import struct

import pytest

from app.calls.ports import Pressed
from app.sip.keys import By, KeyPresses
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, told
from tests.sip.peer import Peer, sdp

Presses = list[tuple[str, By]]

_sequence = itertools.count(1)


def event(key: str, at: int) -> bytes:
    """The first packet of a press."""
    return struct.pack("!BBHIIBBH", 0x80, 0x80 | 101, next(_sequence), at, 4711, "0123456789*#ABCD".index(key), 10, 160)


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    return await new_bench(timing=Timing())  # no timer is tested here


@pytest.fixture
def presses() -> Presses:
    return []


@pytest.fixture
async def keys(presses: Presses) -> KeyPresses:
    return KeyPresses(lambda key, by: presses.append((key, by)))


async def test_each_way_alone_is_told(keys: KeyPresses, presses: Presses) -> None:
    keys.tone("9")
    keys.info("1")
    keys.info("1")
    keys.tone("1")  # an echo of what it said by INFO
    assert presses == [("9", "tone"), ("1", "info"), ("1", "info")]


async def test_the_beginning_of_a_tone_before_its_event_or_info_is_the_same_press(
    keys: KeyPresses, presses: Presses
) -> None:
    keys.tone("1")
    keys.event("1")
    keys.event("1")
    assert presses == [("1", "tone"), ("1", "rtp")]
    others: Presses = []
    more = KeyPresses(lambda key, by: others.append((key, by)))
    more.tone("1")
    more.info("2")
    assert others == [("1", "tone"), ("2", "info")]
    more.close()


async def test_the_event_is_told_of_a_press_that_comes_twice(keys: KeyPresses, presses: Presses) -> None:
    for key in "55":
        keys.event(key)
        keys.info(key, 0.16)
        keys.tone(key)
    assert presses == [("5", "rtp"), ("5", "rtp")]


async def test_an_info_that_overtakes_its_event_waits_for_it(keys: KeyPresses, presses: Presses) -> None:
    keys.event("0")
    keys.info("0")
    keys.info("7")
    assert presses == [("0", "rtp")]
    keys.event("7")
    assert presses == [("0", "rtp"), ("7", "rtp")]


async def test_an_info_without_an_event_is_told_after_a_while(keys: KeyPresses, presses: Presses) -> None:
    keys.event("0")
    keys.info("8")
    async with asyncio.timeout(10):
        while len(presses) < 2:
            await asyncio.sleep(0.01)
    assert presses == [("0", "rtp"), ("8", "info")]


async def test_the_first_press_may_come_by_info_before_its_event(keys: KeyPresses, presses: Presses) -> None:
    keys.info("3")
    keys.event("3")
    keys.event("3")
    assert presses == [("3", "info"), ("3", "rtp")]


async def test_a_long_press_by_both_ways_is_one(
    keys: KeyPresses, presses: Presses, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("app.sip.keys._now", lambda: now)
    keys.event("4")
    now = 1.9
    keys.info("4", 1.8)
    assert presses == [("4", "rtp")]
    now = 4.0
    keys.event("4")
    assert presses == [("4", "rtp"), ("4", "rtp")]


async def test_what_waits_is_forgotten_at_the_end(keys: KeyPresses, presses: Presses) -> None:
    keys.event("0")
    keys.info("8")
    keys.close()
    await asyncio.sleep(0.25)
    assert presses == [("0", "rtp")]


@pytest.mark.parametrize(
    ("kind", "body", "key"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160", "5"),
        ("Application/DTMF-Relay; charset=utf-8", b"signal = *\nDuration = 250\n", "*"),
        ("application/dtmf-relay", b"Signal=#", "#"),
        ("application/dtmf-relay", b"Signal=11\r\nDuration=100\r\n", "#"),
        ("application/dtmf-relay", b"Signal=a\r\n", "A"),
        ("application/dtmf", b"5", "5"),
        ("application/dtmf", b" 10 \r\n", "*"),
        ("application/dtmf", b"Signal=7\r\nDuration=160\r\n", "7"),
    ],
)
async def test_info_is_a_signal(bench: Bench, peer: Peer, kind: str, body: bytes, key: str) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    peer.ask(invite, "INFO", body=body, kind=kind)
    await peer.expect("200 INFO")
    pressed = await told(leg, Pressed)
    assert (pressed.key, pressed.by, leg.get_dtmf(2)) == (key, "info", key)


@pytest.mark.parametrize("body", [b"Signal=16\r\n", b"Signal=55\r\n", b"Signal=", b"Signal=e", b"Duration=160"])
async def test_what_is_no_key_is_taken_and_forgotten(bench: Bench, peer: Peer, body: bytes) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    peer.ask(invite, "INFO", body=body, kind="application/dtmf-relay")
    await peer.expect("200 INFO")
    assert leg.signals.empty()


async def test_events_are_signals_and_their_info_is_not_told_again(bench: Bench, peer: Peer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        leg = await bench.call(peer.uri)
        invite = await peer.expect("INVITE")
        body = sdp(port=rtp.getsockname()[1], formats="0 101") + b"a=rtpmap:101 telephone-event/8000\r\n"
        peer.answer(invite, 200, body=body)
        await peer.expect("ACK")
        await answered(leg)
        assert leg.session is not None
        for number, key in enumerate("11#"):
            rtp.sendto(event(key, 4000 * (number + 1)), ("127.0.0.1", leg.session.media.local_port))
            pressed = await told(leg, Pressed)
            assert (pressed.key, pressed.by) == (key, "rtp")
            peer.ask(invite, "INFO", body=f"Signal={key}\r\nDuration=160\r\n".encode(), kind="application/dtmf-relay")
            await peer.expect("200 INFO")
        assert leg.signals.empty()
        assert leg.get_dtmf(5) == "11#"
