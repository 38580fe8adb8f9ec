"""Peers that do what no peer should: answers of somebody else, targets that no request can name, floods in a dialog."""

import pytest

from app.calls.outcome import Reason
from app.sip import build
from app.sip.message import SipMessage
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.peer import Peer, row, sdp


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    """With the RFC's timers: nothing here waits for one, and a busy machine brings no retransmission."""
    return await new_bench(timing=Timing())


async def talk(bench: Bench, peer: Peer, **more: object) -> SipMessage:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.accept(invite, **more)
    await peer.expect("ACK")
    await answered(leg)
    return invite


async def test_a_response_with_a_second_via_is_somebody_elses(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    for second in (b"\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", b", SIP/2.0/UDP 192.0.2.1"):
        top, rest = build.response(invite, 200, to_tag="x").split(b"\r\nFrom", 1)
        peer.send(top + second + b"\r\nFrom" + rest)
    await peer.silence(bench.address)
    peer.answer(invite, 486)
    assert (await outcome_of(leg)).reason is Reason.BUSY


async def test_a_branch_of_nothing_but_the_cookie_tells_no_requests_apart(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer)
    for number in (1, 2):
        request = peer.request(invite, "INFO", cseq=number)
        branch = SipMessage.decode(request).branch
        peer.send(request.replace(branch.encode(), b"z9hG4bK"))
        assert (await peer.expect("200 INFO")).cseq[0] == number


@pytest.mark.parametrize("code", [200, 486])
async def test_a_tab_where_a_space_may_stand_is_one(bench: Bench, peer: Peer, code: int) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    body, kind = (sdp(), "application/sdp") if code == 200 else (b"", None)
    contact = row("Contact", f"<sip:peer@127.0.0.1:{peer.port}>")
    answer = build.response(invite, code, "Odd TAB", to_tag="x", headers=contact, body=body, content_type=kind)
    peer.send(answer.replace(b";tag=x", b"\t;\ttag=x").replace(b"TAB", b"\tTAB"))
    ack = await peer.expect("ACK")
    assert ack.to_tag == "x"
    if code == 200:
        peer.send(peer.request(invite, "INFO", tag="x").replace(b"To:", b"To:\t"))
        await peer.expect("200 INFO")
        leg.hang_up()
        await peer.expect("BYE")
    else:
        assert (await outcome_of(leg)).sip_reason == "Odd  TAB"


@pytest.mark.parametrize(
    "contact",
    ["<sip:a b@127.0.0.1>", '<sip:"x"@127.0.0.1>', "<sip:x@127.0.0.1\x85>", "<", "sip:\u2028", "<>", "*"],
)
async def test_a_contact_that_no_request_can_name_is_passed_over(bench: Bench, peer: Peer, contact: str) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    whole = build.response(invite, 200, to_tag="x", headers=row("Contact", "CONTACT"), body=sdp(),
                           content_type="application/sdp")  # fmt: skip
    peer.send(whole.replace(b"CONTACT", contact.encode()))
    ack = await peer.expect("ACK")
    assert ack.request_uri in (invite.request_uri, "*")
    leg.hang_up()
    await peer.expect("BYE")


async def test_a_to_that_we_would_not_write_is_written_without_its_breaks(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    whole = build.response(invite, 200, to_tag="x", headers=row("Contact", peer.contact), body=sdp(),
                           content_type="application/sdp")  # fmt: skip
    peer.send(whole.replace(b"\r\nTo: <", '\r\nTo: "J\x9f\u2028rg" <'.encode()))
    assert (await peer.expect("ACK")).to_tag == "x"
    await answered(leg)


@pytest.mark.parametrize("tag", ["fork1", "fork99", "new"])
async def test_a_hundred_forks_are_not_all_followed_but_the_one_that_answers_is(
    bench: Bench, peer: Peer, tag: str
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    for number in range(100):
        peer.answer(invite, 180, tag=f"fork{number}")
    peer.accept(invite, tag=tag)
    assert (await peer.expect("ACK")).to_tag == tag
    await answered(leg)
    known = [*(f"fork{n}" for n in range(100)), "new"]
    assert sum(leg._search.invitation.usage(each) is not None for each in known) == 64  # type: ignore[union-attr]


async def test_a_flood_in_a_dialog_is_not_all_remembered_and_its_bye_is(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer)
    codes = []
    for _ in range(11):
        for _ in range(100):
            peer.ask(invite, "OPTIONS")
        codes += [(await peer.next()).status_code for _ in range(100)]
    assert codes.count(200) >= 1000 and set(codes[:1000]) == {200}
    assert bench.phone.endpoint.transactions <= 1_010
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")


@pytest.mark.parametrize("code", [200, 486])
async def test_white_space_around_separators_is_not_repeated(bench: Bench, peer: Peer, code: int) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    body, kind = (sdp(), "application/sdp") if code == 200 else (b"", None)
    contact = row("Contact", peer.contact)
    answer = build.response(invite, code, to_tag="x", headers=contact, body=body, content_type=kind)
    peer.send(answer.replace(b";tag=x", b" ; TAG = x;y").replace(b"application/sdp", b"application / SDP ; a=b"))
    assert (await peer.expect("ACK")).rows("to") == [f"<{invite.request_uri}>;y;tag=x"]
    if code == 200:
        await answered(leg)
        leg.hang_up()
        assert (await peer.expect("BYE")).rows("to") == [f"<{invite.request_uri}>;y;tag=x"]


async def test_a_2xx_of_another_branch_after_a_refusal_is_acked_and_ended(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 486, tag="one")
    await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.BUSY
    peer.accept(invite, tag="two")
    assert (await peer.expect("ACK")).to_tag == "two"
    bye = await peer.expect("BYE")
    assert bye.to_tag == "two"
    peer.answer(bye, 200)
    peer.accept(invite, tag="two")
    assert (await peer.expect("ACK")).to_tag == "two"
    await peer.silence(bench.address)
    assert leg.signals.empty() and not bench.phone.calls


async def test_a_contact_without_brackets_may_have_some_in_its_instance(bench: Bench, peer: Peer) -> None:
    contact = f'sip:callee@127.0.0.1:{peer.port};+sip.instance="<urn:uuid:f81d4fae>"'
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"), headers=row("Contact", contact))
    assert (await peer.expect("ACK")).request_uri == f"sip:callee@127.0.0.1:{peer.port}"
    await answered(leg)


async def test_a_200_whose_body_is_no_sdp_takes_the_answer_of_its_183(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp(port=5004))
    text = build.response(invite, 200, to_tag=peer.tag, headers=row("Contact", peer.contact), body=b"hello",
                          content_type="text/plain")  # fmt: skip
    peer.send(text)
    await peer.expect("ACK")
    await answered(leg)
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 5004


async def test_a_bye_before_the_2xx_does_not_take_the_place_of_ours(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    leg.hang_up()
    peer.answer(await peer.expect("BYE"), 200)
    await peer.silence(bench.address)
    assert not bench.phone.calls
