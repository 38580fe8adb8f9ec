"""Two legs bridged on loopback: real sockets, the real ticker, peers that a test scripts packet by packet."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from app.media.codec import decode, encode
from app.media.dtmf import EVENT
from app.media.packet import Packet, pack
from app.media.pyvoip import PayloadType
from app.media.rtp import RtpPool, RtpSession
from app.media.srtp import Cipher

PCMU, PCMA, EVENTS = PayloadType.PCMU, PayloadType.PCMA, PayloadType.EVENT
COMFORT = b"\xff" * 160
Assoc = dict[int, PayloadType]


@pytest.fixture
async def sides(pool: RtpPool, make_peer):
    """Makes a leg with its peer, both having heard each other."""
    opened: list[RtpSession] = []

    async def make(assoc: Assoc, *, dtmf: Callable[[str], None] | None = None):
        session, peer = pool.open(dtmf=dtmf), make_peer(ssrc=len(opened) + 1)
        opened.append(session)
        session.connect(assoc, peer.host, peer.port, send=True, receive=True).start()
        await peer.hear()
        return session, peer

    yield make
    for session in opened:
        session.stop()


async def hear(peer, wanted: Callable[[Packet], bool], count: int = 1) -> list[Packet]:
    """The next packets that are wanted; what comes before them is comfort."""
    found: list[Packet] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            packet = await peer.hear()
            if wanted(packet):
                found.append(packet)
    return found


def tone(hertz: int, packets: int) -> np.ndarray:
    return 9000 * np.sin(2 * np.pi * hertz * np.arange(160 * packets) / 8000)


def noise_ratio(heard: bytes, said: np.ndarray) -> float:
    """dB; the delay between them is looked for."""
    got = np.frombuffer(heard, "<i2").astype(float)
    return 10 * np.log10(np.sum(said**2) / np.sum((got - said) ** 2))


async def say(peer, session: RtpSession, payloads: list[bytes], kind: int, listener) -> list[Packet]:
    """Say them at their pace, and what the other peer hears of it."""
    heard: list[Packet] = []
    for payload in payloads:
        peer.say(session, payload, kind=kind)
        heard += await hear(listener, lambda packet: len(set(packet.payload)) > 1)
    return heard


@pytest.mark.parametrize(
    ("one", "other", "exact"),
    [({0: PCMU}, {0: PCMU}, True), ({8: PCMA}, {8: PCMA}, True), ({0: PCMU}, {8: PCMA}, False)],
    ids=["PCMU", "PCMA", "PCMU and PCMA"],
)
async def test_each_hears_the_other_as_well_as_g711_can(sides, one: Assoc, other: Assoc, exact: bool) -> None:
    (a, alice), (b, bob) = await sides(one), await sides(other)
    a.bridge(b)
    for (session, peer, mine), (listener, theirs) in (((a, alice, one), (bob, other)), ((b, bob, other), (alice, one))):
        (kind, codec), (heard_kind, heard_codec) = next(iter(mine.items())), next(iter(theirs.items()))
        said = tone(1004, 20)
        payload = encode(codec, said.astype("<i2").tobytes())
        packets = await say(peer, session, [payload[at : at + 160] for at in range(0, 3200, 160)], kind, listener)
        assert {packet.payload_type for packet in packets} == {heard_kind}
        heard = b"".join(packet.payload for packet in packets)
        if exact:
            assert heard == payload
        plain = encode(heard_codec, decode(codec, payload))  # both of G.711's laws, one after the other
        assert abs(noise_ratio(decode(heard_codec, heard), said) - noise_ratio(decode(heard_codec, plain), said)) < 0.5
        assert all((y.sequence - x.sequence) & 0xFFFF == 1 for x, y in pairwise(packets))


async def test_a_spoken_digit_string_of_events_arrives_under_the_others_number(sides) -> None:
    pressed: list[str] = []
    (a, alice), (_, bob) = first, second = (
        await sides({0: PCMU, 101: EVENTS}, dtmf=pressed.append),
        await sides({0: PCMU, 96: EVENTS}),
    )
    a.bridge(second[0])
    del first
    for key in (1, 2, 3, 4, 11):
        for number in range(5):
            payload = EVENT.pack(key, 0x8A if number > 1 else 10, 160 * min(number + 1, 3))
            alice.say(a, payload, kind=101, timestamp=key * 8000, marker=number == 0)
        packets = await hear(bob, lambda packet: packet.payload_type == 96, 5)
        assert {packet.payload[0] for packet in packets} == {key}
        assert len({packet.timestamp for packet in packets}) == 1
    assert "".join(pressed) == "1234#"


async def test_a_peer_without_events_hears_the_tones(sides) -> None:
    (a, alice), (b, bob) = await sides({0: PCMU, 101: EVENTS}), await sides({0: PCMU})
    a.bridge(b)
    alice.say(a, EVENT.pack(5, 10, 160), kind=101)
    packets = await hear(bob, lambda packet: packet.payload != COMFORT, 6)
    spectrum = np.abs(np.fft.rfft(np.frombuffer(b"".join(decode(PCMU, p.payload) for p in packets), "<i2")))
    peaks = np.argsort(spectrum)[-2:] * 8000 / (160 * len(packets))
    assert sorted(peaks) == pytest.approx([770, 1336], abs=10)


async def test_tones_in_audio_are_told_and_no_more_after_an_event(sides, beats) -> None:
    pressed: list[str] = []
    told: asyncio.Queue[str] = asyncio.Queue()
    session, peer = await sides({0: PCMU, 101: EVENTS}, dtmf=pressed.append)
    session.on_tone = told.put_nowait
    session.listen_for_tones(True)
    payload = encode(PCMU, (tone(770, 5) + tone(1336, 5)).astype("<i2").tobytes()) + COMFORT * 5
    for at in range(0, len(payload), 160):
        peer.say(session, payload[at : at + 160])
    assert await asyncio.wait_for(told.get(), 5) == "5"
    peer.say(session, EVENT.pack(5, 10, 160), kind=101)
    await beats.until(lambda: pressed == ["5"])
    assert session.taps == ()
    session.listen_for_tones(True)
    assert session.taps == ()


async def test_srtp_on_one_side_is_nothing_to_the_other(sides) -> None:
    ours, theirs = bytes(range(30)), bytes(range(30, 60))
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    a.secure((ours, theirs))
    cipher = Cipher(theirs, ours)
    a.bridge(b)
    for number in range(5):
        packet = Packet(0, False, 500 + number, number * 160, 9, bytes((number,)) * 160)
        alice.socket.sendto(cipher.hide(pack(packet)), ("127.0.0.1", a.local_port))
        assert (await hear(bob, lambda packet: packet.payload != COMFORT))[0].payload == packet.payload
    alice.heard()
    bob.say(b, b"\x33" * 160)
    while True:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(alice.socket, 2048), 5)
        plain = cipher.show(data)
        assert plain is not None
        if plain[12:] == b"\x33" * 160:
            break


async def test_hold_and_resume(sides, beats) -> None:
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    a.bridge(b)
    alice.say(a)
    (before,) = await hear(bob, lambda packet: packet.payload != COMFORT)
    b.update(bob.host, bob.port, send=False, receive=False)
    bob.heard()
    for _ in range(5):
        alice.say(a)
        await beats.passed(1)
    assert bob.heard() == []
    b.update(bob.host, bob.port, send=True, receive=True)
    alice.say(a)
    after = await bob.hear()
    assert after.ssrc == before.ssrc
    assert (after.sequence - before.sequence) & 0xFFFF <= 3
    assert 3 * 160 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 8000


async def test_a_codec_changed_by_the_other_side_is_spoken_from_then_on(sides) -> None:
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    a.bridge(b)
    alice.say(a)
    await hear(bob, lambda packet: packet.payload != COMFORT)
    b.connect({8: PCMA}, bob.host, bob.port, send=True, receive=True)
    alice.say(a)
    (packet,) = await hear(bob, lambda packet: packet.payload[:4] not in (b"\xff" * 4, b"\xd5" * 4))
    assert packet.payload_type == 8
    assert packet.payload == encode(PCMA, decode(PCMU, b"\x20" * 160))


async def test_silence_follows_when_nothing_comes_and_when_the_other_is_gone(sides) -> None:
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    a.bridge(b)
    alice.say(a)
    (last,) = await hear(bob, lambda packet: packet.payload != COMFORT)
    silence = [await bob.hear() for _ in range(3)]
    assert {packet.payload for packet in silence} == {COMFORT}
    assert silence[0].marker
    assert all(0 < (y.timestamp - x.timestamp) & 0xFFFFFFFF < 8000 for x, y in pairwise([last, *silence]))
    a.stop()
    assert (b.inflow, b.outflow) == (None, None)
    bob.heard()
    assert (await bob.hear()).payload == COMFORT


async def test_a_sound_is_heard_on_its_leg_alone(sides) -> None:
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    a.bridge(b)
    playing = b.play(np.full(1600, 5000, "<i2").tobytes(), times=0)
    (played,) = await hear(bob, lambda packet: packet.payload != COMFORT)
    alice.say(a, b"\x77" * 160)
    bob.say(b, b"\x66" * 160)
    assert (await hear(alice, lambda packet: packet.payload != COMFORT))[0].payload == b"\x66" * 160
    assert {(await bob.hear()).payload for _ in range(5)} == {played.payload}
    playing.stop()
    assert await playing.done is False
    for _ in range(3):
        alice.say(a, b"\x77" * 160)
    assert (await hear(bob, lambda packet: packet.payload == b"\x77" * 160, 3))[0].marker


async def test_what_is_played_before_media_waits_for_it(pool: RtpPool, peer) -> None:
    session = pool.open()
    playing = session.play(np.full(320, 5000, "<i2").tobytes())
    await asyncio.sleep(0.05)
    assert not playing.done.done()
    session.connect({0: PCMU}, peer.host, peer.port, send=True, receive=True).start()
    assert (await peer.hear()).payload != COMFORT
    assert await asyncio.wait_for(playing.done, 5) is True
    session.stop()
    assert await session.play(b"\0\0").done is False
    assert await session.press("1").done is False
    session.bridge(session)
    session.part()
    session.listen_for_tones(True)


async def test_what_strangers_left_in_the_queue_is_not_heard_by_the_other(sides, make_peer, pool) -> None:
    """The socket is connected at the peer's first packet; what had come until then lies in its queue."""
    (b, bob), peer, stranger = await sides({0: PCMU}), make_peer(ssrc=50), make_peer("127.0.0.2", ssrc=51)
    a = pool.open()
    a.connect({0: PCMU}, peer.host, peer.port, send=True, receive=True).start()
    a.bridge(b)
    peer.say(a, b"\x11" * 160)
    for _ in range(50):
        stranger.socket.sendto(pack(Packet(0, False, 1, 1, 1, b"\x22" * 160)), ("127.0.0.1", a.local_port))
    peer.say(a, b"\x12" * 160)
    heard = await hear(bob, lambda packet: packet.payload != COMFORT, 2)
    assert [packet.payload[0] for packet in heard] == [0x11, 0x12]
    assert a.counters.strangers == 50
    a.stop()


