"""The service bound to ::1: a dial request to an IPv6 literal, from HTTP to RTP and back to the callbacks."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from app.media.packet import Packet, pack, unpack
from tests.kit import tshark
from tests.kit.receiver import Receiver
from tests.kit.service import Customer, running_service
from tests.sip.peer import PATIENCE, Peer, sdp

HOME = "::1"


@pytest.fixture
async def customer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Customer]:
    with running_service(tmp_path_factory.mktemp("ipv6"), DIAL_SIP_HOST=HOME) as service:
        async with service.customer() as customer:
            yield customer


async def test_a_call_over_ipv6_is_placed_heard_ended_and_told(customer: Customer, app: Receiver) -> None:
    peer = await Peer(host=HOME).open()
    media = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    media.setblocking(False)
    media.bind((HOME, 0))
    try:
        placed = await customer.dial({"callerId": "bob", "sip": [{"uri": peer.uri, "statusCallback": app.url}]})
        invite = await peer.expect("INVITE")
        here = f"[::1]:{customer.service.sip_port}"
        assert invite.via_top is not None and invite.via_top.sent_by == here
        assert invite.first("contact") == f"<sip:bob@{here}>"
        assert "sip:bob@[::1]" in (invite.first("from") or "")
        peer.answer(invite, 180)
        peer.answer(invite, 200, body=sdp(address=HOME, port=media.getsockname()[1]))
        await peer.expect("ACK")
        loop = asyncio.get_running_loop()
        data = await asyncio.wait_for(loop.sock_recv(media, 2048), PATIENCE)
        heard = unpack(data)
        assert heard is not None and heard.payload_type == 0
        media.sendto(pack(Packet(0, False, 1, 160, 7, b"\xff" * 160)), (HOME, invite.sdp().port))
        peer.ask(invite, "BYE")
        await peer.expect("200 BYE")
        leg = (await customer.wait_for(placed["sid"]))["legs"][0]
    finally:
        media.close()
        peer.close()
    assert (leg["status"], leg["reason"], leg["to"]) == ("completed", "callee-hangup", peer.uri)
    told = [seen.form["CallStatus"] for seen in await app.wait_for(4)]
    assert told == ["initiated", "ringing", "in-progress", "completed"]
    async with asyncio.timeout(10):
        while True:  # copies are stored a moment after the record
            capture = (await customer.http.get(f"/v1/calls/{leg['sid']}/trace.pcap")).content
            rows = tshark.fields(capture, "ipv6.src", "ipv6.dst", "sip.CSeq.method", "udp.checksum.status")
            if len(rows) == 6:
                break
            await asyncio.sleep(0.05)
    assert {tuple(row[:2]) for row in rows} == {(HOME, HOME)} and {row[3] for row in rows} == {"1"}
