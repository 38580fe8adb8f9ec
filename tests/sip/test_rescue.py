"""Ending the calls of a worker that died, from the facts it had stored."""

import asyncio
import socket

from app.calls.outcome import Outcome
from app.calls.ports import DialogFacts, Progress
from app.sip.message import SipMessage
from tests.sip.conftest import Bench, NewBench, answered, told
from tests.sip.peer import Peer, row


async def dies_ringing(bench: Bench, peer: Peer) -> tuple[DialogFacts, SipMessage]:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    progress = await told(leg, Progress)
    await dies(bench)
    return progress.dialog, invite


async def dies(bench: Bench) -> None:
    """Like kill -9: no word to anybody, and its port is free."""
    bench.legs.clear()
    await bench.phone.endpoint.close()


async def test_a_ringing_call_is_canceled_and_its_487_acked(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    address = dead.address
    facts, _ = await dies_ringing(dead, peer)
    await survivor.phone.hang_up_stranger(facts)
    cancel = await peer.expect("CANCEL")
    assert (cancel.first("via"), cancel.cseq, cancel.to_tag) == (facts["via"], (1, "CANCEL"), None)
    assert peer.sources[-1] == address  # the dead worker's own port
    peer.answer(cancel, 200)
    cancel_as_invite = cancel  # same Via, From, To and Call-ID
    raw = peer.raw[id(cancel_as_invite)].replace(b"CANCEL", b"INVITE")
    invite = type(cancel).decode(raw)
    peer.answer(invite, 487)
    assert (await peer.expect("ACK")).branch == cancel.branch


async def test_a_2xx_that_comes_late_is_acked_and_byed_again_and_again(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    leg = await dead.call(peer.uri)
    invite = await peer.expect("INVITE")
    facts = leg.facts()
    assert facts["state"] == "calling"
    await dies(dead)
    await survivor.phone.hang_up_stranger(facts)
    await peer.expect("CANCEL")
    routes = row("Record-Route", f"<sip:127.0.0.1:{peer.port};lr>")
    peer.accept(invite, headers=routes)
    ack = await peer.expect("ACK")
    assert (ack.cseq, ack.to_tag) == ((1, "ACK"), peer.tag)
    assert ack.all("route") == [f"<sip:127.0.0.1:{peer.port};lr>"]
    bye = await peer.expect("BYE")
    assert bye.cseq[0] > 1
    assert bye.from_tag == invite.from_tag
    peer.accept(invite, headers=routes)
    again = await peer.expect("ACK")
    assert peer.raw[id(again)] == peer.raw[id(ack)]


async def test_a_confirmed_call_gets_a_bye(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    leg = await dead.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    facts = (await answered(leg)).dialog
    await dies(dead)
    await survivor.phone.hang_up_stranger(facts)
    bye = await peer.expect("BYE")
    assert (bye.to_tag, bye.request_uri) == (peer.tag, facts["remote_target"])
    assert bye.cseq[0] > facts["cseq"]


async def test_the_bye_leaves_from_our_own_port_when_the_dead_ones_is_taken(new_bench: NewBench, peer: Peer) -> None:
    alive, survivor = await new_bench(), await new_bench()
    leg = await alive.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    facts = (await answered(leg)).dialog
    await survivor.phone.hang_up_stranger(facts)
    await peer.expect("BYE")
    assert peer.sources[-1] == survivor.address


async def test_a_leg_that_was_never_invited_is_canceled_without_harm(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    facts = await dead.leg(peer.uri).prepare()
    assert not isinstance(facts, Outcome)
    await dies(dead)
    await survivor.phone.hang_up_stranger(facts)
    peer.answer(await peer.expect("CANCEL"), 481)
    await peer.silence(survivor.address)


async def test_a_call_whose_answer_was_acked_but_never_written_down_gets_a_bye(new_bench: NewBench, peer: Peer) -> None:
    """The CANCEL comes too late, and no further answer to the INVITE will come."""
    dead, survivor = await new_bench(), await new_bench()
    facts, invite = await dies_ringing(dead, peer)
    await survivor.phone.hang_up_stranger(facts)
    peer.answer(await peer.expect("CANCEL"), 481)
    bye = await peer.expect("BYE")
    assert (bye.to_tag, bye.request_uri, bye.call_id) == (peer.tag, facts["remote_target"], invite.call_id)


async def test_a_cancels_answer_names_the_dialog_when_no_provisional_did(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    leg = await dead.call(peer.uri)
    invite = await peer.expect("INVITE")
    facts = leg.facts()
    await dies(dead)
    await survivor.phone.hang_up_stranger(facts)
    peer.answer(await peer.expect("CANCEL"), 200)
    bye = await peer.expect("BYE")
    assert (bye.to_tag, bye.request_uri, bye.call_id) == (peer.tag, invite.request_uri, invite.call_id)


async def test_a_borrowed_port_is_given_back_once_its_calls_have_ended(new_bench: NewBench, peer: Peer) -> None:
    dead, survivor = await new_bench(), await new_bench()
    address = dead.address
    facts, _ = await dies_ringing(dead, peer)
    await survivor.phone.hang_up_stranger(facts)
    cancel = await peer.expect("CANCEL")
    peer.answer(cancel, 200)
    peer.answer(type(cancel).decode(peer.raw[id(cancel)].replace(b"CANCEL", b"INVITE")), 487)
    await peer.expect("ACK")
    async with asyncio.timeout(5):
        while not is_free(address):
            await asyncio.sleep(0.02)


def is_free(address: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
        return True
