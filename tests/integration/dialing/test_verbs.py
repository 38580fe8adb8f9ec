"""Verbs on a caller's leg: what is heard, what keys do, which documents follow."""

import pytest

from app.calls.audio import TakeEnd
from app.calls.outcome import Reason, hung_up
from tests.integration.dialing.stage import ALICE, Stage, asked
from tests.kit.clock import settle

_GONE = hung_up(Reason.CALLEE_HANGUP)


async def test_say_play_and_pause_follow_one_another(stage: Stage) -> None:
    on = await stage.call('<Say>one</Say><Play loop="2">/two.wav</Play><Pause length="3"/><Play digits="1w2"/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "play one")
    caller.audio.playing[-1].ends()
    await asked(caller.audio.asked, "play /two.wav x2")
    caller.audio.playing[-1].ends()
    await settle()
    await stage.clock.move(2.9)
    assert caller.audio.asked[-1] == "play /two.wav x2"
    await stage.clock.move(0.2)
    await asked(caller.audio.asked, "press 1w2")
    caller.audio.playing[-1].ends()
    parent, _ = await on.over()
    assert (parent.status, parent.reason) == ("completed", "document-end")


async def test_keys_are_pressed_as_often_as_a_file_is_played(stage: Stage) -> None:
    on = await stage.call('<Play digits="12" loop="2"/>')
    caller = await on.caller()
    for _ in range(2):
        await asked(caller.audio.asked, "press 12")
        caller.audio.playing[-1].ends()
        await settle()
    await on.over()
    assert caller.audio.asked.count("press 12") == 2


async def test_a_sound_that_cannot_be_had_is_passed_over(stage: Stage) -> None:
    on = await stage.call("<Play>/missing</Play><Say>still here</Say>")
    caller = await on.caller()
    await asked(caller.audio.asked, "play still here")
    caller.ends(_GONE)
    await on.over()


async def test_a_caller_that_hangs_up_silences_what_it_heard(stage: Stage) -> None:
    on = await stage.call("<Say>long</Say><Say>never</Say>")
    caller = await on.caller()
    await asked(caller.audio.asked, "play long")
    caller.ends(_GONE)
    parent, _ = await on.over()
    assert (parent.reason, caller.audio.asked) == ("caller-hangup", ["play long", "stop play long"])


async def test_gather_stops_its_prompt_at_the_first_key_and_sends_the_digits(stage: Stage) -> None:
    stage.app.pages["/digits"] = "<Response><Hangup/></Response>"
    on = await stage.call('<Gather action="/digits"><Say>press</Say><Say>more</Say></Gather>')
    caller = await on.caller()
    await asked(caller.audio.asked, "play press")
    caller.presses("1234#")
    await on.over()
    assert caller.audio.asked == ["tones on", "play press", "stop play press", "tones off"]
    assert stage.app.asked("/digits")[0]["Digits"] == "1234"


async def test_gather_ends_when_enough_digits_have_come(stage: Stage) -> None:
    stage.app.pages["/digits"] = "<Response/>"
    on = await stage.call('<Gather action="/digits" numDigits="2" finishOnKey="*"/>')
    caller = await on.caller()
    caller.presses("#5")
    await on.over()
    assert stage.app.asked("/digits")[0]["Digits"] == "#5"


async def test_gather_waits_its_timeout_after_each_key(stage: Stage) -> None:
    stage.app.pages["/digits"] = "<Response/>"
    on = await stage.call('<Gather action="/digits" timeout="4"/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "tones on")
    for key in "12":
        await settle()
        await stage.clock.move(3.9)
        caller.presses(key)
        await settle()
    await stage.clock.move(4.1)
    await on.over()
    assert stage.app.asked("/digits")[0]["Digits"] == "12"


@pytest.mark.parametrize(("attribute", "asks"), [("", 0), ('actionOnEmptyResult="true"', 1)])
async def test_without_a_key_the_next_verb_runs_unless_the_action_wants_to_know(
    stage: Stage, attribute: str, asks: int
) -> None:
    stage.app.pages["/digits"] = "<Response/>"
    on = await stage.call(f'<Gather action="/digits" timeout="2" {attribute}/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "tones on")
    await settle()
    await stage.clock.move(2.1)
    await on.over()
    assert len(stage.app.asked("/digits")) == asks


async def test_record_beeps_keeps_what_is_said_and_tells_its_action(stage: Stage) -> None:
    stage.app.pages["/said"] = "<Response/>"
    on = await stage.call('<Record action="/said" finishOnKey="#" maxLength="30" timeout="3"/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "play (beep)")
    assert stage.studio.takes == []
    caller.audio.playing[-1].ends()
    await asked(caller.audio.asked, "tones on")
    [(order, first, second, _)] = stage.studio.takes
    assert (order.max_seconds, order.silence, order.channels, second) == (30, 3, 1, None)
    assert first is caller.audio
    caller.presses("1#")
    parent, _ = await on.over()
    [told] = stage.app.asked("/said")
    assert (told["Digits"], told["RecordingSid"], told["RecordingDuration"]) == ("#", order.name, "3")
    assert parent.recording_sid == order.name


async def test_a_record_that_ends_by_silence_goes_on(stage: Stage) -> None:
    stage.app.pages["/said"] = "<Response/>"
    on = await stage.call('<Record action="/said" playBeep="false"/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "tones on")
    stage.studio.takes[0][3].ends(TakeEnd.SILENCE, 8)
    await on.over()
    assert "Digits" not in stage.app.asked("/said")[0]


async def test_a_record_that_heard_nothing_but_silence_lets_the_next_verb_run(stage: Stage) -> None:
    on = await stage.call('<Record action="/said" playBeep="false"/><Redirect>/nothing</Redirect>')
    stage.app.pages["/nothing"] = "<Response/>"
    caller = await on.caller()
    await asked(caller.audio.asked, "tones on")
    stage.studio.takes[0][3].ends(TakeEnd.SILENCE, 5, spoken=False)
    await on.over()
    assert (stage.app.asked("/said"), len(stage.app.asked("/nothing"))) == ([], 1)
    assert len(stage.shelf.finished) == 1


async def test_what_was_recorded_is_kept_when_the_caller_hangs_up(stage: Stage) -> None:
    stage.app.pages["/said"] = "<Response/>"
    on = await stage.call('<Record playBeep="false" action="/said"/>')
    caller = await on.caller()
    await asked(caller.audio.asked, "tones on")
    caller.ends(_GONE)
    parent, _ = await on.over()
    await stage.app.receiver.wait_for(1)
    [told] = stage.app.asked("/said")
    assert (told["Digits"], told["CallStatus"], told["RecordingSid"]) == ("hangup", "completed", parent.recording_sid)
    [(order, taken)] = stage.shelf.finished
    assert (parent.reason, order.source, taken.end) == ("caller-hangup", "RecordVerb", "stopped")


async def test_redirect_replaces_the_rest_and_relative_urls_resolve_against_what_served_it(stage: Stage) -> None:
    stage.app.pages["/there/doc"] = "<Response><Redirect>next</Redirect></Response>"
    stage.app.pages["/there/next"] = "<Response><Say>arrived</Say></Response>"
    on = await stage.call("<Redirect>/there/doc</Redirect><Say>never</Say>")
    caller = await on.caller()
    await asked(caller.audio.asked, "play arrived")
    caller.ends(_GONE)
    await on.over()
    assert len(stage.app.asked("/there/next")) == 1


async def test_a_bare_caller_id_of_a_fetched_document_gets_our_host(stage: Stage) -> None:
    stage.app.pages["/doc"] = f'<Response><Dial callerId="bob"><Sip>{ALICE}</Sip></Dial></Response>'
    on = await stage.call("<Redirect>/doc</Redirect>")
    await on.caller()
    callee = await on.leg(ALICE)
    assert str(callee.order.caller.uri) == "sip:bob@dial.example"
    callee.ends(_GONE)
    await on.over()


async def test_documents_that_go_round_in_circles_end_after_fifty(stage: Stage) -> None:
    stage.app.pages["/round"] = "<Response><Redirect>/round</Redirect></Response>"
    on = await stage.call("<Redirect>/round</Redirect>")
    await on.caller()
    parent, _ = await on.over()
    assert (parent.status, parent.reason, len(stage.app.asked("/round"))) == ("failed", "document-error", 50)


@pytest.mark.parametrize("page", ["<Response><Nonsense/></Response>", "not xml", "<Response><Reject/></Response>"])
async def test_a_document_that_is_not_valid_fails_the_call(stage: Stage, page: str) -> None:
    stage.app.pages["/doc"] = page
    on = await stage.call("<Redirect>/doc</Redirect>")
    caller = await on.caller()
    parent, _ = await on.over()
    assert (parent.status, parent.reason, caller.asked[-1]) == ("failed", "document-error", "hang up")


async def test_hangup_ends_the_call_at_once(stage: Stage) -> None:
    on = await stage.call("<Hangup/><Say>never</Say>")
    caller = await on.caller()
    parent, _ = await on.over()
    assert (parent.status, parent.reason, caller.audio.asked) == ("completed", "document-end", [])
