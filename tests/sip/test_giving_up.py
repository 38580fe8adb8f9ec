"""CANCEL, glare, silence and what comes after a call was given up."""

import pytest

from app.calls.errors import NoFreePort
from app.calls.outcome import Reason
from app.calls.ports import Ended, Progress
from app.calls.status import Status
from tests.kit.ports import free_ports
from tests.sip.conftest import Bench, NewBench, outcome_of, told
from tests.sip.peer import Peer


async def test_a_ringing_call_is_canceled_on_the_branch_of_its_invite(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    leg.hang_up()
    ended = await told(leg, Ended)
    assert (ended.outcome.status, ended.outcome.reason) == (Status.CANCELED, Reason.API)
    cancel = await peer.expect("CANCEL")
    assert (cancel.branch, cancel.cseq, cancel.request_uri) == (invite.branch, (1, "CANCEL"), invite.request_uri)
    assert cancel.to_tag is None
    peer.answer(cancel, 200)
    peer.answer(invite, 487, "Request Terminated")
    ack = await peer.expect("ACK")
    assert ack.branch == invite.branch
    await peer.silence(bench.address)
    assert bench.phone.calls == {}
    assert leg.signals.empty()


async def test_a_cancel_waits_for_the_first_provisional(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    leg.hang_up()
    await told(leg, Ended)
    again = await peer.expect("INVITE")  # the callee may never have seen the first
    assert again.branch == invite.branch
    peer.answer(invite, 100)
    await peer.expect("CANCEL")
    assert leg.signals.empty()


async def test_a_cancel_that_is_lost_is_sent_again(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 180)
    await told(leg, Progress)
    leg.hang_up()
    first = await peer.expect("CANCEL")
    again = await peer.expect("CANCEL")
    assert peer.raw[id(first)] == peer.raw[id(again)]


async def test_a_200_that_crosses_the_cancel_is_acked_and_byed_and_answers_nothing(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    leg.hang_up()
    await told(leg, Ended)
    cancel = await peer.expect("CANCEL")
    peer.accept(invite)
    await peer.expect("ACK")
    bye = await peer.expect("BYE")
    peer.answer(cancel, 481)
    peer.answer(bye, 200)
    peer.accept(invite)
    await peer.expect("ACK")
    await peer.silence(bench.address)
    assert leg.signals.empty()
    assert bench.phone.calls == {}


async def test_a_late_200_after_hanging_up_unheard_is_acked_and_byed(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    leg.hang_up()
    peer.accept(invite)
    await peer.expect("ACK")
    await peer.expect("BYE")


async def test_silence_ends_as_unreachable_after_64_t1(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    ended = await told(leg, Ended)
    assert (ended.outcome.status, ended.outcome.reason) == (Status.FAILED, Reason.UNREACHABLE)
    assert not leg.heard
    sent = [peer.inbox.get_nowait() for _ in range(peer.inbox.qsize())]
    assert {message.method_name for message in sent} == {"INVITE"}
    assert len(sent) in (6, 7)  # 0, 1, 3, 7, 15, 31, 63 times T1; a busy machine sends the last one too late
    assert len({peer.raw[id(message)] for message in sent}) == 1


async def test_after_the_silence_a_late_180_is_canceled_and_a_late_200_ended(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    await told(leg, Ended)
    invite = await peer.expect("INVITE")
    while not peer.inbox.empty():
        await peer.expect("INVITE")
    peer.answer(invite, 180)
    cancel = await peer.expect("CANCEL")
    peer.answer(cancel, 200)
    peer.accept(invite)
    await peer.expect("ACK")
    peer.answer(await peer.expect("BYE"), 200)
    assert leg.signals.empty()


async def test_after_the_silence_a_late_refusal_is_acked(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    await told(leg, Ended)
    invite = await peer.expect("INVITE")
    while not peer.inbox.empty():
        await peer.expect("INVITE")
    peer.answer(invite, 486)
    assert (await peer.expect("ACK")).branch == invite.branch
    assert leg.signals.empty()


async def test_a_cancel_without_a_final_answer_is_given_up_after_64_t1(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    leg.hang_up()
    peer.answer(await peer.expect("CANCEL"), 200)
    other = await bench.call(peer.uri)  # its timer B fires just after
    await outcome_of(other)
    assert leg.call_id not in bench.phone.calls


async def test_a_repeated_refusal_is_acked_again(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    for _ in range(2):
        peer.answer(invite, 486, "Busy Here")
        assert (await peer.expect("ACK")).to_tag == peer.tag
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.sip_code, outcome.sip_reason) == (Status.BUSY, 486, "Busy Here")
    assert leg.signals.empty()


async def test_a_leg_that_is_hung_up_before_its_invite_sends_nothing(bench: Bench, peer: Peer) -> None:
    leg = bench.leg(peer.uri)
    await leg.prepare()
    leg.hang_up()
    leg.invite()
    await told(leg, Ended)
    await peer.silence(bench.address)
    assert bench.phone.calls == {}


async def test_ports_come_back_whatever_became_of_the_leg(new_bench: NewBench, peer: Peer) -> None:
    bench = await new_bench(ports=free_ports(2))
    for code in (486, 404, 503):
        leg = await bench.call(peer.uri)
        with pytest.raises(NoFreePort):
            bench.leg(peer.uri)
        peer.answer(await peer.expect("INVITE"), code)
        await peer.expect("ACK")
        await outcome_of(leg)
    await bench.refused("sip:bob@10.1.2.3")
    bench.leg(peer.uri).hang_up()
    bench.leg(peer.uri)


async def test_a_flood_of_180_is_told_once(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    for _ in range(200):
        peer.answer(invite, 180)
    peer.answer(invite, 486)
    await peer.expect("ACK")
    await told(leg, Progress)
    await told(leg, Ended)
