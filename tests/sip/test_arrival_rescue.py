"""Ending the incoming calls of a worker that died, from the facts that were stored."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.calls.ports import Answered, DialogFacts
from app.sip import build
from tests.sip.caller import Caller
from tests.sip.conftest import Bench, NewBench, told
from tests.sip.peer import PATIENCE, row


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    made = Caller(bench)
    await made.open()
    yield made
    made.close()


async def dies(bench: Bench) -> None:
    """Like kill -9: no word to anybody, and its port is free."""
    bench.legs.clear()
    await bench.phone.endpoint.close()


async def test_an_invite_without_an_answer_gets_a_503_from_the_dead_workers_port(
    bench: Bench, new_bench: NewBench, caller: Caller
) -> None:
    caller.hears_repeats = True
    survivor = await new_bench()
    leg, invite = await caller.called(via=";rport", headers=row("Record-Route", "<sip:127.0.0.1:9;lr>"))
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    facts = leg.facts()
    assert facts["state"] == "incoming"
    await dies(bench)
    await survivor.phone.hang_up_stranger(facts)
    refusal = await caller.expect("503 INVITE")
    assert caller.sources[-1] == caller.phone
    assert (refusal.to_tag, refusal.branch, refusal.cseq) == (ringing.to_tag, invite.branch, (1, "INVITE"))
    assert refusal.first("Retry-After")
    await caller.expect("503 INVITE")
    caller.send(build.ack_for(invite, refusal), caller.phone)
    async with asyncio.timeout(PATIENCE):
        while survivor.phone._strangers is None or survivor.phone._strangers._unanswered:
            await asyncio.sleep(0)


async def test_every_via_goes_back(bench: Bench, new_bench: NewBench, caller: Caller) -> None:
    survivor = await new_bench()
    leg, _ = await caller.called(via=", SIP/2.0/TCP behind.test:5070;branch=z9hG4bKbehind")
    facts = leg.facts()
    await dies(bench)
    await survivor.phone.hang_up_stranger(facts)
    refusal = await caller.next()
    assert [via.rpartition("=")[2] for via in refusal.all("via")][-1] == "z9hG4bKbehind"


async def test_a_refusal_that_comes_too_late_is_followed_by_a_bye(
    bench: Bench, new_bench: NewBench, caller: Caller
) -> None:
    """The dead worker had answered before it could write that down."""
    survivor = await new_bench()
    leg, _ = await caller.called()
    facts = leg.facts()
    leg.answer()
    ok = await caller.expect("200 INVITE")
    await dies(bench)
    await survivor.phone.hang_up_stranger(facts)
    while (message := await caller.next()).method_name == "INVITE":
        assert message.status_code in (200, 503)
    assert (message.method_name, message.from_tag, message.to_tag) == ("BYE", ok.to_tag, "caller")
    assert message.request_uri == caller.contact.strip("<>")
    assert message.cseq[0] > 0


async def test_a_confirmed_incoming_call_gets_a_bye(bench: Bench, new_bench: NewBench, caller: Caller) -> None:
    survivor = await new_bench()
    leg, ok = await caller.talking(headers=row("Record-Route", f"<sip:127.0.0.1:{caller.port};lr>"))
    facts: DialogFacts = (await told(leg, Answered)).dialog
    await dies(bench)
    await survivor.phone.hang_up_stranger(facts)
    bye = await caller.expect("BYE")
    assert caller.sources[-1] == caller.phone
    assert (bye.from_tag, bye.to_tag, bye.call_id) == (ok.to_tag, "caller", ok.call_id)
    assert bye.all("route") == [f"<sip:127.0.0.1:{caller.port};lr>"]
    assert bye.via_top is not None and bye.via_top.sent_by == f"127.0.0.1:{caller.phone[1]}"


async def test_a_worker_that_was_started_at_the_dead_ones_port_hears_the_ack(
    bench: Bench, new_bench: NewBench, caller: Caller
) -> None:
    restarted = await new_bench()
    leg, invite = await caller.called()
    facts = leg.facts()
    await dies(bench)
    facts["local"] = list(restarted.address)
    await restarted.phone.hang_up_stranger(facts)
    refusal = await caller.expect("503 INVITE")
    caller.send(build.ack_for(invite, refusal), restarted.address)
    async with asyncio.timeout(PATIENCE):
        while restarted.phone._strangers is None or restarted.phone._strangers._unanswered:
            await asyncio.sleep(0)
