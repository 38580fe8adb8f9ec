"""Before an incoming call is answered: early media, reliable provisionals (RFC 3262), UPDATE (RFC 3311)."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from app.calls.ports import Answered, Ended
from app.calls.status import Status
from tests.sip.caller import Caller
from tests.sip.conftest import Bench, told
from tests.sip.peer import row, sdp

RELIABLE = row("Supported", "100rel")
REQUIRED = row("Require", "100rel")


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    made = Caller(bench)
    await made.open()
    yield made
    made.close()


async def test_early_media_flows_with_a_183_and_the_200_says_the_same(caller: Caller) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
        rtp.bind(("127.0.0.1", 0))
        rtp.setblocking(False)
        leg, _ = await caller.called(body=sdp(port=rtp.getsockname()[1]))
        leg.open_early()
        leg.open_early()
        progress = await caller.expect("183 INVITE")
        assert not progress.first("RSeq")
        packet = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(rtp, 200), 5)
        assert len(packet) == 172  # comfort silence, 20 ms of it
        leg.answer()
        ok = await caller.expect("200 INVITE")
        assert ok.content == progress.content
        caller.ack(ok)
        await told(leg, Answered)


async def test_a_183_with_sdp_is_reliable_where_it_can_be(bench: Bench, caller: Caller) -> None:
    caller.hears_repeats = True
    leg, _ = await caller.called(headers=RELIABLE)
    leg.ring()
    assert not (await caller.expect("180 INVITE")).first("RSeq")
    leg.open_early()
    first = await caller.expect("183 INVITE")
    again = await caller.expect("183 INVITE")
    assert caller.raw[id(first)] == caller.raw[id(again)]
    assert first.all("require") == ["100rel"]
    leg.answer()  # waits for the PRACK (§3)
    caller.prack(first)
    while (message := await caller.next()).cseq[1] == "INVITE":
        assert message.status_code == 183
    assert (message.status_code, message.method_name) == (200, "PRACK")
    ok = await caller.expect("200 INVITE")
    assert not ok.content  # it has been said
    caller.ack(ok)
    await told(leg, Answered)
    caller.prack(first)
    await caller.expect("481 PRACK")


async def test_a_caller_that_requires_100rel_gets_one_provisional_after_the_other(caller: Caller) -> None:
    leg, _ = await caller.called(headers=REQUIRED)
    leg.ring()
    leg.open_early()
    leg.answer()
    ringing = await caller.expect("180 INVITE")
    caller.prack(ringing)
    await caller.expect("200 PRACK")
    progress = await caller.expect("183 INVITE")
    assert int(progress.first("RSeq") or 0) == int(ringing.first("RSeq") or 0) + 1
    assert progress.content
    caller.prack(progress)
    await caller.expect("200 PRACK")
    ok = await caller.expect("200 INVITE")
    caller.ack(ok)
    await told(leg, Answered)


async def test_without_a_prack_the_call_ends(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called(headers=REQUIRED)
    leg.ring()
    while (message := await caller.next()).status_code == 180:
        pass
    assert message.status_code == 504
    assert (await told(leg, Ended)).outcome.status is Status.FAILED
    assert bench.media.ports.used == 0


@pytest.mark.parametrize("rack", ["1 1 INVITE", "nonsense", "{0} 2 INVITE", "{0} 1 OPTIONS", ""])
async def test_a_prack_of_nothing_is_a_481(caller: Caller, rack: str) -> None:
    leg, _ = await caller.called(headers=REQUIRED)
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    caller.tell(ringing, "PRACK", headers=row("RAck", rack.format(ringing.first("RSeq"))))
    while (message := await caller.next()).cseq[1] == "INVITE":
        pass
    assert message.status_code == 481
    leg.hang_up()


async def test_an_offer_of_ours_goes_early_and_is_answered_in_the_prack(caller: Caller) -> None:
    leg, _ = await caller.called(body=b"", headers=RELIABLE)
    leg.open_early()
    offer = await caller.expect("183 INVITE")
    assert offer.sdp().payloads == {0: "PCMU", 8: "PCMA", 101: "telephone-event"}
    caller.prack(offer, sdp(port=5004))
    await caller.expect("200 PRACK")
    assert leg.session.remote is not None and leg.session.remote.port == 5004
    leg.answer()
    ok = await caller.expect("200 INVITE")
    assert not ok.content
    caller.ack(ok)
    await told(leg, Answered)


async def test_without_100rel_an_offer_of_ours_cannot_go_early(caller: Caller) -> None:
    leg, _ = await caller.called(body=b"")
    leg.open_early()
    assert not (await caller.expect("180 INVITE")).content


async def test_an_offer_in_the_prack_is_answered_there(caller: Caller) -> None:
    leg, _ = await caller.called(headers=RELIABLE)
    leg.open_early()
    caller.prack(await caller.expect("183 INVITE"), sdp(port=5006))
    answer = await caller.expect("200 PRACK")
    assert answer.sdp().payloads == {0: "PCMU"}
    assert leg.session.remote is not None and leg.session.remote.port == 5006


async def test_an_update_changes_the_early_session_once_it_is_agreed(caller: Caller) -> None:
    leg, _ = await caller.called(headers=RELIABLE)
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    caller.tell(ringing, "UPDATE", body=sdp(port=5008))
    refused = await caller.expect("500 UPDATE")  # their offer waits for its answer
    assert refused.first("Retry-After")
    leg.open_early()
    caller.prack(await caller.expect("183 INVITE"))
    await caller.expect("200 PRACK")
    caller.tell(ringing, "UPDATE", body=sdp(port=5008))
    assert (await caller.expect("200 UPDATE")).content
    assert leg.session.remote is not None and leg.session.remote.port == 5008
    caller.tell(ringing, "INVITE", body=sdp())
    await caller.expect("500 INVITE")  # RFC 3261 §14.2
    leg.answer()
    ok = await caller.expect("200 INVITE")
    caller.ack(ok)
    await told(leg, Answered)
    assert leg.session.remote.port == 5008
