"""A caller and its callees: who hears what, who ends whom, and what the records and the customer are told."""

import asyncio
import gc
import weakref

import pytest

from app.calls.outcome import Reason, hung_up, of_response
from app.dialing.run import RunningDial
from app.rcml import serial
from app.rcml.plan import DialRequest, Document, Where
from tests.integration.dialing.stage import ALICE, BOB, CALLER, OnStage, Stage, asked, dial
from tests.kit.clock import settle

_DIAL = f"<Dial><Sip>{ALICE}</Sip></Dial>"
_CALLEE_GONE = hung_up(Reason.CALLEE_HANGUP)


async def test_the_caller_is_called_first_hears_ringing_and_is_bridged_to_the_callee(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller(answers=False)
    _, [leg] = await on.records()
    assert (leg.status, [one.order.call_sid for one in stage.phone.legs]) == ("queued", [on.sid])
    caller.rings()
    caller.answers()
    callee = await on.leg(ALICE)
    assert caller.audio.asked == ["play (ringing) x0"]
    assert str(callee.order.caller.uri) == CALLER  # its own number, for there is no callerId
    callee.rings()
    callee.answers()
    await settle()
    assert caller.audio.asked[1:] == ["stop play (ringing) x0", f"bridge {ALICE}"]
    await stage.clock.move(7)
    callee.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason, leg.duration) == ("completed", "callee-hangup", 7)
    assert (parent.status, parent.reason, parent.dial_call_status) == ("completed", "document-end", "completed")
    assert (parent.to_uri, parent.dial_call_duration, caller.asked[-1]) == (CALLER, 7, "hang up")
    assert [one["CallStatus"] for one in await on.owed(parent.sid)] == [
        "initiated",
        "ringing",
        "in-progress",
        "completed",
    ]


@pytest.mark.parametrize(("code", "status", "reason"), [(486, "busy", "busy"), (404, "failed", "rejected")])
async def test_a_caller_that_refuses_ends_the_call_and_nobody_else_is_rung(
    stage: Stage, code: int, status: str, reason: str
) -> None:
    on = await stage.call(_DIAL)
    (await on.caller(answers=False)).ends(of_response(code))
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason, parent.sip_response_code) == (status, reason, code)
    assert (leg.status, leg.reason) == ("canceled", "caller-hangup")
    assert len(stage.phone.legs) == 1


async def test_a_caller_that_does_not_answer_in_its_time_is_no_answer(stage: Stage) -> None:
    on = await stage.call(_DIAL, timeout=20)
    (await on.caller(answers=False)).rings()
    await settle()
    await stage.clock.move(20.1)
    parent, _ = await on.over()
    assert (parent.status, parent.reason) == ("no-answer", "timeout")


async def test_a_caller_that_hangs_up_while_it_rings_cancels_the_callee(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.rings()
    caller.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason, callee.asked[-1]) == ("canceled", "caller-hangup", "hang up")
    assert (parent.status, parent.reason, parent.dial_call_status) == ("completed", "caller-hangup", "canceled")


async def test_a_caller_that_hangs_up_while_it_talks_ends_the_callee(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    caller.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason, callee.asked[-1]) == ("completed", "caller-hangup", "hang up")
    assert (parent.status, parent.reason) == ("completed", "caller-hangup")


async def test_star_ends_the_callee_and_the_caller_goes_on_with_the_document(stage: Stage) -> None:
    on = await stage.call(f'<Dial hangupOnStar="true"><Sip>{ALICE}</Sip></Dial><Say>goodbye</Say>')
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    caller.presses("1")
    await settle()
    assert "hang up" not in callee.asked
    caller.presses("*")
    await asked(caller.audio.asked, "play goodbye")
    caller.audio.playing[-1].ends()
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason) == ("completed", "star")
    assert (parent.status, parent.reason) == ("completed", "document-end")


