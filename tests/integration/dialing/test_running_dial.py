"""One dial from its claim to its end: a scripted phone, a clock that is moved, and the real database."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.calls.call import Call
from app.calls.errors import Unavailable
from app.calls.outcome import ADDRESS_DENIED, UNREACHABLE, Reason, hung_up, of_response
from app.calls.uri import NameAddr
from app.dialing.rescue import Rescue
from app.dialing.run import RunningDial
from app.rcml.plan import DialRequest, Document
from tests.integration.dialing.stage import ALICE, BOB, CAROL, PARENT_EVENTS, OnStage, Stage, dial
from tests.kit.clock import settle


async def test_a_call_that_is_answered_and_hung_up_by_the_callee(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, caller_id="bob"))
    leg = await on.leg(ALICE)
    leg.rings()
    await settle()
    await stage.clock.move(2)
    leg.answers((("X-Order", "42"),))
    await settle()
    await stage.clock.move(3)
    leg.ends(hung_up(Reason.CALLEE_HANGUP))
    parent, [record] = await on.over()
    assert (record.status, record.reason, record.duration, record.ring_duration) == ("completed", "callee-hangup", 3, 2)
    assert (record.from_uri, record.sip_response_code) == ("sip:bob@dial.example", 200)
    assert (parent.status, parent.reason, parent.dial_call_status) == ("completed", "document-end", "completed")
    assert (parent.dial_call_sid, parent.dial_call_duration) == (record.sid, 3)
    said = await on.owed(record.sid)
    assert [(one["SequenceNumber"], one["CallStatus"]) for one in said] == [
        ("0", "initiated"),
        ("1", "ringing"),
        ("2", "in-progress"),
        ("3", "completed"),
    ]
    assert said[2]["SipHeader_X-Order"] == "42"
    assert (said[3]["CallDuration"], said[3]["Reason"], said[3]["SipResponseCode"]) == ("3", "callee-hangup", "200")
    assert [one["CallStatus"] for one in await on.owed(parent.sid)] == ["initiated", "completed"]


async def test_the_invite_leaves_only_after_initiated_is_stored(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    _, [record] = await on.records()
    assert record.status == "initiated"
    assert record.dialog is not None
    assert leg.asked == ["prepare", "invite"]
    leg.ends(of_response(486, "Busy Here"))
    await on.over()


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [(486, "busy", "busy"), (603, "busy", "declined"), (480, "no-answer", "unavailable"), (404, "failed", "rejected")],
)
async def test_a_refusal_ends_the_leg_and_the_document_goes_on(
    stage: Stage, code: int, status: str, reason: str
) -> None:
    on = await stage.start(dial(ALICE))
    (await on.leg(ALICE)).ends(of_response(code, "No"))
    parent, [record] = await on.over()
    assert (record.status, record.reason, record.sip_response_code) == (status, reason, code)
    assert (parent.status, parent.dial_call_status, parent.dial_call_sid) == ("completed", status, record.sid)


async def test_ringing_longer_than_timeout_is_no_answer_and_is_cancelled(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, timeout=10))
    leg = await on.leg(ALICE)
    leg.rings()
    await settle()
    await stage.clock.move(9.9)
    assert "hang up" not in leg.asked
    await stage.clock.move(0.2)
    _, [record] = await on.over()
    assert (record.status, record.reason) == ("no-answer", "timeout")
    assert leg.asked[-1] == "hang up"


async def test_silence_until_timeout_is_unreachable(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, timeout=10))
    await on.leg(ALICE)
    await stage.clock.move(10.1)
    _, [record] = await on.over()
    assert (record.status, record.reason) == ("failed", "unreachable")


async def test_ringing_is_told_once_however_often_it_rings(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    for code in (100, 180, 183, 180):
        leg.rings(code)
    leg.ends(of_response(486))
    _, [record] = await on.over()
    assert [one["CallStatus"] for one in await on.owed(record.sid)] == ["initiated", "ringing", "busy"]


async def test_the_first_answer_wins_and_the_others_are_cancelled(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, BOB, CAROL))
    alice, bob, carol = [await on.leg(target) for target in (ALICE, BOB, CAROL)]
    carol.ends(of_response(486))
    alice.rings()
    await settle()
    bob.answers()
    alice.answers()  # crosses our CANCEL: fires nothing
    await settle()
    assert alice.asked[-1] == "hang up"
    bob.ends(hung_up(Reason.CALLEE_HANGUP))
    parent, records = await on.over()
    assert [(leg.status, leg.reason) for leg in records] == [
        ("canceled", "lost-race"),
        ("completed", "callee-hangup"),
        ("busy", "busy"),
    ]
    assert (parent.dial_call_status, parent.dial_call_sid) == ("completed", records[1].sid)
    for record in records:
        assert (
            sum(
                one["CallbackSource"] == "call-progress-events" and "Reason" in one for one in await on.owed(record.sid)
            )
            == 1
        )


async def test_the_time_limit_hangs_up(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, time_limit=60))
    leg = await on.leg(ALICE)
    leg.answers()
    await settle()
    await stage.clock.move(60.1)
    _, [record] = await on.over()
    assert (record.status, record.reason, record.duration) == ("completed", "time-limit", 60)
    assert leg.asked[-1] == "hang up"


async def test_silence_on_the_wire_ends_an_answered_leg(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    leg.answers()
    leg.falls_silent()
    _, [record] = await on.over()
    assert (record.status, record.reason) == ("completed", "media-timeout")


@pytest.mark.parametrize("outcome", [ADDRESS_DENIED, UNREACHABLE])
async def test_a_target_that_cannot_be_dialled_was_never_initiated(stage: Stage, outcome: Any) -> None:
    stage.phone.refuses[ALICE] = outcome
    on = await stage.start(dial(ALICE))
    _, [record] = await on.over()
    assert (record.status, record.reason, record.start_time) == ("failed", outcome.reason, None)
    assert [one["CallStatus"] for one in await on.owed(record.sid)] == ["failed"]


async def test_an_end_that_cannot_be_ends_the_record_all_the_same(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    leg.rings()
    leg.ends(hung_up(Reason.CALLEE_HANGUP))
    parent, [record] = await on.over()
    assert (record.status, record.reason) == ("failed", "callee-hangup")
    assert [one["CallStatus"] for one in await on.owed(record.sid)][-1] == "failed"
    assert parent.dial_call_status == "failed"


async def test_without_a_free_port_the_leg_fails_for_want_of_capacity(stage: Stage) -> None:
    stage.phone.has_ports = False
    on = await stage.start(dial(ALICE))
    _, [record] = await on.over()
    assert (record.status, record.reason) == ("failed", "no-capacity")


async def test_a_later_dial_rings_when_the_one_before_is_over(stage: Stage) -> None:
    on = await stage.start(dial(ALICE), dial(BOB, caller_id=NameAddr.parse('"Me" <sip:me@h>')))
    (await on.leg(ALICE)).ends(of_response(486))
    (await on.leg(BOB)).ends(of_response(404))
    parent, records = await on.over()
    assert [(leg.to_uri, leg.status) for leg in records] == [(ALICE, "busy"), (BOB, "failed")]
    assert (records[1].from_uri, parent.dial_call_sid) == ("sip:me@h", records[1].sid)


async def test_hanging_up_the_parent_while_it_rings_cancels_everything(stage: Stage) -> None:
    on = await stage.start(dial(ALICE), dial(BOB))
    leg = await on.leg(ALICE)
    on.dial.hang_up(on.sid)
    parent, [record] = await on.over()
    assert (record.status, record.reason, leg.asked[-1]) == ("canceled", "api", "hang up")
    assert (parent.status, parent.reason) == ("canceled", "api")


async def test_hanging_up_the_parent_while_somebody_talks_completes_both(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    leg.answers()
    await settle()
    on.dial.hang_up(on.sid)
    parent, [record] = await on.over()
    assert (record.status, record.reason) == ("completed", "api")
    assert (parent.status, parent.reason) == ("completed", "api")


async def test_hanging_up_one_leg_leaves_the_others_ringing(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, BOB))
    await on.leg(ALICE)
    bob = await on.leg(BOB)
    _, records = await on.records()
    on.dial.hang_up(records[0].sid)
    assert "hang up" not in bob.asked
    bob.ends(of_response(486))
    parent, records = await on.over()
    assert [leg.status for leg in records] == ["canceled", "busy"]
    assert parent.reason == "document-end"


async def test_a_worker_that_gives_up_ends_its_calls_with_their_events(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    leg.answers()
    await settle()
    on.dial.lose()
    parent, [record] = await on.over()
    assert (record.status, record.reason) == ("completed", "worker-lost")
    assert (parent.status, parent.reason) == ("completed", "worker-lost")


async def test_a_worker_that_lost_its_lease_writes_nothing_and_leaves_nobody_talking(stage: Stage) -> None:
    on = await stage.start(dial(ALICE))
    leg = await on.leg(ALICE)
    async with stage.database.engine.begin() as connection:
        await connection.execute(text("UPDATE calls SET epoch = epoch + 1"))
    leg.ends(of_response(486))
    parent, [record] = await on.over()
    assert (record.status, parent.status) == ("initiated", "in-progress")
    assert leg.asked[-1] == "hang up"


async def test_a_dial_that_was_taken_over_is_let_go_on_the_wire_and_not_written(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, BOB))
    alice, bob = await on.leg(ALICE), await on.leg(BOB)
    before = await on.records()
    on.dial.forfeit()
    await asyncio.wait([on.task])
    assert alice.asked[-1] == bob.asked[-1] == "hang up"
    assert await on.records() == before


async def test_a_rescuer_ends_legs_and_parent_and_says_how_the_dial_went(stage: Stage) -> None:
    on = await stage.start(dial(ALICE, BOB))
    (await on.leg(ALICE)).answers()
    await on.until(lambda legs: legs[0].status == "in-progress" and legs[1].status == "canceled")
    on.dial.forfeit()
    parent, legs = await on.records()
    await Rescue(stage.running.journal, stage.clock).lost(parent, legs)
    parent, [alice, bob] = await on.records()
    assert (alice.status, alice.reason) == ("completed", "worker-lost")
    assert (bob.status, bob.reason) == ("canceled", "lost-race")
    assert (parent.status, parent.reason) == ("completed", "worker-lost")
    assert (parent.dial_call_status, parent.dial_call_sid) == ("completed", alice.sid)


async def test_a_later_dial_waits_for_a_database_that_is_away(stage: Stage) -> None:
    add_legs, refusals = stage.running.add_legs, ["once", "twice"]

    async def away(parent: Call, legs: Any) -> list[Call]:
        if refusals:
            raise Unavailable(refusals.pop())
        return await add_legs(parent, legs)

    stage.running = replace(stage.running, add_legs=away)
    on = await stage.start(dial(ALICE), dial(BOB))
    (await on.leg(ALICE)).ends(of_response(486))
    while len(stage.phone.legs) == 1:
        await stage.clock.move(1)
    (await on.leg(BOB)).ends(of_response(404))
    _, records = await on.over()
    assert [leg.status for leg in records] == ["busy", "failed"]


async def test_the_legs_of_a_document_that_cannot_be_read_end_with_their_events(stage: Stage) -> None:
    request = DialRequest(Document((dial(ALICE),)), PARENT_EVENTS, {})
    placed = await stage.place(stage.account, request, rcml="<Response/>", idempotency=None)
    [claimed] = await stage.queue.claim(stage.worker_id, limit=10, max_wait=60)
    unreadable = RunningDial(replace(claimed, document=b""), stage.running)
    on = OnStage(stage, unreadable, asyncio.create_task(unreadable.run()), placed.parent.sid)
    parent, [record] = await on.over()
    assert parent.reason == record.reason == "document-error"
    assert [one["CallStatus"] for one in await on.owed(record.sid)] == ["failed"]


async def test_a_call_that_was_hung_up_while_it_waited_comes_to_no_later_dial(stage: Stage) -> None:
    request = DialRequest(Document((dial(ALICE), dial(BOB))), PARENT_EVENTS, {})
    placed = await stage.place(stage.account, request, rcml="<Response/>", idempotency=None)
    [claimed] = await stage.queue.claim(stage.worker_id, limit=1, max_wait=60)
    running = RunningDial(claimed, stage.running)
    running.hang_up(running.sid)
    on = OnStage(stage, running, asyncio.create_task(running.run()), placed.parent.sid)
    parent, [leg] = await on.over()
    assert (parent.status, parent.reason, parent.dial_call_status) == ("canceled", "api", "canceled")
    assert (leg.status, leg.to_uri) == ("canceled", ALICE)