async def test_who_joins_another_leaves_the_first(sides) -> None:
    (a, _), (b, _), (c, _) = await sides({0: PCMU}), await sides({0: PCMU}), await sides({0: PCMU})
    a.bridge(b)
    a.bridge(c)
    assert (b.inflow, b.outflow) == (None, None)
    b.overhear(a)
    assert (c.inflow, c.outflow, a.inflow, b.outflow) == (None, None, None, None)
    assert b.inflow is a.outflow is not None


async def test_who_talks_over_a_bridge_is_not_silent_however_long(sides, pool: RtpPool) -> None:
    pool.timeout = 0.8
    (a, alice), (b, bob) = await sides({0: PCMU}), await sides({0: PCMU})
    told: list[str] = []
    a.on_silence, b.on_silence = (lambda: told.append("a")), (lambda: told.append("b"))
    a.bridge(b)
    ends = asyncio.get_running_loop().time() + 3 * pool.timeout
    while asyncio.get_running_loop().time() < ends:
        for peer, session, listener in ((alice, a, bob), (bob, b, alice)):
            peer.say(session, b"\x55" * 160)
            await hear(listener, lambda packet: set(packet.payload) == {0x55})
    assert told == []
    async with asyncio.timeout(5):
        while len(told) < 2:  # and now both are
            await alice.hear()
    assert sorted(told) == ["a", "b"]
