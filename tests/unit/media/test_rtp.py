"""Sessions on loopback: real sockets, the real ticker, a peer that does what peers do."""

import asyncio
import os
import random
from collections.abc import Callable

import pytest

from app.calls.errors import NoFreePort
from app.media.packet import Packet, pack
from app.media.pyvoip import PayloadType
from app.media.rtcp import SenderInfo, compound, parse
from app.media.rtp import RtpPool, RtpSession
from app.media.ticker import Ticker

ASSOC = {0: PayloadType.PCMU, 101: PayloadType.EVENT}


def talk(session: RtpSession, peer, *, send: bool = True, receive: bool = True):
    leg = session.connect(ASSOC, peer.host, peer.port, send=send, receive=receive)
    leg.start()
    return leg


async def test_comfort_flows_to_the_negotiated_address_once_started(session, peer):
    talk(session, peer)
    packets = [await peer.hear() for _ in range(3)]
    assert {packet.payload for packet in packets} == {b"\xff" * 160}
    assert packets[0].marker


async def test_comfort_keeps_time(session, peer):
    talk(session, peer)
    loop = asyncio.get_running_loop()
    await peer.hear()
    begun = loop.time()
    for _ in range(25):
        await peer.hear()
    assert 0.28 < loop.time() - begun < 5.0


async def test_what_the_peer_says_is_read(session, peer, beats):
    leg = talk(session, peer)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    assert leg.read(160) != bytes(320)


async def test_keys_reach_the_caller_of_open(pool, peer):
    pressed: asyncio.Queue[str] = asyncio.Queue()
    session = pool.open(dtmf=pressed.put_nowait)
    talk(session, peer)
    for payload in (bytes((7, 10, 0, 160)), bytes((7, 0x8A, 1, 64)), bytes((7, 0x8A, 1, 64))):
        peer.say(session, payload, kind=101, timestamp=8000)
    assert await asyncio.wait_for(pressed.get(), 5) == "7"
    peer.say(session, bytes((8, 10, 0, 160)), kind=101, timestamp=16000)
    assert await asyncio.wait_for(pressed.get(), 5) == "8"
    session.stop()


async def test_a_key_that_is_sent_is_heard_as_one_by_another_session(pool):
    pressed: asyncio.Queue[str] = asyncio.Queue()
    ours, theirs = pool.open(dtmf=None), pool.open(dtmf=pressed.put_nowait)
    leg = ours.connect(ASSOC, "127.0.0.1", theirs.local_port, send=True, receive=True)
    theirs.connect(ASSOC, "127.0.0.1", ours.local_port, send=True, receive=True).start()
    leg.start()
    for key in "1*#":
        assert leg.send_digit(key, milliseconds=60)
    assert [await asyncio.wait_for(pressed.get(), 5) for _ in range(3)] == list("1*#")
    ours.stop()
    theirs.stop()
    assert pressed.empty()


async def test_strangers_are_neither_heard_nor_sent_to(session, peer, make_peer, beats):
    talk(session, peer)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    near, far = make_peer(ssrc=1), make_peer("127.0.0.2", ssrc=2)
    for _ in range(20):
        near.say(session)
        far.socket.sendto(b"\x80\0" + bytes(170), ("127.0.0.1", session.local_port))
    peer.say(session)
    await beats.until(lambda: session.packets_received == 2)
    await beats.passed(3)
    assert (near.heard(), far.heard()) == ([], [])


async def test_strangers_from_elsewhere_are_counted_while_the_peer_is_silent(session, peer, make_peer, beats):
    talk(session, peer)
    far = make_peer("127.0.0.2")
    for sequence in range(20):
        far.socket.sendto(pack(Packet(0, False, sequence, 0, 5, bytes(160))), ("127.0.0.1", session.local_port))
    await beats.until(lambda: session.counters.strangers == 20)
    assert session.packets_received == 0
    assert far.heard() == []
    assert await peer.hear()


async def test_a_peer_behind_nat_is_followed_to_its_port(session, peer, make_peer, beats):
    talk(session, peer)
    await peer.hear()
    outside = make_peer()
    for _ in range(5):
        outside.say(session)
    await outside.hear()
    peer.heard()
    await beats.passed(3)
    assert peer.heard() == []


async def test_the_negotiated_peer_wins_its_call_back(session, peer, make_peer, beats):
    talk(session, peer)
    thief = make_peer(ssrc=2)
    for _ in range(5):
        thief.say(session)
    await thief.hear()
    peer.heard()
    peer.say(session)
    await peer.hear()
    thief.heard()
    await beats.passed(3)
    assert thief.heard() == []


