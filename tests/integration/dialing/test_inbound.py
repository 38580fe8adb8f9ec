"""A call that comes in: ring-through, its answer or refusal, and the document of its number."""

import pytest

from app.calls.outcome import Reason, hung_up, of_response
from tests.integration.dialing.stage import ALICE, BOB, Stage, asked
from tests.kit.clock import settle
from tests.kit.receiver import hang

_GONE = hung_up(Reason.CALLEE_HANGUP)
_DIAL = f"<Response><Dial><Sip>{ALICE}</Sip></Dial></Response>"


async def test_the_caller_rings_while_the_callee_does_and_is_answered_when_that_answers(stage: Stage) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    callee = await on.leg(ALICE)
    [told] = stage.app.asked("/voice")
    assert (told["CallSid"], told["From"], told["To"]) == (on.sid, "sip:ann@peer", "sip:100@dial.example")
    assert (told["Direction"], told["CallerName"], told["SipHeader_X-Trunk"]) == ("inbound", "Ann", "7")
    assert told["CallStatus"] == "ringing"
    assert arrival.asked == []
    callee.rings()
    await settle()
    assert arrival.asked == ["ring"]
    callee.answers()
    await settle()
    assert (arrival.asked, arrival.audio.asked) == (["ring", "answer"], [f"bridge {ALICE}"])
    assert str(callee.order.caller) == '"Ann" <sip:ann@peer>'
    arrival.acknowledges()
    await settle()
    await stage.clock.move(4)
    arrival.hangs_up()
    parent, [leg] = await on.over()
    assert (parent.direction, parent.status, parent.reason, parent.duration) == (
        "inbound",
        "completed",
        "caller-hangup",
        4,
    )
    assert (leg.status, leg.reason, callee.asked[-1]) == ("completed", "caller-hangup", "hang up")
    assert [one["CallStatus"] for one in await on.owed(on.sid)] == ["initiated", "ringing", "in-progress", "completed"]


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_a_callee_that_is_gone_before_the_callers_ack_ends_an_answered_call(
    stage: Stage, acknowledged: bool
) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    callee.ends(_GONE)
    await settle()
    assert arrival.asked == ["answer"]  # neither refused, for that is too late, nor hung up before its ACK
    if acknowledged:
        arrival.acknowledges()
    else:
        arrival.hangs_up()
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason) == ("completed", "callee-hangup")
    if acknowledged:
        assert (parent.status, parent.reason, arrival.asked[-1]) == ("completed", "document-end", "hang up")
    else:
        assert (parent.status, parent.reason) == ("canceled", "caller-hangup")


async def test_the_callee_is_hung_up_with_its_caller_whatever_the_database_is_at(stage: Stage) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    arrival.acknowledges()
    arrival.hangs_up()  # before its answer can have been written
    await settle()
    assert callee.asked[-1] == "hang up"
    parent, [leg] = await on.over()
    assert (parent.reason, leg.reason) == ("caller-hangup", "caller-hangup")


@pytest.mark.parametrize(("left", "hops"), [(70, 35), (9, 4), (1, 0)])
async def test_a_call_that_goes_out_again_may_go_less_far(stage: Stage, left: int, hops: int) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice", hops_left=left)
    assert (await on.leg(ALICE)).order.hops == hops
    arrival.cancels()
    await on.over()


async def test_a_caller_that_leaves_while_it_is_told_something_has_left(stage: Stage) -> None:
    on = await stage.call("<Play>APP/a.wav</Play>")
    caller = await on.caller()
    await asked(caller.audio.asked, "play /a.wav")
    caller.ends(_GONE)
    caller.audio.playing[-1].ends()  # its audio ends with its leg
    parent, _ = await on.over()
    assert (parent.status, parent.reason) == ("completed", "caller-hangup")


async def test_the_callees_early_media_reaches_a_caller_that_is_not_answered(stage: Stage) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    (await on.leg(ALICE)).is_heard_early()
    await settle()
    assert (arrival.asked, arrival.audio.asked) == (["ring", "open early"], [f"overhear {ALICE}"])
    arrival.cancels()
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason) == ("canceled", "caller-hangup")
    assert (leg.status, leg.reason) == ("canceled", "caller-hangup")


@pytest.mark.parametrize(
    ("code", "answer", "status"), [(486, 486, "busy"), (480, 480, "no-answer"), (404, 480, "failed")]
)
async def test_what_became_of_the_dial_is_the_answer_to_a_caller_never_answered(
    stage: Stage, code: int, answer: int, status: str
) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    (await on.leg(ALICE)).ends(of_response(code))
    parent, _ = await on.over()
    assert (parent.status, parent.reason, arrival.asked[-1]) == (status, "document-end", f"reject {answer}")


@pytest.mark.parametrize(
    ("reject", "code", "status", "reason"),
    [("<Reject/>", 603, "busy", "declined"), ('<Reject reason="busy"/>', 486, "busy", "busy")],
)
async def test_a_rejected_call_is_never_answered(
    stage: Stage, reject: str, code: int, status: str, reason: str
) -> None:
    stage.app.pages["/voice"] = f"<Response>{reject}</Response>"
    on, arrival = await stage.arrive("/voice")
    parent, _ = await on.over()
    assert (arrival.asked, parent.status, parent.reason) == ([f"reject {code}"], status, reason)


