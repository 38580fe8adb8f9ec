"""2xx answers on the wire: ACKs, forks, glare, routes, and answers that nobody can use."""

import asyncio

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Answered, Ended, Progress
from app.calls.status import Status
from app.sip.trace import WireMessage
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import Peer, row, sdp


async def test_an_invite_carries_what_the_contract_says(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(f"{peer.uri};transport=udp;user=phone?X-Order=4%202&X-Order=5&Subject=caf%C3%A9")
    invite = await peer.expect("INVITE")
    assert invite.request_uri == f"{peer.uri};transport=udp;user=phone"
    assert invite.first("to") == f"<{peer.uri};user=phone>"
    assert (invite.first("from") or "").startswith("<sip:alice@127.0.0.1>;tag=")
    assert invite.all("X-Order") == ["4 2", "5"]
    assert invite.first("Subject") == "café"
    assert invite.first("Max-Forwards") == "70"
    assert (invite.first("X-CallSid") or "").startswith("CA")
    assert (invite.first("X-AccountSid") or "").startswith("AC")
    assert "PRACK" in invite.all("Allow")
    assert {"100rel", "timer"} <= set(invite.all("Supported"))
    assert invite.sdp().port == leg.session.local.port  # type: ignore[union-attr] # made with the INVITE


async def test_an_answer_is_acked_on_a_branch_of_its_own_and_told(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180, "Ringing")
    peer.accept(invite, headers=(("X-One", "1"), ("Server", "s"), ("x-two", "2")))
    ack = await peer.expect("ACK")
    assert ack.branch != invite.branch
    assert ack.cseq == (1, "ACK")
    assert ack.request_uri == f"sip:peer@127.0.0.1:{peer.port}"
    assert ack.to_tag == peer.tag
    progress = await told(leg, Progress)
    assert (progress.code, progress.ringing, progress.dialog["state"]) == (180, True, "proceeding")
    answer = await told(leg, Answered)
    assert answer.headers == (("X-One", "1"), ("x-two", "2"))
    assert answer.dialog["state"] == "confirmed"
    assert answer.dialog["remote_target"] == f"sip:peer@127.0.0.1:{peer.port}"
    assert answer.dialog["to"].endswith(f";tag={peer.tag}")
    assert leg.heard


async def test_every_repeated_200_gets_the_very_same_ack(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    first = await peer.expect("ACK")
    peer.accept(invite)
    peer.accept(invite)
    for _ in range(2):
        again = await peer.expect("ACK")
        assert peer.raw[id(again)] == peer.raw[id(first)]
    await answered(leg)
    assert leg.signals.empty()


async def test_hanging_up_sends_a_bye_and_ends_the_leg_at_once(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    leg.hang_up()
    leg.hang_up()
    ended = await told(leg, Ended)
    assert (ended.outcome.status, ended.outcome.reason) == (Status.COMPLETED, Reason.API)
    bye = await peer.expect("BYE")
    assert bye.cseq == (2, "BYE")
    assert bye.to_tag == peer.tag
    peer.answer(bye, 200, "OK")
    await peer.silence(bench.address)
    assert bench.phone.calls == {}


@pytest.mark.parametrize("code", [408, 481, 500])
async def test_a_refused_bye_ends_the_call_just_the_same(bench: Bench, peer: Peer, code: int) -> None:
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    await answered(leg)
    leg.hang_up()
    peer.answer(await peer.expect("BYE"), code)
    await peer.silence(bench.address)
    assert bench.phone.calls == {}


async def test_a_bye_that_is_lost_is_sent_again(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    await answered(leg)
    leg.hang_up()
    first = await peer.expect("BYE")
    again = await peer.expect("BYE")
    assert peer.raw[id(again)] == peer.raw[id(first)]


async def test_another_branch_of_a_fork_is_acked_and_byed(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite, tag="one")
    assert (await peer.expect("ACK")).to_tag == "one"
    peer.accept(invite, tag="two")
    assert (await peer.expect("ACK")).to_tag == "two"
    bye = await peer.expect("BYE")
    assert bye.to_tag == "two"
    peer.answer(bye, 200, "OK")
    await answered(leg)
    assert leg.signals.empty()


async def test_requests_of_a_dialog_take_the_recorded_route_backwards(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    near, far = f"<sip:127.0.0.1:{peer.port};lr;near>", "<sip:far.example.com;lr>"
    routes = (("Record-Route", f"{far}, {near}"), ("Contact", "<sip:callee@192.0.2.1>"))
    peer.accept(invite, headers=routes)
    for method in ("ACK", "BYE"):
        if method == "BYE":
            await answered(leg)
            leg.hang_up()
        request = await peer.expect(method)
        assert request.request_uri == "sip:callee@192.0.2.1"
        assert request.all("route") == [near, far]


async def test_a_strict_router_becomes_the_request_uri(bench: Bench, peer: Peer) -> None:
    await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    strict = f"<sip:strict@127.0.0.1:{peer.port}>"
    peer.accept(invite, headers=(("Record-Route", strict), ("Contact", "<sip:callee@192.0.2.1>")))
    ack = await peer.expect("ACK")
    assert ack.request_uri == f"sip:strict@127.0.0.1:{peer.port}"
    assert ack.all("route") == ["<sip:callee@192.0.2.1>"]


@pytest.mark.parametrize(
    "body",
    [b"", sdp(formats="96"), sdp(port=0), b"this is not SDP"],
    ids=["none", "no codec of ours", "refused stream", "garbage"],
)
async def test_an_answer_without_usable_sdp_is_acked_and_byed(bench: Bench, peer: Peer, body: bytes) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 200, "OK", body=body)
    await peer.expect("ACK")
    await peer.expect("BYE")
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason, outcome.sip_code) == (Status.FAILED, Reason.MEDIA, 200)
    assert (outcome.sip_reason, bool(outcome.detail)) == ("OK", True)


async def test_a_200_without_sdp_takes_the_answer_of_its_183(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, "Session Progress", body=sdp(port=4242))
    peer.answer(invite, 200, "OK")
    await peer.expect("ACK")
    await answered(leg)
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 4242


async def test_a_200_without_a_contact_is_answered_at_the_request_uri(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"), headers=row("Contact", "<<nonsense"))
    assert (await peer.expect("ACK")).request_uri == peer.uri
    await answered(leg)


@pytest.mark.parametrize(
    "headers",
    [row("Contact", "<sip:x@10.1.2.3>"), row("Record-Route", "<sip:10.1.2.3;lr>")],
    ids=["Contact", "Record-Route"],
)
async def test_a_next_hop_that_is_refused_gets_nothing_and_the_callee_is_let_go(
    bench: Bench, peer: Peer, headers: tuple[tuple[str, str], ...]
) -> None:
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"), headers=headers)
    await peer.expect("ACK")
    await peer.expect("BYE")
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason, outcome.sip_code) == (Status.FAILED, Reason.ADDRESS_DENIED, 200)
    assert "DIAL_SIP_ALLOW" in (outcome.detail or "")


async def test_media_at_a_refused_address_ends_the_leg(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 200, "OK", body=sdp(address="169.254.169.254"))
    await peer.expect("ACK")
    await peer.expect("BYE")
    outcome = await outcome_of(leg)
    assert (outcome.reason, outcome.sip_code) == (Reason.ADDRESS_DENIED, 200)


async def test_the_route_of_a_2xx_may_be_a_name(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    contact = row("Contact", f"<sip:callee@localhost:{peer.port}>")
    peer.accept(await peer.expect("INVITE"), headers=contact)
    assert (await peer.expect("ACK")).request_uri == f"sip:callee@localhost:{peer.port}"
    await answered(leg)


@pytest.mark.parametrize("name", ["media", "contact"])
async def test_a_bye_while_a_name_is_looked_up_ends_a_call_that_was_answered(
    new_bench: NewBench, peer: Peer, name: str
) -> None:
    bench = await new_bench(timing=Timing())
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    host = "localhost" if name == "contact" else "127.0.0.1"
    contact = row("Contact", f"<sip:peer@{host}:{peer.port}>")
    peer.answer(invite, 200, headers=contact, body=sdp(address="localhost" if name == "media" else "127.0.0.1"))
    peer.ask(invite, "BYE")
    got = [await peer.next(), await peer.next()]
    assert sorted(message.method_name for message in got) == ["ACK", "BYE"]
    await answered(leg)
    assert (await told(leg, Ended)).outcome.reason is Reason.CALLEE_HANGUP
    await peer.silence(bench.address)
    assert not bench.phone.calls


async def test_a_bye_while_the_contact_is_looked_up_ends_a_call_that_cannot_be_used(
    new_bench: NewBench, peer: Peer
) -> None:
    bench = await new_bench(timing=Timing())
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 200, headers=row("Contact", f"<sip:peer@localhost:{peer.port}>"), body=sdp(formats="111"))
    peer.ask(invite, "BYE")
    got = [await peer.next(), await peer.next()]
    assert sorted(message.method_name for message in got) == ["ACK", "BYE"]
    assert (await outcome_of(leg)).reason is Reason.MEDIA
    await peer.silence(bench.address)
    assert not bench.phone.calls


async def test_a_bye_while_the_contact_of_an_unwanted_answer_is_looked_up_is_the_end(
    new_bench: NewBench, peer: Peer
) -> None:
    bench = await new_bench(timing=Timing())
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    leg.hang_up()
    await peer.expect("CANCEL")
    peer.answer(invite, 200, headers=row("Contact", f"<sip:peer@localhost:{peer.port}>"), body=sdp())
    peer.ask(invite, "BYE")
    got = [await peer.next(), await peer.next()]
    assert sorted(message.method_name for message in got) == ["ACK", "BYE"]
    await peer.silence(bench.address)
    assert not bench.phone.calls and leg.parting.heard


async def test_hanging_up_while_the_next_hop_is_looked_up_still_acks_before_the_bye(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)

    def hang_up_after_the_200(seen: WireMessage) -> None:
        if seen.direction == "in" and seen.data.startswith(b"SIP/2.0 200"):
            asyncio.get_running_loop().call_soon(leg.hang_up)

    bench.phone.endpoint.on_message = hang_up_after_the_200
    contact = row("Contact", f"<sip:callee@localhost:{peer.port}>")
    peer.accept(await peer.expect("INVITE"), headers=contact)
    await peer.expect("ACK")
    await peer.expect("BYE")
    assert (await told(leg, Ended)).outcome.status is Status.CANCELED
