"""Inbound calls are stored in a worker's hands and rescued from them; a new document reaches whoever holds the call."""

from dataclasses import replace
from typing import Any

import pytest

from app.calls.call import Direction, NewCall
from app.calls.change import Facts
from app.calls.errors import Fenced
from app.calls.sid import new_account_sid
from app.calls.status import Status
from app.store.calls import CallReads
from app.store.database import Database
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.store.upkeep import Upkeep
from tests.integration.store.make import ACCOUNT, Proxy, change, changes, leg, parent, place, rows, value

AGED = "UPDATE worker SET lease_until = now() - interval '1 hour' WHERE id = :id"
DIALOG: dict[str, Any] = {"call_id": "c@h", "state": "incoming", "via": "SIP/2.0/UDP h;branch=z9hG4bK1"}


async def register(queue: DialQueue) -> int:
    return await queue.register(role="worker", capacity=10, sip_host="10.0.0.1", sip_port=5060)


def inbound() -> NewCall:
    return replace(
        parent(),
        direction=Direction.INBOUND,
        caller_name="Bob",
        forwarded_from="sip:carol@h",
        metadata={"a": "b"},
        has_caller=True,
    )


async def test_an_adopted_call_is_held_dialled_and_shown_with_its_caller(database: Database, sealer: Sealer) -> None:
    queue, call = DialQueue(database, sealer), inbound()
    worker = await register(queue)
    stored = await queue.adopt(worker, call, DIALOG)
    assert (stored.worker_id, stored.epoch, stored.status, stored.dialog) == (worker, 1, Status.QUEUED, DIALOG)
    assert (stored.caller_name, stored.forwarded_from, stored.metadata) == ("Bob", "sip:carol@h", {"a": "b"})
    assert stored.has_caller
    assert await CallReads(database, sealer).get(ACCOUNT, call.sid) == stored
    assert await queue.claim(worker, limit=10, max_wait=600) == []
    assert await value(database, "SELECT dialed_at IS NOT NULL FROM calls WHERE sid = :sid", sid=call.sid)


