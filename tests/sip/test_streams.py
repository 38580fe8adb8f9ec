"""TCP: calls on one connection, long INVITEs, keep-alives, and connections that fail."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Progress
from app.calls.status import Status
from app.sip.trace import WireMessage
from app.sip.transaction import Timing
from tests.kit.ports import free_port
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import PATIENCE, Peer, TcpPeer, sdp

LONG = "&".join(f"X-Long-{number}={'a' * 50}" for number in range(15))


@pytest.fixture
async def tcp() -> AsyncIterator[TcpPeer]:
    made = await TcpPeer().open()
    yield made
    made.close()


def uri(peer: TcpPeer | Peer, more: str = ";transport=tcp") -> str:
    return f"sip:bob@127.0.0.1:{peer.port}{more}"


async def test_a_whole_call_stays_on_one_connection(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    invite = await tcp.expect("INVITE")
    assert (invite.first("via") or "").startswith("SIP/2.0/TCP ")
    assert (invite.first("contact") or "").endswith(";transport=tcp>")
    tcp.answer(invite, 180)
    tcp.answer(invite, 200, body=sdp())
    await tcp.expect("ACK")
    answer = await answered(leg)
    assert answer.dialog["transport"] == "tcp"
    leg.hang_up()
    tcp.answer(await tcp.expect("BYE"), 200)
    assert tcp.connections == 1


async def test_a_bye_of_the_peer_comes_and_is_answered_on_the_same_connection(
    bench: Bench, tcp: TcpPeer, peer: Peer
) -> None:
    leg = await bench.call(uri(tcp))
    invite = await tcp.expect("INVITE")
    tcp.answer(invite, 200, body=sdp())
    await tcp.expect("ACK")
    await answered(leg)
    tcp.send(peer.request(invite, "BYE").replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))
    await tcp.expect("200 BYE")
    assert (await outcome_of(leg)).reason is Reason.CALLEE_HANGUP


async def test_an_invite_does_not_share_a_segment_with_the_ack_before_it(new_bench: NewBench, tcp: TcpPeer) -> None:
    """A peer that reads both at once may take the INVITE for something that the ACK's state does not expect."""
    left: dict[bytes, datetime] = {}

    def note(message: WireMessage) -> None:
        if message.direction == "out":
            left[message.data.split(b" ")[0]] = message.at

    bench = await new_bench(timing=Timing(), on_message=note)
    await bench.call(uri(tcp), username="alice", password="secret")
    tcp.headers = (("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),)
    tcp.answer(await tcp.expect("INVITE"), 401)
    await tcp.expect("ACK")
    await tcp.expect("INVITE")
    assert (left[b"INVITE"] - left[b"ACK"]).total_seconds() > 0.01


async def test_nothing_is_repeated_over_tcp(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    await tcp.expect("INVITE")
    assert (await outcome_of(leg)).reason is Reason.UNREACHABLE  # timer B
    assert tcp.inbox.empty()


async def test_a_port_that_nobody_listens_on_is_unreachable_at_once(bench: Bench, tcp: TcpPeer) -> None:
    tcp.close()
    outcome = await outcome_of(await bench.call(uri(tcp)))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.UNREACHABLE)
    assert str(tcp.port) in (outcome.detail or "")


async def test_a_connection_that_ends_before_any_answer_is_unreachable(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    await tcp.expect("INVITE")
    assert tcp.writer is not None
    tcp.writer.close()
    assert (await outcome_of(leg)).reason is Reason.UNREACHABLE


async def test_a_ringing_call_outlives_its_connection(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    invite = await tcp.expect("INVITE")
    tcp.answer(invite, 180)
    await told(leg, Progress)
    assert tcp.writer is not None
    tcp.writer.close()
    await tcp.writer.wait_closed()
    leg.hang_up()
    await tcp.expect("CANCEL")  # on a new one
    assert tcp.connections == 2


async def test_a_bare_contact_at_the_same_address_means_the_same_connection(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    invite = await tcp.expect("INVITE")
    answer = f"<sip:peer@127.0.0.1:{tcp.port}>".encode()
    full = answer.replace(b">", b";transport=tcp>")
    sent: list[bytes] = []
    send = tcp.send
    tcp.send = lambda data: sent.append(data) or send(data.replace(full, answer))  # type: ignore[method-assign, func-returns-value] # rewrites the Contact
    tcp.answer(invite, 200, body=sdp())
    await tcp.expect("ACK")
    await answered(leg)


async def test_a_ping_gets_its_pong(bench: Bench, tcp: TcpPeer) -> None:
    await bench.call(uri(tcp))
    invite = await tcp.expect("INVITE")
    tcp.send(b"\r\n\r\n")
    tcp.answer(invite, 180)
    tcp.answer(invite, 486)
    await tcp.expect("ACK")
    assert tcp.pongs == 1


async def test_the_connection_of_a_silent_call_is_kept_alive(
    bench: Bench, tcp: TcpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sip.stream._IDLE", 0.05)
    leg = await bench.call(uri(tcp))
    tcp.answer(await tcp.expect("INVITE"), 200, body=sdp())
    await tcp.expect("ACK")
    await answered(leg)
    await asyncio.wait_for(tcp.pinged.wait(), PATIENCE)
    leg.hang_up()
    await tcp.expect("BYE")
    assert tcp.connections == 1


async def test_a_connection_that_nobody_needs_is_closed(
    bench: Bench, tcp: TcpPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sip.stream._IDLE", 0.05)
    leg = await bench.call(uri(tcp))
    tcp.answer(await tcp.expect("INVITE"), 486)
    assert (await outcome_of(leg)).reason is Reason.BUSY
    await asyncio.wait_for(tcp.ended.wait(), PATIENCE)


async def test_a_stream_of_junk_is_cut_and_the_next_call_works(bench: Bench, tcp: TcpPeer) -> None:
    leg = await bench.call(uri(tcp))
    await tcp.expect("INVITE")
    tcp.send(b"GET / HTTP/1.1\r\n\r\n")
    assert (await outcome_of(leg)).reason is Reason.UNREACHABLE
    again = await bench.call(uri(tcp))
    tcp.answer(await tcp.expect("INVITE"), 486)
    assert (await outcome_of(again)).reason is Reason.BUSY


async def test_a_long_invite_tries_tcp_when_no_transport_was_written(bench: Bench) -> None:
    port = free_port()
    udp, tcp = await Peer().open(port), await TcpPeer().open(port)
    await bench.call(uri(udp, f"?{LONG}"))
    invite = await tcp.expect("INVITE")
    assert (invite.first("via") or "").startswith("SIP/2.0/TCP ")
    assert invite.request_uri == uri(udp, "")
    await udp.silence(bench.address)
    udp.close()
    tcp.close()


async def test_a_long_invite_falls_back_to_udp(bench: Bench, peer: Peer) -> None:
    await bench.call(uri(peer, f"?{LONG}"))
    invite = await peer.expect("INVITE")
    assert len(peer.raw[id(invite)]) > 1300
    assert (invite.first("via") or "").startswith("SIP/2.0/UDP ")


async def test_a_long_invite_stays_on_the_transport_that_was_written(bench: Bench) -> None:
    port = free_port()
    udp, tcp = await Peer().open(port), await TcpPeer().open(port)
    await bench.call(uri(udp, f";transport=udp?{LONG}"))
    await udp.expect("INVITE")
    assert tcp.connections == 0
    udp.close()
    tcp.close()
