"""A callee that answers hears a document alone; only if that lets it, it is connected (contract 4.4)."""

import asyncio
import gc

import pytest

from app.calls.outcome import Reason, hung_up
from app.dialing.interpret import Broken, Script
from app.dialing.record import Record
from app.rcml.plan import Link, Screening, Where
from tests.integration.dialing.stage import ALICE, BOB, OnStage, Stage, asked, dial, target
from tests.kit.clock import settle
from tests.kit.phone import ScriptedLeg

_GONE = hung_up(Reason.CALLEE_HANGUP)


async def _screened(stage: Stage, page: str | None, *others: str) -> tuple[OnStage, ScriptedLeg]:
    """Alice has answered, and her screening runs."""
    if page is not None:
        stage.app.pages["/screen"] = f"<Response>{page}</Response>"
    screened = target(ALICE, screening=Screening(Link(stage.app.url("/screen")), timeout=30))
    on = await stage.start(dial(screened, *others))
    leg = await on.leg(ALICE)
    for other in others:
        await on.leg(other)
    leg.answers()
    await settle()
    return on, leg


async def test_the_end_of_the_document_accepts(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Say>a call for you</Say>")
    await asked(leg.audio.asked, "play a call for you")
    await on.until(lambda legs: legs[0].screening == "running")
    _, [record] = await on.records()
    assert record.status == "in-progress"
    assert stage.app.asked("/screen")[0]["CallSid"] == record.sid
    leg.audio.playing[-1].ends()
    await on.until(lambda legs: legs[0].screening == "accepted")
    leg.ends(_GONE)
    parent, [record] = await on.over()
    assert (record.status, record.reason, parent.dial_call_status) == ("completed", "callee-hangup", "completed")


@pytest.mark.parametrize(
    ("page", "screening", "reason"),
    [
        ("<Hangup/>", "declined", "screening-declined"),
        (None, "error", "screening-error"),
        ("<Nonsense/>", "error", "screening-error"),
        (f"<Dial><Sip>{BOB}</Sip></Dial>", "error", "screening-error"),
    ],
)
async def test_what_declines(stage: Stage, page: str | None, screening: str, reason: str) -> None:
    on, leg = await _screened(stage, page)
    parent, [record] = await on.over()
    assert (record.status, record.reason, record.screening) == ("completed", reason, screening)
    assert (parent.dial_call_status, leg.asked[-1]) == ("no-answer", "hang up")


async def test_a_screening_that_takes_too_long_declines(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Say>for ever</Say>")
    await asked(leg.audio.asked, "play for ever")
    await stage.clock.move(30.1)
    _, [record] = await on.over()
    assert (record.status, record.reason, record.screening) == ("completed", "screening-timeout", "timeout")


async def test_a_callee_that_hangs_up_while_it_is_screened_declines(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Say>listen</Say>")
    await asked(leg.audio.asked, "play listen")
    leg.ends(_GONE)
    _, [record] = await on.over()
    assert (record.status, record.reason, record.screening) == ("completed", "screening-declined", "declined")


async def test_a_key_decides(stage: Stage) -> None:
    stage.app.pages["/key"] = "<Response><Hangup/></Response>"
    on, leg = await _screened(stage, '<Gather numDigits="1" action="/key"/>')
    await asked(leg.audio.asked, "tones on")
    leg.presses("2")
    _, [record] = await on.over()
    assert (record.reason, stage.app.asked("/key")[0]["Digits"]) == ("screening-declined", "2")


async def test_others_ring_on_and_the_first_that_accepts_wins(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Say>listen</Say>", BOB)
    await asked(leg.audio.asked, "play listen")
    bob = stage.phone.to(BOB)
    assert "hang up" not in bob.asked
    bob.answers()
    await on.until(lambda legs: legs[0].status == "completed")
    bob.ends(_GONE)
    parent, records = await on.over()
    assert [(one.status, one.reason) for one in records] == [("completed", "lost-race"), ("completed", "callee-hangup")]
    assert [one.screening for one in records] == [None, None]  # no verdict was reached
    assert parent.dial_call_sid == records[1].sid


async def test_others_ring_on_after_a_decline(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Hangup/>", BOB)
    await on.until(lambda legs: legs[0].status == "completed")
    bob = stage.phone.to(BOB)
    assert (leg.asked[-1], "hang up" in bob.asked) == ("hang up", False)
    bob.answers()
    await settle()
    bob.ends(_GONE)
    parent, records = await on.over()
    assert [one.reason for one in records] == ["screening-declined", "callee-hangup"]
    assert parent.dial_call_status == "completed"


async def test_the_time_to_answer_does_not_count_while_it_is_screened(stage: Stage) -> None:
    on, leg = await _screened(stage, '<Pause length="29"/>', BOB)
    await on.until(lambda legs: legs[0].screening == "running")
    await stage.app.receiver.wait_for(1)
    await settle()
    for _ in range(29):
        await stage.clock.move(1)
    await on.until(lambda legs: legs[0].screening == "accepted")
    assert stage.phone.to(BOB).asked[-1] == "hang up"
    leg.ends(_GONE)
    await on.over()


async def test_hanging_up_the_call_ends_a_screening(stage: Stage) -> None:
    on, leg = await _screened(stage, "<Say>listen</Say>")
    await asked(leg.audio.asked, "play listen")
    on.dial.hang_up(on.sid)
    _, [record] = await on.over()
    assert (record.status, record.reason, record.screening, leg.asked[-1]) == ("completed", "api", None, "hang up")


async def test_a_document_that_fails_in_the_moment_its_line_goes_is_nobodys_error(stage: Stage) -> None:
    unseen: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    on, leg = await _screened(stage, "<Say>listen</Say>")
    await asked(leg.audio.asked, "play listen")
    _, [record] = await on.records()
    script = Script(
        Record(record, stage.running.journal, stage.clock), stage.running.sources, where=Where.CALLER, line=None
    )

    async def fails() -> None:
        raise Broken("not valid")

    waiting = loop.create_task(script._until_stopped(fails()))
    await asyncio.sleep(0)  # it waits
    await asyncio.sleep(0)  # what it waits for has failed, and it does not know yet
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert waiting.cancelled()
    del waiting  # its traceback holds what failed
    gc.collect()
    assert unseen == []
    leg.ends(_GONE)
    await on.over()


async def test_the_caller_hears_ringing_until_somebody_accepts(stage: Stage) -> None:
    stage.app.pages["/screen"] = "<Response><Say>listen</Say></Response>"
    on = await stage.call(f'<Dial><Sip url="/screen">{ALICE}</Sip></Dial>')
    caller = await on.caller()
    leg = await on.leg(ALICE)
    leg.is_heard_early()  # not for the caller: it may be declined
    leg.answers()
    await asked(leg.audio.asked, "play listen")
    assert caller.audio.asked == ["play (ringing) x0"]
    leg.audio.playing[-1].ends()
    await asked(caller.audio.asked, f"bridge {ALICE}")
    caller.ends(_GONE)
    _, [record] = await on.over()
    assert (record.reason, record.screening) == ("caller-hangup", "accepted")


async def test_a_caller_that_leaves_during_a_screening_ends_it(stage: Stage) -> None:
    stage.app.pages["/screen"] = "<Response><Say>listen</Say></Response>"
    on = await stage.call(f'<Dial><Sip url="/screen">{ALICE}</Sip></Dial>')
    caller = await on.caller()
    leg = await on.leg(ALICE)
    leg.answers()
    await asked(leg.audio.asked, "play listen")
    caller.ends(_GONE)
    parent, [record] = await on.over()
    assert (record.status, record.reason, record.screening) == ("completed", "caller-hangup", None)
    assert (parent.reason, parent.dial_call_status) == ("caller-hangup", "no-answer")