async def test_junk_is_counted_and_kills_nothing(session, peer, beats):
    talk(session, peer)
    chance = random.Random(4)
    for length in range(1, 40):
        peer.shout(b"\x00" + chance.randbytes(length), session.local_port)
        peer.shout(b"\x00" + chance.randbytes(length), session.local_port + 1)
    peer.shout(b"", session.local_port)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    await beats.until(lambda: session.counters.malformed == 79)


async def test_on_hold_nothing_leaves_and_after_it_the_clock_has_gone_on(session, peer, beats):
    talk(session, peer)
    first = await peer.hear()
    session.update(peer.host, peer.port, send=False, receive=False)
    peer.heard()
    await beats.passed(5)
    assert peer.heard() == []
    session.update(peer.host, peer.port, send=True, receive=True)
    after = await peer.hear()
    assert after.ssrc == first.ssrc
    assert after.marker
    assert (after.timestamp - first.timestamp) & 0xFFFFFFFF >= 5 * 160


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "media.example"])
async def test_an_address_that_is_none_is_sent_nothing(session, peer, beats, address):
    session.connect(ASSOC, address, peer.port, send=True, receive=True).start()
    await beats.passed(3)
    assert (session.counters.sent, session.counters.unsent) == (0, 0)


async def test_port_zero_is_sent_nothing(session, beats):
    session.connect(ASSOC, "127.0.0.1", 0, send=True, receive=True).start()
    await beats.passed(3)
    assert (session.counters.sent, session.counters.unsent) == (0, 0)


async def test_a_peer_that_moved_is_latched_anew(session, peer, make_peer, beats):
    talk(session, peer)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    moved = make_peer("127.0.0.3", ssrc=9)
    session.update(moved.host, moved.port, send=True, receive=True)
    await moved.hear()
    moved.socket.sendto(pack(Packet(0, False, 1, 0, 9, bytes(160))), ("127.0.0.1", session.local_port))
    await beats.until(lambda: session.packets_received == 2)
    peer.heard()
    peer.say(session)
    await beats.passed(3)
    assert session.packets_received == 2
    assert peer.heard() == []


async def test_a_second_answer_replaces_what_was_negotiated_and_keeps_the_leg(session, peer, make_peer):
    leg = talk(session, peer)
    first = await peer.hear()
    other = make_peer()
    assert session.connect({8: PayloadType.PCMA}, other.host, other.port, send=True, receive=True) is leg
    packet = await other.hear()
    assert (packet.payload_type, packet.payload, packet.ssrc) == (8, b"\xd5" * 160, first.ssrc)


async def test_silence_after_speech_is_reported_once(ports, ticker, peer, beats):
    session = RtpPool("127.0.0.1", ports, 0.1, ticker).open()
    reports: list[float] = []
    loop = asyncio.get_running_loop()
    session.on_silence = lambda: reports.append(loop.time())
    talk(session, peer)
    said = loop.time()
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    await beats.until(lambda: bool(reports))
    assert reports[0] - said > 0.09
    peer.say(session)
    await beats.until(lambda: session.packets_received == 2)
    await beats.passed(8)
    assert len(reports) == 1
    session.stop()


async def test_a_peer_that_never_spoke_is_not_reported_nor_one_that_holds(ports, ticker, peer, beats):
    session = RtpPool("127.0.0.1", ports, 0.15, ticker).open()
    reports: list[str] = []
    session.on_silence = lambda: reports.append("silent")
    talk(session, peer)
    await beats.passed(9)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    session.update(peer.host, peer.port, send=True, receive=False)
    await beats.passed(9)
    assert reports == []
    session.update(peer.host, peer.port, send=True, receive=True)
    await beats.passed(1)
    assert reports == []
    await beats.until(lambda: bool(reports))
    session.stop()


async def test_rtcp_alone_is_a_sign_of_life(ports, ticker, peer, beats):
    session = RtpPool("127.0.0.1", ports, 0.3, ticker).open()
    reports: list[str] = []
    session.on_silence = lambda: reports.append("silent")
    talk(session, peer)
    for number in range(5):
        peer.shout(compound(7, "peer", sender=None, block=None), session.local_port + 1)
        await beats.until(lambda expected=number + 1: session.counters.rtcp_received == expected)
        await beats.passed(4)
    assert reports == []
    await beats.until(lambda: bool(reports))
    session.stop()


async def test_rtcp_of_strangers_is_no_sign_of_life(session, peer, make_peer, beats):
    talk(session, peer)
    far = make_peer("127.0.0.2")
    far.socket.sendto(compound(7, "x", sender=None, block=None), ("127.0.0.1", session.local_port + 1))
    await beats.until(lambda: session.counters.strangers == 1)
    assert session.counters.rtcp_received == 0


