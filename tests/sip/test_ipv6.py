"""Calls over IPv6, from the socket up: Via, Contact, SDP, RTP and RTCP, over UDP and TCP."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from app.calls.address import AddressPolicy
from app.calls.outcome import Reason
from app.media.packet import Packet, pack
from app.sip.message import SipMessage
from app.sip.transaction import Timing
from tests.kit.ports import free_ports
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.peer import PATIENCE, Peer, sdp

HOME = "::1"


@pytest.fixture
async def bench6(new_bench: NewBench) -> Bench:
    policy = AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("::1/128"),))
    return await new_bench(host=HOME, policy=policy, ports=free_ports(40, HOME), timing=Timing())


@pytest.fixture
async def peer6() -> AsyncIterator[Peer]:
    made = await Peer(host=HOME).open()
    yield made
    made.close()


@pytest.fixture
def media() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The peer's RTP and RTCP."""
    pair = tuple(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
    for one in pair:
        one.setblocking(False)
        one.bind((HOME, 0))
    yield pair  # type: ignore[misc] # two of them
    for one in pair:
        one.close()


async def next_of(one: socket.socket) -> tuple[bytes, tuple[str, int]]:
    """The next packet and where it came from (uvloop has no sock_recvfrom)."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(one.fileno(), readable.set)
    try:
        await asyncio.wait_for(readable.wait(), PATIENCE)
    finally:
        loop.remove_reader(one.fileno())
    data, source = one.recvfrom(2048)
    return data, source[:2]


async def test_everything_we_say_of_ourselves_is_ipv6(bench6: Bench, peer6: Peer) -> None:
    leg = await bench6.call(peer6.uri, caller="<sip:alice@[::1]>")
    invite = await peer6.expect("INVITE")
    port = bench6.address[1]
    assert invite.request_uri == peer6.uri == f"sip:bob@[::1]:{peer6.port}"
    assert invite.via_top is not None and invite.via_top.sent_by == f"[::1]:{port}"
    assert invite.first("contact") == f"<sip:alice@[::1]:{port}>"
    offer = invite.content.decode()
    assert "c=IN IP6 ::1\r\n" in offer and " IN IP6 ::1\r\ns=" in offer
    assert peer6.sources[-1] == (HOME, port)
    peer6.answer(invite, 603)
    assert (await outcome_of(leg)).reason is Reason.DECLINED


async def test_rtp_and_rtcp_flow_and_the_peers_requests_find_the_dialog(
    bench6: Bench, peer6: Peer, media: tuple[socket.socket, socket.socket]
) -> None:
    rtp, rtcp = media
    leg = await bench6.call(peer6.uri)
    invite = await peer6.expect("INVITE")
    control = b"a=rtcp:%d IN IP6 ::1\r\n" % rtcp.getsockname()[1]
    body = sdp(address=HOME, port=rtp.getsockname()[1]) + control
    peer6.answer(invite, 200, body=body)
    ack = await peer6.expect("ACK")
    assert ack.request_uri == f"sip:peer@[::1]:{peer6.port}"
    await answered(leg)
    data, source = await next_of(rtp)
    assert (len(data), source) == (172, (HOME, invite.sdp().port))
    for sequence in range(3):
        rtp.sendto(pack(Packet(0, False, sequence, 160 * sequence, 7, b"\xff" * 160)), source)
    async with asyncio.timeout(PATIENCE):
        while leg._media.packets_received < 3:
            await next_of(rtp)
    peer6.ask(invite, "INVITE", body=sdp(address=HOME, port=rtp.getsockname()[1], direction="recvonly") + control)
    answer = await peer6.expect("200 INVITE")
    assert b"c=IN IP6 ::1" in answer.content and b"a=sendonly" in answer.content
    peer6.ask(invite, "ACK", cseq=answer.cseq[0])
    leg.hang_up()
    farewell, source = await next_of(rtcp)
    assert (farewell[1], source) == (200, (HOME, invite.sdp().port + 1))  # a sender's report, with its goodbye
    peer6.answer(await peer6.expect("BYE"), 200)


async def test_over_tcp(bench6: Bench) -> None:
    heard: asyncio.Queue[SipMessage] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(SipMessage.decode(await reader.readuntil(b"a=sendrecv\r\n")))
        writer.close()

    server = await asyncio.start_server(serve, HOME, 0)
    port = server.sockets[0].getsockname()[1]
    await bench6.call(f"sip:bob@[::1]:{port};transport=tcp")
    invite = await asyncio.wait_for(heard.get(), PATIENCE)
    assert invite.first("contact") == f"<sip:alice@[::1]:{bench6.address[1]};transport=tcp>"
    server.close()


@pytest.mark.parametrize("uri", ["sip:bob@127.0.0.1:5060", "sip:bob@[::ffff:10.0.0.1]", "sip:bob@[fe80::1]"])
async def test_what_the_socket_or_the_policy_cannot_reach_is_refused(bench6: Bench, uri: str) -> None:
    assert (await bench6.refused(uri)).reason in (Reason.UNREACHABLE, Reason.ADDRESS_DENIED)