async def test_a_verb_for_the_ear_answers_first(stage: Stage) -> None:
    stage.app.pages["/voice"] = "<Response><Say>welcome</Say></Response>"
    on, arrival = await stage.arrive("/voice")
    await asked(arrival.asked, "answer")
    assert arrival.audio.asked == []
    arrival.acknowledges()
    await asked(arrival.audio.asked, "play welcome")
    arrival.audio.playing[-1].ends()
    parent, _ = await on.over()
    assert (parent.status, parent.reason, arrival.asked[-1]) == ("completed", "document-end", "hang up")


async def test_answer_on_bridge_false_answers_before_anybody_is_rung(stage: Stage) -> None:
    stage.app.pages["/voice"] = _DIAL.replace("<Dial>", '<Dial answerOnBridge="false">')
    on, arrival = await stage.arrive("/voice")
    await asked(arrival.asked, "answer")
    arrival.acknowledges()
    await on.leg(ALICE)
    assert arrival.audio.asked == ["play (ringing) x0"]
    arrival.hangs_up()
    await on.over()


async def test_a_document_that_is_not_valid_is_told_to_the_second_url_once(stage: Stage) -> None:
    stage.app.pages["/voice"] = "<Response><Redirect>/next</Redirect></Response>"
    stage.app.pages["/next"] = "<Response><Bogus/></Response>"
    stage.app.pages["/fallback"] = "<Response><Redirect>/last</Redirect></Response>"
    stage.app.pages["/last"] = "<Response><Reject/></Response>"
    on, _ = await stage.arrive("/voice", "/fallback")
    await on.over()
    [told], [after] = stage.app.asked("/fallback"), stage.app.asked("/last")
    assert (told["ErrorCode"], told["ErrorUrl"]) == ("12100", stage.app.url("/next"))
    assert "ErrorCode" not in after


async def test_a_pause_puts_the_answer_off_and_rings(stage: Stage) -> None:
    stage.app.pages["/voice"] = '<Response><Pause length="5"/><Reject reason="busy"/></Response>'
    on, arrival = await stage.arrive("/voice")
    await asked(arrival.asked, "ring")
    await settle()
    await stage.clock.move(5)
    parent, _ = await on.over()
    assert (parent.status, arrival.asked) == ("busy", ["ring", "reject 486"])


async def test_the_second_url_is_tried_once_when_the_first_fails(stage: Stage) -> None:
    stage.app.pages["/fallback"] = '<Response><Reject reason="busy"/></Response>'
    on, arrival = await stage.arrive("/broken", "/fallback")
    parent, _ = await on.over()
    assert (parent.status, arrival.asked[-1]) == ("busy", "reject 486")
    assert (parent.sip_response_code, parent.sip_response_reason) == (486, "Busy Here")
    [told] = stage.app.asked("/fallback")
    assert (told["ErrorCode"], told["ErrorUrl"], told["CallSid"]) == ("11200", stage.app.url("/broken"), on.sid)
    on, arrival = await stage.arrive("/broken", "/broken-too")
    parent, _ = await on.over()
    assert (parent.status, parent.reason, arrival.asked[-1]) == ("failed", "document-error", "reject 480")


async def test_a_caller_that_gives_up_while_its_document_is_fetched_is_canceled(stage: Stage) -> None:
    stage.app.pages["/voice"] = hang()
    on, arrival = await stage.arrive("/voice")
    await stage.app.receiver.wait_for(1)
    arrival.cancels()
    parent, _ = await on.over()
    assert (parent.status, parent.reason) == ("canceled", "caller-hangup")


async def test_an_ack_that_never_comes_cancels_the_call(stage: Stage) -> None:
    stage.app.pages["/voice"] = "<Response><Say>welcome</Say></Response>"
    on, arrival = await stage.arrive("/voice")
    await asked(arrival.asked, "answer")
    arrival.hangs_up()
    parent, _ = await on.over()
    assert (parent.status, parent.reason) == ("canceled", "caller-hangup")


async def test_one_more_dial_after_the_first_finds_its_own_legs(stage: Stage) -> None:
    stage.app.pages["/voice"] = f"<Response><Dial><Sip>{ALICE}</Sip></Dial><Dial><Sip>{BOB}</Sip></Dial></Response>"
    on, arrival = await stage.arrive("/voice")
    (await on.leg(ALICE)).ends(of_response(486))
    (await on.leg(BOB)).answers()
    await settle()
    arrival.acknowledges()
    arrival.hangs_up()
    parent, legs = await on.over()
    assert [(leg.leg_index, leg.status) for leg in legs] == [(0, "busy"), (1, "completed")]
    assert parent.dial_call_sid == legs[1].sid


async def test_hanging_up_an_inbound_call_that_only_rings_refuses_it(stage: Stage) -> None:
    stage.app.pages["/voice"] = _DIAL
    on, arrival = await stage.arrive("/voice")
    (await on.leg(ALICE)).rings()
    await settle()
    on.dial.hang_up(on.sid)
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason, leg.status, arrival.asked[-1]) == ("canceled", "api", "canceled", "hang up")