async def test_we_report_how_the_peer_is_received_and_say_bye(session, pool, make_peer, beats):
    rtp, control = neighbours(make_peer)
    talk(session, rtp)
    rtp.say(session)
    control.shout(compound(rtp.ssrc, "peer", sender=SenderInfo(1.0, 0, 1, 160), block=None), session.local_port + 1)
    await beats.until(lambda: session.packets_received == 1 and session.counters.rtcp_received == 1)
    session.stop()
    data = await asyncio.get_running_loop().sock_recv(control.socket, 2048)
    heard = parse(data)
    assert heard is not None
    assert heard.bye
    assert data[1] == 200
    assert int.from_bytes(data[28:32], "big") == rtp.ssrc


def neighbours(make_peer: Callable):
    """A peer whose next port is free, and a peer on that port."""
    for _ in range(50):
        rtp = make_peer()
        control = make_peer()
        wanted = (rtp.host, rtp.port + 1)
        control.socket.close()
        control.socket = type(control.socket)(rtp.socket.family, rtp.socket.type)
        try:
            control.socket.bind(wanted)
        except OSError:
            continue
        control.socket.setblocking(False)
        return rtp, control
    raise RuntimeError("no two free ports side by side")


async def test_a_closed_port_of_the_peer_stops_nobody(session, peer, beats):
    talk(session, peer)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    peer.socket.close()  # each packet that leaves now brings back an ICMP error
    goal = session.counters.sent + session.counters.unsent + 10
    await beats.until(lambda: session.counters.sent + session.counters.unsent >= goal)
    session.update(peer.host, 9, send=True, receive=True)
    await beats.passed(3)


async def test_ipv6_works_the_same(ports, ticker, make_peer, beats):
    session = RtpPool("::1", ports, 30.0, ticker).open()
    peer = make_peer("::1")
    session.connect(ASSOC, "0:0:0:0:0:0:0:1", peer.port, send=True, receive=True).start()
    await peer.hear()
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    await peer.hear()
    session.stop()


async def test_the_ipv6_wildcard_serves_ipv4_peers(ports, ticker, peer, beats):
    session = RtpPool("::", ports, 30.0, ticker).open()
    talk(session, peer)
    peer.say(session)
    await beats.until(lambda: session.packets_received == 1)
    await peer.hear()
    session.stop()


async def test_stop_returns_both_ports_at_once_from_every_state(pool, peer):
    states: list[Callable[[RtpSession], object]] = [
        lambda session: None,
        lambda session: session.start(),
        lambda session: session.connect(ASSOC, peer.host, peer.port, send=True, receive=True),
        lambda session: talk(session, peer),
        lambda session: talk(session, peer, send=False),
    ]
    for enter in states:
        session = pool.open()
        enter(session)
        session.stop()
        session.stop()
        assert pool.ports.idle == 10


async def test_a_late_answer_after_the_stop_harms_nothing(pool, peer):
    session = pool.open()
    session.stop()
    leg = talk(session, peer)
    session.update(peer.host, peer.port, send=True, receive=True)
    leg.stop()
    assert pool.ports.idle == 10


async def test_twenty_ports_serve_five_hundred_calls_and_none_stays_bound(pool, ticker, peer):
    files = len(os.listdir("/proc/self/fd"))
    chance = random.Random(2)
    open_now: list[RtpSession] = []
    for _ in range(500):
        if len(open_now) == 10:
            with pytest.raises(NoFreePort):
                pool.open()
            for session in chance.sample(open_now, chance.randint(1, 10)):
                session.stop()
                open_now.remove(session)
        session = pool.open()
        if chance.random() < 0.7:
            talk(session, peer)
        open_now.append(session)
    for session in open_now:
        session.stop()
    assert pool.ports.idle == 10
    assert len(os.listdir("/proc/self/fd")) == files


async def test_a_member_of_media_port_is_what_signalling_asks_for(session):
    from app.sip import media_port

    for protocol, made in ((media_port.MediaSession, session), (media_port.MediaFactory, RtpPool)):
        names = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
        assert [name for name in names if not name.startswith("_") and not hasattr(made, name)] == []


async def test_a_session_without_a_ticker_of_its_own_gets_one(ports, peer):
    session = RtpPool("127.0.0.1", ports, 30.0).open()
    talk(session, peer)
    await peer.hear()
    session.stop()


def test_a_ticker_costs_nothing_before_its_first_member():
    assert Ticker().running is False
