"""Calls that come in: what an INVITE is answered, and what becomes of the leg (RFC 3261 §13.3)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.calls.outcome import CANCELED_BY_API, Outcome, Reason, of_response
from app.calls.ports import Answered, Ended
from app.calls.status import Status
from app.sip import build
from app.sip.pyvoip import CallState, VoIPCall
from tests.kit.ports import free_ports
from tests.sip.caller import NUMBER, Caller
from tests.sip.conftest import Bench, NewBench, answered, loopback_only, outcome_of, told
from tests.sip.peer import Peer, row, sdp

CALLER_LEFT = Outcome(Status.CANCELED, Reason.CALLER_HANGUP)


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    made = Caller(bench)
    await made.open()
    yield made
    made.close()


async def nothing_left(bench: Bench) -> None:
    assert bench.phone.calls == {}
    assert bench.phone._switchboard._arrivals == {}
    assert bench.phone._switchboard._invites == set()
    assert bench.media.ports.used == 0


async def test_a_call_comes_in_rings_is_answered_and_the_caller_hangs_up(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called()
    assert isinstance(leg, VoIPCall) and leg.state is CallState.RINGING
    leg.ring()
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    leg.answer()
    ok = await caller.expect("200 INVITE")
    assert ok.to_tag == ringing.to_tag
    assert f"<sip:{NUMBER}@127.0.0.1:{bench.address[1]}>" == ok.first("contact")
    assert ok.sdp().payloads == {0: "PCMU"}
    assert leg.signals.empty()  # the ACK is not there yet
    caller.ack(ok)
    signal = await told(leg, Answered)
    assert (signal.code, signal.dialog["state"]) == (200, "confirmed")
    assert str(leg.state) == str(CallState.ANSWERED)  # pyVoIP's `answer` has set it
    caller.tell(ok, "BYE")
    await caller.expect("200 BYE")
    assert (await outcome_of(leg)) == Outcome(Status.COMPLETED, Reason.CALLER_HANGUP)
    await nothing_left(bench)


async def test_what_arrived_is_told(caller: Caller) -> None:
    more = (
        ("From", '"Ann \\"B\\"" <sip:ann:secret@caller.test;transport=tcp>;tag=caller'),
        ("Diversion", '"Boss" <sip:boss@office.test;user=phone>;reason=no-answer, <sip:other@office.test>'),
        ("X-Account", "7"),
        ("x-Account", "8"),
    )
    caller.known = {"+49 30/1"}
    await caller.called(number="%2B49%2030%2F1;phone-context=x", headers=more)
    arrival = caller.arrivals[0]
    assert arrival.number == "+49 30/1"
    assert (arrival.caller.display, arrival.caller.uri.bare()) == ('Ann "B"', "sip:ann@caller.test")
    assert (arrival.source, arrival.forwarded_from) == ("127.0.0.1", "sip:boss@office.test")
    assert arrival.headers == (("X-Account", "7"), ("x-Account", "8"))
    assert arrival.called.host == "127.0.0.1"


@pytest.mark.parametrize(("value", "hops"), [("12", 12), ("071", 70), ("255", 70), ("many", 70), ("", 70)])
async def test_how_far_a_call_may_go_is_told(caller: Caller, value: str, hops: int) -> None:
    await caller.called(headers=row("Max-Forwards", value), without="" if value else "Max-Forwards")
    assert caller.arrivals[0].hops_left == hops


@pytest.mark.parametrize(
    ("value", "caller_uri"),
    [
        ("<tel:+4930;x=y>;tag=caller", "sip:+4930@127.0.0.1"),
        ("sip:bob@h.test;tag=caller", "sip:bob@h.test"),
        ("<mailto:x@y.test>;tag=caller", "sip:anonymous@anonymous.invalid"),
        ("<sip:bob@h.test>", "sip:bob@h.test"),  # RFC 2543: without a tag
    ],
)
async def test_whoever_calls_has_an_address(caller: Caller, value: str, caller_uri: str) -> None:
    await caller.called(headers=row("From", value))
    assert caller.arrivals[0].caller.uri.bare() == caller_uri


async def test_a_caller_without_a_tag_can_talk(caller: Caller) -> None:
    leg, ok = await caller.talking(headers=row("From", "<sip:old@h.test>"))
    await answered(leg)
    caller.tell(ok, "BYE")
    await caller.expect("200 BYE")


async def test_our_hang_up_is_a_bye_along_the_route(bench: Bench, caller: Caller, peer: Peer) -> None:
    routes = (
        ("Record-Route", f"<sip:127.0.0.1:{peer.port};lr>"),
        ("Record-Route", "<sip:proxy2.test;lr>, <sip:proxy3.test;lr>"),
    )
    leg, ok = await caller.talking(headers=routes)
    assert ok.all("record-route") == [value for _, row_ in routes for value in row_.split(", ")]
    await answered(leg)
    leg.hang_up()
    bye = await peer.expect("BYE")
    assert bye.all("route") == ok.all("record-route")
    assert bye.request_uri == caller.contact.strip("<>")
    assert (bye.from_tag, bye.to_tag) == (ok.to_tag, "caller")
    peer.answer(bye, 200)
    assert (await outcome_of(leg)).reason is Reason.API
    await peer.silence(bench.address)
    await nothing_left(bench)


@pytest.mark.parametrize(("code", "phrase"), [(486, "Busy Here"), (503, "Full"), (404, "Line\nbreak")])
async def test_a_refusal_is_repeated_until_its_ack(bench: Bench, caller: Caller, code: int, phrase: str) -> None:
    caller.hears_repeats = True
    leg, invite = await caller.called()
    leg.reject(code, phrase)
    first = await caller.expect(f"{code} INVITE")
    assert first.reason_phrase == phrase.replace("\n", " ")
    assert (first.first("Retry-After") is not None) == (code == 503)
    again = await caller.expect(f"{code} INVITE")
    assert caller.raw[id(first)] == caller.raw[id(again)]
    assert (await told(leg, Ended)).outcome == of_response(code, phrase)
    caller.send(build.ack_for(invite, first), bench.address)
    leg.reject(500, "")
    leg.answer()
    leg.ring()
    await caller.silence(bench.address)
    await nothing_left(bench)


async def test_hanging_up_before_the_answer_is_a_480(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called()
    leg.hang_up()
    leg.hang_up()
    await caller.expect("480 INVITE")
    assert (await told(leg, Ended)).outcome == CANCELED_BY_API
    await nothing_left(bench)


async def test_a_cancel_ends_it(bench: Bench, caller: Caller) -> None:
    caller.hears_repeats = True
    leg, invite = await caller.called()
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    caller.cancel(invite)
    ok = await caller.expect("200 CANCEL")
    assert ok.to_tag == ringing.to_tag
    await caller.expect("487 INVITE")
    assert (await told(leg, Ended)).outcome == CALLER_LEFT
    caller.cancel(invite)
    while (await caller.next()).cseq[1] != "CANCEL":
        pass
    await nothing_left(bench)


async def test_a_cancel_that_crosses_the_200_changes_nothing(caller: Caller) -> None:
    leg, invite = await caller.called()
    leg.answer()
    ok = await caller.expect("200 INVITE")
    caller.cancel(invite)
    while (await caller.next()).cseq[1] != "CANCEL":
        pass
    caller.ack(ok)
    await told(leg, Answered)


async def test_a_bye_before_the_answer_ends_it(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called()
    leg.ring()
    ringing = await caller.expect("180 INVITE")
    caller.tell(ringing, "BYE")
    await caller.expect("200 BYE")
    await caller.expect("487 INVITE")
    assert (await told(leg, Ended)).outcome == CALLER_LEFT
    await nothing_left(bench)


async def test_the_200_is_repeated_until_the_ack_and_then_no_more(bench: Bench, caller: Caller) -> None:
    caller.hears_repeats = True
    leg, _ = await caller.called()
    leg.answer()
    first = await caller.expect("200 INVITE")
    again = await caller.expect("200 INVITE")
    assert caller.raw[id(first)] == caller.raw[id(again)]
    caller.ack(first)
    caller.ack(first)
    await told(leg, Answered)
    while caller.inbox.qsize():
        await caller.expect("200 INVITE")
    await caller.silence(bench.address)
    assert leg.signals.empty()


async def test_an_answer_that_is_never_acknowledged_ends_with_a_bye(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called()
    leg.answer()
    while (message := await caller.next()).method_name != "BYE":
        assert message.status_code == 200
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason) == (Status.COMPLETED, Reason.CALLER_HANGUP)
    assert "never acknowledged" in (outcome.detail or "")
    caller.answer(message, 481)
    await caller.silence(bench.address)
    await nothing_left(bench)


async def test_hanging_up_between_200_and_ack_sends_the_bye_after_the_ack(bench: Bench, caller: Caller) -> None:
    caller.hears_repeats = True
    leg, _ = await caller.called()
    leg.answer()
    ok = await caller.expect("200 INVITE")
    leg.hang_up()
    assert (await told(leg, Ended)).outcome.reason is Reason.API
    assert bench.media.ports.used == 0
    await caller.expect("200 INVITE")  # no BYE yet (§15)
    caller.ack(ok)
    while (message := await caller.next()).method_name == "INVITE":
        pass
    assert message.method_name == "BYE"
    caller.answer(message, 200)
    await caller.silence(bench.address)
    await nothing_left(bench)


async def test_an_offer_of_ours_goes_in_the_200_and_is_answered_in_the_ack(caller: Caller) -> None:
    leg, _ = await caller.called(body=b"")
    leg.answer()
    ok = await caller.expect("200 INVITE")
    assert ok.sdp().payloads == {0: "PCMU", 8: "PCMA", 101: "telephone-event"}
    caller.ack(ok, sdp(port=5004, formats="8"))
    await told(leg, Answered)
    assert leg.session.remote is not None
    assert (leg.session.remote.port, leg.session.remote.audio.name) == (5004, "PCMA")


@pytest.mark.parametrize("body", [b"", b"junk", sdp(formats="111"), sdp(address="10.9.8.7")])
async def test_an_ack_without_a_usable_answer_ends_the_call(bench: Bench, caller: Caller, body: bytes) -> None:
    leg, _ = await caller.called(body=b"")
    leg.answer()
    caller.ack(await caller.expect("200 INVITE"), body)
    await caller.expect("BYE")
    outcome = await outcome_of(leg)
    assert outcome.status is Status.FAILED
    assert outcome.reason is (Reason.ADDRESS_DENIED if b"10.9.8.7" in body else Reason.MEDIA)


async def test_the_answer_keeps_the_callers_order_and_numbers(caller: Caller) -> None:
    offer = (
        sdp(formats="96 8 0 97")
        + b"a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\nm=video 6000 RTP/AVP 31\r\n"
    )
    leg, _ = await caller.called(body=offer)
    leg.answer()
    answer = (await caller.expect("200 INVITE")).content.decode()
    assert [
        line.split(maxsplit=1)[0] + " " + line.split(maxsplit=2)[2] for line in answer.splitlines() if line[0] == "m"
    ] == [
        "m=audio RTP/AVP 8 0 97",
        "m=video RTP/AVP 31",
    ]
    assert "m=video 0 " in answer and "a=rtpmap:97 telephone-event/8000" in answer


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"body": sdp(formats="111")}, 488),
    ({"body": sdp().replace(b"RTP/AVP", b"RTP/SAVP")}, 488),
    ({"body": b"junk"}, 488),
    ({"body": sdp(address="10.9.8.7")}, 488),
    ({"body": b"<x/>", "kind": "text/xml"}, 415),
    ({"headers": row("Require", "100rel, precondition")}, 420),
    ({"headers": row("Require", "replaces")}, 420),
    ({"headers": row("Session-Expires", "30")}, 422),
    ({"headers": row("Max-Forwards", "0")}, 483),
    ({"headers": row("Max-Forwards", "00")}, 483),
    ({"without": "Contact"}, 400),
    ({"headers": row("Contact", "<nonsense>")}, 400),
    ({"headers": row("Contact", "<sip:bob@10.9.8.7>")}, 403),
    ({"headers": row("Record-Route", "<sip:10.9.8.7;lr>")}, 403),
    ({"number": "0815"}, 404),
    ({"number": ""}, 404),
]


@pytest.mark.parametrize(("what", "code"), REFUSED, ids=[f"{code} {next(iter(what))}" for what, code in REFUSED])
async def test_an_invite_that_cannot_come_in_is_refused_and_nobody_hears_of_it(
    bench: Bench, caller: Caller, what: dict[str, Any], code: int
) -> None:
    caller.invite(**what)
    answer = await caller.next()
    if answer.status_code == 100:
        answer = await caller.next()
    assert answer.status_code == code
    assert code != 420 or answer.first("Unsupported") in ("precondition", "replaces")
    assert code != 422 or answer.first("Min-SE") == "90"
    assert code not in (403, 488) or answer.first("Warning")
    assert caller.legs.empty()
    await nothing_left(bench)


async def test_without_a_free_port_the_caller_may_try_again(new_bench: NewBench) -> None:
    bench = await new_bench(ports=free_ports(2))
    caller = Caller(bench)
    await caller.open()
    await caller.called()
    caller.call_id = "another"
    caller.invite()
    assert (await caller.expect("503 INVITE")).first("Retry-After")
    caller.close()


async def test_the_same_request_on_two_ways_is_merged(caller: Caller) -> None:
    await caller.called()
    caller.invite()
    await caller.expect("482 INVITE")


async def test_an_invite_that_is_repeated_gets_the_newest_answer_again(caller: Caller) -> None:
    caller.hears_repeats = True
    leg, _ = await caller.called()
    leg.ring()
    first = await caller.expect("180 INVITE")
    caller.send(caller.newest_invite, caller.phone)
    again = await caller.expect("180 INVITE")
    assert caller.raw[id(first)] == caller.raw[id(again)]
    assert len(caller.arrivals) == 1


async def test_an_invite_expires(bench: Bench, caller: Caller) -> None:
    leg, _ = await caller.called(headers=row("Expires", "1"))
    await caller.expect("487 INVITE")
    assert (await told(leg, Ended)).outcome.status is Status.CANCELED
    await nothing_left(bench)


async def test_ringing_is_said_again_each_minute(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    caller.hears_repeats = True
    monkeypatch.setattr("app.sip.answering._AGAIN", 0.05)
    leg, _ = await caller.called()
    leg.ring()
    first = await caller.expect("180 INVITE")
    again = await caller.expect("180 INVITE")
    assert caller.raw[id(first)] == caller.raw[id(again)]
    leg.hang_up()


async def test_what_raises_at_the_door_is_a_500(bench: Bench, caller: Caller) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("of a test")

    bench.phone.take_calls(lambda number: True, fail)
    caller.invite()
    await caller.expect("100 INVITE")
    await caller.expect("500 INVITE")
    await nothing_left(bench)


async def test_a_name_in_the_sdp_is_looked_up_and_a_cancel_may_come_meanwhile(new_bench: NewBench) -> None:
    bench = await new_bench(policy=loopback_only())
    caller = Caller(bench)
    await caller.open()
    leg, _ = await caller.called(body=sdp(address="localhost"))
    assert leg.session.remote is not None
    caller.call_id = "canceled"
    invite = caller.invite(body=sdp(address="nowhere.invalid"))
    await caller.expect("100 INVITE")
    caller.cancel(invite)
    await caller.expect("200 CANCEL")
    await caller.expect("487 INVITE")
    assert caller.legs.empty()
    caller.close()
