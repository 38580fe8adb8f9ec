"""Which calls have ended with their peers still up: written with the end, removed when heard, taken over once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from app.calls.change import Change
from app.calls.errors import Fenced, Unavailable
from app.calls.ports import DialogFacts
from app.calls.sid import CallSid
from app.calls.status import Status
from app.store.changes import Changes
from app.store.database import Database, Work
from app.store.queue import DialQueue
from app.store.seal import Sealer
from tests.integration.store.make import Proxy, change, changes, leg, parent, rows

T = TypeVar("T")

_UNHEARD = "SELECT worker_id, call_sid, dialog FROM goodbye ORDER BY call_sid"
_CALLS = "SELECT * FROM calls ORDER BY sid"


@dataclass(slots=True)
class Said:
    """A goodbye whose peer hears it when the test says so."""

    heard: bool = False
    dialog: DialogFacts | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """An inbound call in the hands of a worker, with two legs."""

    queue: DialQueue
    worker: int
    sids: tuple[CallSid, ...]  # the parent's and the legs'


async def held(database: Database, sealer: Sealer) -> Held:
    queue = DialQueue(database, sealer, lease=600)
    worker = await registered(queue)
    caller = parent()
    stored = await queue.adopt(worker, caller, {"call_id": "caller"})
    legs = await queue.add_legs(worker, stored, [leg(caller, index) for index in range(2)])
    return Held(queue, worker, (stored.sid, *(one.sid for one in legs)))


async def registered(queue: DialQueue) -> int:
    return await queue.register(role="worker", capacity=9, sip_host="127.0.0.1", sip_port=5060)


def end(sid: CallSid, worker: int, said: Said, *, epoch: int = 1) -> Change:
    return change(sid, 9, Status.CANCELED, epoch=epoch, goodbye=said, worker_id=worker)


async def ended(writer: Changes, one: Held, *said: Said) -> None:
    """The legs, then the parent; as many as there are goodbyes."""
    for sid, goodbye in zip((*one.sids[1:], one.sids[0]), said, strict=False):
        await writer.write(end(sid, one.worker, goodbye))


async def unheard(database: Database) -> list[tuple[int, str, Mapping[str, Any] | None]]:
    return [tuple(row) for row in await rows(database, _UNHEARD)]


async def dies(database: Database, worker: int) -> None:
    await rows(database, "UPDATE worker SET taken = true WHERE id = :id", id=worker)


async def test_only_an_end_whose_peer_has_not_heard_is_written_down_and_no_longer_than_that(
    database: Database, sealer: Sealer
) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        near, far = Said(heard=True), Said()
        await ended(writer, one, near, far)
        assert await unheard(database) == [(one.worker, one.sids[2], None)]
        await writer.goodbyes.settle()
        assert len(await unheard(database)) == 1
        far.heard = True
        await writer.goodbyes.settle()
        assert await unheard(database) == []


async def test_an_end_that_is_refused_leaves_nothing(database: Database, sealer: Sealer) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        with pytest.raises(Fenced):
            await writer.write(end(one.sids[1], one.worker, Said(), epoch=0))
    assert await unheard(database) == []


class Unanswered(Database):
    """The answer to its first transaction is lost, and the peer hears what it has to in that moment."""

    def __init__(self, database: Database, said: Said) -> None:
        self.__dict__ |= database.__dict__
        self._said = said

    async def run(self, work: Work[T], **options: Any) -> T:
        result = await super().run(work, **options)
        if not self._said.heard:
            self._said.heard = True
            raise Unavailable("committed, but the answer was lost")
        return result


async def test_an_end_that_was_written_unheard_and_was_heard_when_it_was_tried_again_is_settled(
    database: Database, sealer: Sealer
) -> None:
    one, said = await held(database, sealer), Said()
    async with changes(Unanswered(database, said), sealer) as writer:
        await writer.write(end(one.sids[1], one.worker, said))
        assert len(await unheard(database)) == 1
        await writer.goodbyes.settle()
    assert await unheard(database) == []


async def test_what_a_dead_worker_left_unheard_comes_to_one_rescuer_and_no_record_changes(
    database: Database, sealer: Sealer
) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        await ended(writer, one, Said(), Said(heard=True), Said())
        before = await rows(database, _CALLS)
        await dies(database, one.worker)
        first, second = await registered(one.queue), await registered(one.queue)
        [lost] = await one.queue.lost(first)
        assert await one.queue.lost(second) == []
        assert lost.unheard == {one.sids[0], one.sids[1]}
        assert {worker for worker, *_ in await unheard(database)} == {first}
        await dies(database, first)
        [again] = await one.queue.lost(second)
        assert again.unheard == lost.unheard
        assert await rows(database, _CALLS) == before


async def test_a_call_that_talks_is_taken_over_with_the_leg_that_was_told_before(
    database: Database, sealer: Sealer
) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        await ended(writer, one, Said())
        await dies(database, one.worker)
        rescuer = await registered(one.queue)
        [lost] = await one.queue.lost(rescuer)
    assert lost.unheard == {one.sids[1]}
    assert [call.epoch for call in (lost.parent, *lost.legs)] == [2, 1, 2]


async def test_whom_a_late_answer_made_another_dialog_is_told_there(database: Database, sealer: Sealer) -> None:
    one, said = await held(database, sealer), Said()
    async with changes(database, sealer) as writer:
        await ended(writer, one, said)
        said.dialog = DialogFacts(call_id="late", state="confirmed")
        await writer.goodbyes.settle()
        await dies(database, one.worker)
        [lost] = await one.queue.lost(await registered(one.queue))
    assert lost.legs[0].dialog == {"call_id": "late", "state": "confirmed"}


async def test_who_was_taken_for_dead_settles_nothing_that_is_another_ones(database: Database, sealer: Sealer) -> None:
    one, said = await held(database, sealer), Said()
    async with changes(database, sealer) as writer:
        await ended(writer, one, said)
        await dies(database, one.worker)
        rescuer = await registered(one.queue)
        await one.queue.lost(rescuer)
        said.heard = True
        await writer.goodbyes.settle()
    assert await unheard(database) == [(rescuer, one.sids[1], None)]


async def test_a_worker_that_left_or_whose_row_is_gone_is_as_dead(database: Database, sealer: Sealer) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        await ended(writer, one, Said(), Said(heard=True), Said(heard=True))
        await one.queue.unregister(one.worker)
        assert await rows(database, "SELECT FROM worker WHERE id = :id", id=one.worker) == []
        [lost] = await one.queue.lost(await registered(one.queue))
    assert lost.unheard == {one.sids[1]}


async def test_a_look_whose_commit_nobody_heard_of_is_taken_back(
    database: Database, sealer: Sealer, database_url: str
) -> None:
    one = await held(database, sealer)
    async with changes(database, sealer) as writer:
        await ended(writer, one, Said())
    await dies(database, one.worker)
    rescuer = await registered(one.queue)
    async with Proxy(database_url) as proxy:
        through = Database(proxy.url)
        queue = DialQueue(through, sealer, lease=600)
        proxy.cut_after_commits = 1
        [lost] = await queue.lost(rescuer)  # tried again at once
        await through.close()
    assert lost.unheard == {one.sids[1]}
