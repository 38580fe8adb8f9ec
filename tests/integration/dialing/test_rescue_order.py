"""A rescued parent ends after its legs, however the writers of changes overlap, and tells how its dial went."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.calls.change import Change
from app.calls.outcome import Reason
from app.calls.status import Status
from app.dialing.rescue import Rescue
from app.store.database import Database
from app.store.queue import ClaimedDial, DialQueue
from app.store.seal import Sealer
from tests.integration.store.make import place
from tests.kit.clock import FakeClock, settle


async def claimed(database: Database, sealer: Sealer) -> ClaimedDial:
    """A dial of two legs in the hands of a worker."""
    await place(database, sealer, legs=2)
    queue = DialQueue(database, sealer)
    worker = await queue.register(role="worker", capacity=1, sip_host="127.0.0.1", sip_port=5060)
    [dial] = await queue.claim(worker, limit=1, max_wait=60)
    return dial


class SlowJournal:
    """Keeps every change until the test lets it through."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[None]] = {}

    def write(self, change: Change) -> "asyncio.Future[None]":
        self.waiting[change.sid] = asyncio.get_running_loop().create_future()
        return self.waiting[change.sid]


async def test_the_parent_of_a_rescued_dial_ends_when_the_last_of_its_legs_is_written(
    database: Database, sealer: Sealer
) -> None:
    dial, journal = await claimed(database, sealer), SlowJournal()
    parent, one, other = (call.sid for call in (dial.parent, *dial.legs))
    ending = asyncio.create_task(Rescue(journal, FakeClock()).lost(dial.parent, dial.legs))
    await settle()
    journal.waiting[one].set_result(None)
    await settle()
    assert journal.waiting.keys() == {one, other}
    journal.waiting[other].set_result(None)
    await settle()
    journal.waiting[parent].set_result(None)
    await ending


class Written(list[Change]):
    """A journal that is never slow."""

    def write(self, change: Change) -> "asyncio.Future[None]":
        self.append(change)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@pytest.mark.parametrize(
    ("screening", "status", "told"), [("running", Status.NO_ANSWER, 1), ("accepted", Status.COMPLETED, 0)]
)
async def test_a_leg_that_was_only_screened_when_its_worker_died_counts_as_no_answer(
    database: Database, sealer: Sealer, screening: str, status: Status, told: int
) -> None:
    dial, journal, now = await claimed(database, sealer), Written(), datetime.now(UTC)
    screened, declined = dial.legs
    legs = [
        replace(screened, status=Status.IN_PROGRESS, answer_time=now, screening=screening),
        replace(declined, status=Status.COMPLETED, answer_time=now, screening="declined"),
    ]
    await Rescue(journal, FakeClock()).lost(dial.parent, legs)
    facts = journal[-1].facts
    assert (facts.dial_call_status, facts.dial_call_sid) == (status, legs[told].sid)


async def test_a_leg_that_lost_the_race_is_not_the_one_that_was_connected(database: Database, sealer: Sealer) -> None:
    dial, journal, now = await claimed(database, sealer), Written(), datetime.now(UTC)
    legs = [
        replace(dial.legs[0], status=Status.COMPLETED, answer_time=now, reason=Reason.LOST_RACE),
        replace(dial.legs[1], status=Status.IN_PROGRESS, answer_time=now),
    ]
    await Rescue(journal, FakeClock()).lost(dial.parent, legs)
    assert journal[-1].facts.dial_call_sid == legs[1].sid


async def test_a_leg_that_ended_without_a_verdict_is_not_the_one_that_was_connected(
    database: Database, sealer: Sealer
) -> None:
    dial, journal, now = await claimed(database, sealer), Written(), datetime.now(UTC)
    hung_up, rings = dial.legs
    legs = [
        replace(hung_up, status=Status.COMPLETED, reason=Reason.API, answer_time=now, end_time=now),
        replace(rings, status=Status.RINGING),
    ]
    await Rescue(journal, FakeClock()).lost(dial.parent, legs)
    facts = journal[-1].facts
    assert (facts.dial_call_status, facts.dial_call_sid) == (Status.FAILED, rings.sid)