async def test_a_call_is_adopted_once_although_the_answer_to_its_commit_was_lost(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    async with Proxy(database_url) as proxy:
        cut = Database(proxy.url, pool_size=1)
        queue = DialQueue(cut, sealer)
        worker = await register(queue)
        proxy.cut_after_commits = 1
        assert (await queue.adopt(worker, inbound(), DIALOG)).epoch == 1
        await cut.close()
    assert await value(database, "SELECT count(*) FROM calls") == 1


async def test_a_dead_workers_adopted_call_comes_to_a_rescuer_with_its_dialog_and_its_legs(
    database: Database, sealer: Sealer
) -> None:
    queue, call = DialQueue(database, sealer, lease=0.05), inbound()
    dead, survivor = await register(queue), await register(queue)
    held = await queue.adopt(dead, call, DIALOG)
    await queue.add_legs(dead, held, [leg(call)])
    await rows(database, "UPDATE worker SET taken = true WHERE id = :id", id=dead)
    [lost] = await queue.lost(survivor)
    assert (lost.parent.sid, lost.parent.dialog, lost.parent.epoch, lost.parent.worker_id) == (
        call.sid,
        DIALOG,
        2,
        survivor,
    )
    assert [one.parent_sid for one in lost.legs] == [call.sid]
    with pytest.raises(Fenced):
        await queue.adopt(dead, call, DIALOG)


async def test_what_a_change_says_of_screening_and_recording_is_stored_and_stays(
    database: Database, sealer: Sealer
) -> None:
    queue, call = DialQueue(database, sealer), inbound()
    await queue.adopt(await register(queue), call, DIALOG)
    facts = Facts(screening="running", recording_sid="RE1", recording_duration=12)  # type: ignore[arg-type] # a sid's text
    async with changes(database, sealer) as writer:
        await writer.write(change(call.sid, 1, Status.IN_PROGRESS, epoch=1, facts=facts))
        await writer.write(change(call.sid, 2, epoch=1, facts=Facts(screening="accepted")))
    stored = await CallReads(database, sealer).get(ACCOUNT, call.sid)
    assert stored is not None
    assert (stored.screening, stored.recording_sid, stored.recording_duration) == ("accepted", "RE1", 12)


@pytest.mark.parametrize(("state", "left"), [("running", None), ("declined", "declined")])
async def test_a_screening_without_a_verdict_leaves_no_word(
    database: Database, sealer: Sealer, state: str, left: str | None
) -> None:
    queue, call = DialQueue(database, sealer), inbound()
    await queue.adopt(await register(queue), call, DIALOG)
    async with changes(database, sealer) as writer:
        await writer.write(change(call.sid, 1, Status.IN_PROGRESS, epoch=1, facts=Facts(screening=state)))
        await writer.write(change(call.sid, 2, Status.COMPLETED, epoch=1))
    stored = await CallReads(database, sealer).get(ACCOUNT, call.sid)
    assert stored is not None and stored.screening == left


async def test_the_newest_document_reaches_the_worker_of_the_call_once(database: Database, sealer: Sealer) -> None:
    queue, call = DialQueue(database, sealer), inbound()
    worker, other = await register(queue), await register(queue)
    await queue.adopt(worker, call, DIALOG)
    async with database.listen("command") as listener:
        await listener.wait(10)
        for document in (b"first", b"second"):
            wanted = await queue.replace(ACCOUNT, call.sid, document)
            assert wanted is not None
            assert (wanted.call.sid, wanted.held) == (call.sid, True)
        assert await listener.wait(10)
    assert await queue.replacements(other) == []
    [replacement] = await queue.replacements(worker)
    assert (replacement.sid, replacement.document) == (call.sid, b"second")
    assert await queue.replacements(worker) == []
    await queue.replace(ACCOUNT, call.sid, b"third")
    [newer] = await queue.replacements(worker)
    assert newer.document == b"third"
    assert newer.number > replacement.number
    assert b"third" not in await value(database, "SELECT sealed FROM call_replacement")


async def test_a_waiting_call_is_claimed_with_its_new_document_and_again_after_a_hand_back(
    database: Database, sealer: Sealer
) -> None:
    first, _ = await place(database, sealer, document=b"as placed")
    queue = DialQueue(database, sealer)
    wanted = await queue.replace(ACCOUNT, first.sid, b"newer")
    assert wanted is not None
    assert not wanted.held
    for _ in range(2):
        worker = await register(queue)
        [dial] = await queue.claim(worker, limit=10, max_wait=600)
        assert (dial.document, dial.replacement) == (b"as placed", b"newer")
        assert await queue.replacements(worker) == []
        await rows(database, "UPDATE worker SET taken = true WHERE id = :id", id=worker)
        assert await queue.lost(await register(queue)) == []  # not dialled: back to the queue


async def test_legs_ended_calls_and_calls_of_others_are_not_replaced(database: Database, sealer: Sealer) -> None:
    first, second = await place(database, sealer)
    queue = DialQueue(database, sealer)
    assert await queue.replace(ACCOUNT, second.sid, b"new") is None
    assert await queue.replace(new_account_sid(), first.sid, b"new") is None
    async with changes(database, sealer) as writer:
        await writer.write(change(first.sid, 1, Status.FAILED))
    assert await queue.replace(ACCOUNT, first.sid, b"new") is None
    assert await value(database, "SELECT count(*) FROM call_replacement") == 0


async def test_upkeep_forgets_documents_of_calls_that_have_ended(database: Database, sealer: Sealer) -> None:
    [(first, _), (running, _)] = [await place(database, sealer) for _ in range(2)]
    queue = DialQueue(database, sealer)
    for sid in (first.sid, running.sid):
        await queue.replace(ACCOUNT, sid, b"new")
    async with changes(database, sealer) as writer:
        await writer.write(change(first.sid, 1, Status.FAILED))
    await Upkeep(database).run()
    assert [row.call_sid for row in await rows(database, "SELECT call_sid FROM call_replacement")] == [running.sid]
