"""What a leg that was hung up has still to say to its peer: nothing once that has heard, or never will."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.calls.ports import Goodbye, Progress
from app.sip import build
from app.sip.transaction import Timing
from tests.sip.caller import Caller
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import PATIENCE, Peer


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    """With the timers of the RFC: nothing is given up while a test looks."""
    return await new_bench(timing=Timing())


@pytest.fixture
async def hasty(new_bench: NewBench) -> Bench:
    return await new_bench()


async def until_heard(goodbye: Goodbye | None) -> None:
    """Waits for whoever owns the goodbye to say so; nothing signals it, it is asked from time to time."""
    assert goodbye is not None
    async with asyncio.timeout(4 * PATIENCE):
        while not goodbye.heard:
            await asyncio.sleep(0.01)


async def test_a_bye_is_unheard_until_it_is_answered(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await answered(leg)
    await peer.expect("ACK")
    goodbye = leg.hang_up()
    bye = await peer.expect("BYE")
    assert goodbye is not None
    assert not goodbye.heard
    assert leg.hang_up() is goodbye
    peer.answer(bye, 200)
    await until_heard(goodbye)
    assert leg.hang_up() is None


async def test_a_bye_that_nobody_answers_is_given_up_after_64_t1(hasty: Bench, peer: Peer) -> None:
    leg = await hasty.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await answered(leg)
    await until_heard(leg.hang_up())


async def test_who_hangs_up_or_refuses_has_nothing_to_hear(bench: Bench, peer: Peer) -> None:
    talked, busy = await bench.call(peer.uri), await bench.call(peer.uri)
    invites = [await peer.expect("INVITE") for _ in range(2)]
    mine = next(one for one in invites if one.call_id == talked.call_id)
    peer.answer(next(one for one in invites if one is not mine), 486)
    await outcome_of(busy)
    peer.accept(mine)
    await answered(talked)
    peer.ask(mine, "BYE")
    await outcome_of(talked)
    assert (talked.hang_up(), busy.hang_up()) == (None, None)


async def test_a_leg_whose_invite_never_left_has_nobody_to_tell(bench: Bench, peer: Peer) -> None:
    leg = bench.leg(peer.uri)
    await leg.prepare()
    assert leg.hang_up() is None


async def test_a_cancel_that_waits_for_a_provisional_is_unheard_until_its_487(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    goodbye = leg.hang_up()
    assert goodbye is not None
    peer.answer(invite, 180)
    peer.answer(await peer.expect("CANCEL"), 200)
    assert not goodbye.heard
    peer.answer(invite, 487)
    await until_heard(goodbye)


async def test_a_200_that_crosses_the_cancel_is_unheard_until_its_bye_is_answered(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    goodbye = leg.hang_up()
    assert goodbye is not None
    await peer.expect("CANCEL")
    peer.accept(invite, tag="another")
    await peer.expect("ACK")
    bye = await peer.expect("BYE")
    assert goodbye.dialog is not None
    assert (goodbye.dialog["state"], goodbye.dialog["remote_target"]) == ("confirmed", peer.contact.strip("<>"))
    assert goodbye.dialog["to"] == bye.first("to")
    assert not goodbye.heard
    peer.answer(bye, 200)
    await until_heard(goodbye)


async def test_a_silent_peer_may_still_answer_after_timer_b(hasty: Bench, peer: Peer) -> None:
    """RFC 3261 has it given up by then; a 2xx that comes all the same is ended for another 64·T1."""
    leg = await hasty.call(peer.uri)
    await outcome_of(leg)
    await until_heard(leg.hang_up())


async def test_an_answer_that_cannot_be_used_is_unheard_until_its_bye_is_answered(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 200, body=b"v=0\r\nnonsense")
    await peer.expect("ACK")
    bye = await peer.expect("BYE")
    await outcome_of(leg)
    goodbye = leg.hang_up()
    peer.answer(bye, 200)
    await until_heard(goodbye)


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    made = Caller(bench)
    await made.open()
    yield made
    made.close()


async def test_a_refusal_is_unheard_until_its_ack(bench: Bench, caller: Caller) -> None:
    leg, invite = await caller.called()
    goodbye = leg.reject(486, "Busy Here")
    refusal = await caller.expect("486 INVITE")
    assert goodbye is not None
    assert not goodbye.heard
    caller.send(build.ack_for(invite, refusal), caller.phone)
    await until_heard(goodbye)
    assert leg.hang_up() is None


async def test_a_caller_that_canceled_knows_that_it_is_over(bench: Bench, caller: Caller) -> None:
    leg, invite = await caller.called()
    caller.send(build.cancel_for(invite), caller.phone)
    await outcome_of(leg)
    assert leg.hang_up() is None


async def test_a_caller_that_has_not_acknowledged_our_answer_is_unheard_until_the_bye_after_it(hasty: Bench) -> None:
    caller = Caller(hasty)
    await caller.open()
    leg, _ = await caller.called()
    leg.answer()
    await caller.expect("200 INVITE")
    goodbye = leg.hang_up()
    assert goodbye is not None
    caller.answer(await caller.expect("BYE"), 200)
    await until_heard(goodbye)
    caller.close()