async def test_without_hangup_on_star_a_star_is_a_key_like_any_other(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    caller.presses("*")
    await settle()
    assert "hang up" not in callee.asked
    caller.ends(_CALLEE_GONE)
    await on.over()


async def test_keys_by_info_are_pressed_on_the_other_side_and_those_by_rtp_are_left_to_the_bridge(
    stage: Stage,
) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    caller.presses("12", by="info")
    caller.presses("3")
    callee.presses("4", by="info")
    callee.presses("5")
    await settle()
    assert [one for one in callee.audio.asked if "press" in one] == ["press 1", "press 2"]
    assert [one for one in caller.audio.asked if "press" in one] == ["press 4"]
    caller.ends(_CALLEE_GONE)
    await on.over()


async def test_the_only_callees_early_media_is_heard_instead_of_our_tone(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.is_heard_early()
    await settle()
    assert caller.audio.asked == ["play (ringing) x0", "stop play (ringing) x0", f"overhear {ALICE}"]
    callee.answers()
    await settle()
    assert caller.audio.asked[-1] == f"bridge {ALICE}"
    caller.ends(_CALLEE_GONE)
    await on.over()


async def test_early_media_of_several_callees_is_not_mixed_into_the_ringing(stage: Stage) -> None:
    on = await stage.call(f"<Dial><Sip>{ALICE}</Sip><Sip>{BOB}</Sip></Dial>")
    caller = await on.caller()
    (await on.leg(ALICE)).is_heard_early()
    await settle()
    assert caller.audio.asked == ["play (ringing) x0"]
    caller.ends(_CALLEE_GONE)
    await on.over()


async def test_the_action_is_told_how_the_dial_went_and_its_document_goes_on(stage: Stage) -> None:
    stage.app.pages["/after"] = "<Response><Say>bye</Say></Response>"
    on = await stage.call(f'<Dial action="/after"><Sip>{ALICE}</Sip></Dial><Say>never</Say>')
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers((("X-Order", "42"),))
    await settle()
    await stage.clock.move(5)
    callee.ends(_CALLEE_GONE)
    await asked(caller.audio.asked, "play bye")
    caller.audio.playing[-1].ends()
    _, [leg] = await on.over()
    [told] = stage.app.asked("/after")
    assert (told["CallSid"], told["CallStatus"], told["Direction"]) == (on.sid, "in-progress", "outbound-api")
    assert (told["DialCallStatus"], told["DialCallSid"], told["DialCallDuration"]) == ("completed", leg.sid, "5")
    assert (told["DialSipResponseCode"], told["DialSipHeader_X-Order"]) == ("200", "42")
    assert "play never" not in caller.audio.asked


async def test_the_action_hears_of_a_caller_that_hung_up_and_its_answer_changes_nothing(stage: Stage) -> None:
    stage.app.pages["/after"] = "<Response><Say>nobody hears</Say></Response>"
    on = await stage.call(f'<Dial action="/after"><Sip>{ALICE}</Sip></Dial>')
    caller = await on.caller()
    (await on.leg(ALICE)).answers()
    await settle()
    caller.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    await stage.app.receiver.wait_for(1)
    [told] = stage.app.asked("/after")
    assert (told["CallStatus"], told["DialCallStatus"], told["DialCallSid"]) == ("completed", "completed", leg.sid)
    assert (parent.status, parent.reason) == ("completed", "caller-hangup")
    assert not [one for one in caller.audio.asked if "nobody" in one]


async def test_the_action_of_a_replaced_dial_is_not_asked(stage: Stage) -> None:
    stage.app.pages["/after"] = "<Response/>"
    on = await stage.call(f'<Dial action="/after"><Sip>{ALICE}</Sip></Dial>')
    await on.caller()
    (await on.leg(ALICE)).answers()
    await settle()
    on.dial.replace(serial.dumps_document(stage.document("<Hangup/>", Where.CALLER)))
    await on.over()
    assert stage.app.asked("/after") == []


async def test_star_as_a_tone_counts_for_a_caller_that_has_no_events(stage: Stage) -> None:
    on = await stage.call(f'<Dial hangupOnStar="true"><Sip>{ALICE}</Sip></Dial>')
    caller = await on.caller()
    caller.audio.has_events = False
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    assert caller.audio.asked[-1] == "tones on"
    caller.presses("*", by="tone")
    _, [leg] = await on.over()
    assert (leg.reason, caller.audio.asked[-2:]) == ("star", ["tones off", "part"])


async def test_an_action_that_cannot_be_had_fails_the_parent(stage: Stage) -> None:
    on = await stage.call(f'<Dial action="/nowhere"><Sip>{ALICE}</Sip></Dial>')
    await on.caller()
    (await on.leg(ALICE)).ends(of_response(486))
    parent, _ = await on.over()
    assert (parent.status, parent.reason, parent.dial_call_status) == ("failed", "document-error", "busy")


async def test_an_action_works_without_a_caller_too(stage: Stage) -> None:
    stage.app.pages["/after"] = f"<Response><Dial><Sip>{BOB}</Sip></Dial></Response>"
    action = stage.document(f'<Dial action="/after"><Sip>{ALICE}</Sip></Dial>', Where.STAND_IN)
    on = await stage.start(*action.verbs)  # type: ignore[arg-type]  # they are Dials
    (await on.leg(ALICE)).ends(of_response(486))
    (await on.leg(BOB)).ends(of_response(404))
    parent, legs = await on.over()
    assert [leg.status for leg in legs] == ["busy", "failed"]
    assert (parent.status, parent.reason) == ("completed", "document-end")


async def test_what_both_say_is_recorded_from_the_answer_and_told_with_the_end(stage: Stage) -> None:
    stage.app.pages["/after"] = "<Response/>"
    on = await stage.call(
        '<Dial record="record-from-answer-dual" recordingStatusCallback="/rec" action="/after">'
        f'<Sip statusCallback="/leg">{ALICE}</Sip></Dial>'
    )
    await on.caller()
    callee = await on.leg(ALICE)
    assert stage.studio.takes == []
    callee.answers()
    await settle()
    [(order, *_)] = stage.studio.takes
    assert (order.channels, stage.shelf.begun[0].call.sid) == (2, on.sid)
    await stage.clock.move(3)
    callee.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    [(finished, _)] = stage.shelf.finished
    assert finished.notice is not None and finished.notice.url == stage.app.url("/rec")
    assert (parent.recording_sid, parent.recording_duration) == (order.name, 3)
    for call in (parent, leg):
        told = (await on.owed(call.sid))[-1]
        assert (told["RecordingSid"], told["RecordingDuration"]) == (order.name, "3")
    assert stage.app.asked("/after")[0]["RecordingUrl"].endswith(f"{order.name}.wav")


async def test_nobody_is_told_of_a_recording_that_no_disk_had_room_for(stage: Stage) -> None:
    stage.studio.is_full = True
    stage.app.pages["/after"] = '<Response><Record playBeep="false" action="/more"/><Hangup/></Response>'
    sip = f'<Sip statusCallback="https://app.example/events">{ALICE}</Sip>'
    on = await stage.call(f'<Dial record="true" action="/after">{sip}</Dial>')
    await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    callee.ends(_CALLEE_GONE)
    parent, [leg] = await on.over()
    for call in (parent, leg):
        assert not [name for name in (await on.owed(call.sid))[-1] if name.startswith("Recording")]
    [told] = stage.app.asked("/after")
    assert (told["DialCallStatus"], "RecordingUrl" in told, stage.app.asked("/more")) == ("completed", False, [])
    assert len(stage.shelf.finished) == 2  # stored as absent, and whoever asked for that is told so


async def test_the_document_is_replaced_while_both_talk(stage: Stage) -> None:
    on = await stage.call(_DIAL + "<Say>never</Say>")
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    on.dial.replace(serial.dumps_document(stage.document("<Say>new</Say>", Where.CALLER)))
    await asked(caller.audio.asked, "play new")
    assert (callee.asked[-1], caller.audio.asked[-2]) == ("hang up", "part")
    caller.audio.playing[-1].ends()
    parent, [leg] = await on.over()
    assert (leg.status, leg.reason) == ("completed", "api")
    assert (parent.status, parent.reason) == ("completed", "document-end")


async def test_hanging_up_the_parent_over_the_api_ends_both(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    on.dial.hang_up(on.sid)
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason, leg.status, leg.reason) == ("completed", "api", "completed", "api")
    assert caller.asked[-1] == callee.asked[-1] == "hang up"


async def test_hanging_up_before_the_caller_answers_cancels_all(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller(answers=False)
    on.dial.hang_up(on.sid)
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason, leg.status, leg.reason) == ("canceled", "api", "canceled", "api")
    assert caller.asked[-1] == "hang up"


async def test_a_leg_that_is_canceled_while_the_caller_rings_is_never_called(stage: Stage) -> None:
    on = await stage.call(f"<Dial><Sip>{ALICE}</Sip><Sip>{BOB}</Sip></Dial>")
    caller = await on.caller(answers=False)
    _, [first, second] = await on.records()
    on.dial.hang_up(first.sid)
    await on.until(lambda legs: (legs[0].status, legs[0].reason) == ("canceled", "api"))
    caller.answers()
    (await on.leg(BOB)).answers()
    await settle()
    stage.phone.to(BOB).ends(_CALLEE_GONE)
    parent, legs = await on.over()
    assert [(leg.status, leg.reason) for leg in legs] == [("canceled", "api"), ("completed", "callee-hangup")]
    assert (parent.dial_call_status, parent.dial_call_sid) == ("completed", second.sid)
    assert ALICE not in [str(leg.order.target) for leg in stage.phone.legs]


async def test_a_leg_that_was_canceled_before_any_worker_had_it_is_never_called(stage: Stage) -> None:
    request = DialRequest(Document((dial(ALICE, BOB),)), None, {})
    placed = await stage.place(stage.account, request, rcml="<Response/>", idempotency=None)
    await stage.queue.want(stage.account, placed.legs[0].sid, "canceled")
    [claimed] = await stage.queue.claim(stage.worker_id, limit=1, max_wait=60)
    running = RunningDial(claimed, stage.running)
    on = OnStage(stage, running, asyncio.create_task(running.run()), placed.parent.sid)
    (await on.leg(BOB)).ends(of_response(486))
    parent, legs = await on.over()
    assert [(leg.status, leg.reason) for leg in legs] == [("canceled", "api"), ("busy", "busy")]
    assert (parent.dial_call_status, len(stage.phone.legs)) == ("busy", 1)


async def test_a_worker_that_lost_its_lease_lets_both_go_and_writes_nothing(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    caller = await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await on.until(lambda legs: legs[0].status == "in-progress")
    before = await on.records()
    on.dial.forfeit()
    await asyncio.wait([on.task])
    caller.ends(_CALLEE_GONE)
    await settle()
    assert caller.asked[-1] == callee.asked[-1] == "hang up"
    assert await on.records() == before


async def test_a_call_is_freed_when_it_is_over_and_not_by_a_collection(stage: Stage) -> None:
    on = await stage.call(_DIAL)
    await on.caller()
    callee = await on.leg(ALICE)
    callee.answers()
    await settle()
    freed = weakref.ref(on.dial)
    gc.collect()
    gc.disable()
    try:
        callee.ends(_CALLEE_GONE)
        await on.over()
        on.dial, on.task = None, None  # type: ignore[assignment]  # nobody has them any more
        stage.phone.legs.clear()
        del callee
        async with asyncio.timeout(5):
            while freed() is not None:
                await asyncio.sleep(0)
    finally:
        gc.enable()
