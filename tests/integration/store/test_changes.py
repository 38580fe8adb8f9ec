"""Changes: status, event and owed delivery in one commit; fenced, ordered, and never lost or doubled by an outage."""

import asyncio
from itertools import product

import pytest

from app.calls.change import Facts
from app.calls.errors import Fenced
from app.calls.event import Event
from app.calls.status import FINAL, Status, may_become
from app.store.calls import CallReads
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, Proxy, change, changes, life, owed, place, rows, value


async def test_a_change_stores_status_facts_event_and_delivery_together(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    facts = Facts(sip_call_id="abc@host", dialog={"via": "SIP/2.0/UDP host", "cseq": 1})
    wanted = change(leg.sid, 1, Status.INITIATED, facts=facts, event=Event.INITIATED, detail={"a": 1}, owed=owed(0))
    async with changes(database, sealer) as writer:
        await writer.write(wanted)
    reads = CallReads(database, sealer)
    call = await reads.get(ACCOUNT, leg.sid)
    assert call is not None
    assert (call.status, call.sip_call_id, call.dialog) == (Status.INITIATED, "abc@host", facts.dialog)
    assert (call.last_seq, call.callback_seq) == (1, 1)
    events = await reads.events(leg.sid)
    assert [(e.seq, e.event, e.at, e.detail) for e in events] == [(1, Event.INITIATED, wanted.at, {"a": 1})]
    stored = await rows(database, "SELECT call_sid, account_sid, sequence, body, blocked FROM webhook_outbox")
    assert stored == [(leg.sid, ACCOUNT, 0, "SequenceNumber=0", False)]
    assert await value(database, "SELECT dialed_at IS NOT NULL FROM calls WHERE sid = :sid", sid=leg.sid)


async def test_none_in_the_facts_leaves_a_column_as_it_is(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    async with changes(database, sealer) as writer:
        await writer.write(change(leg.sid, 1, Status.INITIATED, facts=Facts(sip_call_id="abc", dialog={"cseq": 1})))
        await writer.write(change(leg.sid, 2, None, facts=Facts(sip_response_code=180)))
    call = await CallReads(database, sealer).get(ACCOUNT, leg.sid)
    assert call is not None
    assert (call.status, call.sip_call_id, call.sip_response_code) == (Status.INITIATED, "abc", 180)
    assert call.dialog == {"cseq": 1}


async def test_the_database_allows_exactly_the_moves_of_the_status_table(database: Database, sealer: Sealer) -> None:
    pairs = list(product(Status, Status))
    _, *legs = await place(database, sealer, legs=len(pairs))
    for (now, _), leg in zip(pairs, legs, strict=True):
        ended = "now()" if now in FINAL else "NULL"
        await rows(database, f"UPDATE calls SET status = '{now}', end_time = {ended} WHERE sid = '{leg.sid}'")
    async with changes(database, sealer) as writer:
        writes = [writer.write(change(leg.sid, 1, then)) for (_, then), leg in zip(pairs, legs, strict=True)]
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert [result is None for result in results] == [may_become(*pair) for pair in pairs]
    assert all(isinstance(result, Fenced) for result in results if result is not None)


async def test_a_lost_epoch_and_an_old_seq_write_nothing(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    async with changes(database, sealer) as writer:
        await writer.write(change(leg.sid, 5, Status.INITIATED))
        for late in (change(leg.sid, 6, Status.RINGING, epoch=1), change(leg.sid, 5, Status.RINGING)):
            with pytest.raises(Fenced):
                await writer.write(late)
    call = await CallReads(database, sealer).get(ACCOUNT, leg.sid)
    assert call is not None
    assert (call.status, call.last_seq) == (Status.INITIATED, 5)
    assert await value(database, "SELECT count(*) FROM call_event") == 0


async def test_a_final_status_ends_the_call_and_frees_it(database: Database, sealer: Sealer) -> None:
    _, leg = await place(database, sealer)
    await rows(database, "UPDATE calls SET worker_id = 7 WHERE sid = :sid", sid=leg.sid)
    async with changes(database, sealer) as writer:
        last = change(leg.sid, 1, Status.FAILED)
        await writer.write(last)
    call = await CallReads(database, sealer).get(ACCOUNT, leg.sid)
    assert call is not None
    assert (call.end_time, call.worker_id) == (last.at, None)


async def test_many_callers_changes_are_written_in_the_order_of_each_call(database: Database, sealer: Sealer) -> None:
    _, *legs = await place(database, sealer, legs=100)
    async with changes(database, sealer) as writer:
        await asyncio.gather(*(writer.write(one) for leg in legs for one in life(leg.sid)))
    assert await value(database, "SELECT count(*) FROM calls WHERE status = 'completed' AND last_seq = 4") == 100
    assert await value(database, "SELECT count(*) FROM call_event") == 400
    wrong = """
    SELECT count(*) FROM webhook_outbox a JOIN webhook_outbox b USING (call_sid)
    WHERE a.id < b.id AND a.sequence >= b.sequence
    """
    assert await value(database, wrong) == 0
    assert await value(database, "SELECT count(*) FROM webhook_outbox WHERE blocked = (sequence > 0)") == 400


async def test_stop_writes_what_is_queued(database: Database, sealer: Sealer) -> None:
    _, *legs = await place(database, sealer, legs=20)
    async with changes(database, sealer) as writer:
        for leg in legs:
            for one in life(leg.sid):
                writer.write(one)
    assert await value(database, "SELECT count(*) FROM calls WHERE status = 'completed'") == 20


async def test_a_change_that_postgresql_refuses_harms_no_other(database: Database, sealer: Sealer) -> None:
    _, *legs = await place(database, sealer, legs=21)
    facts = Facts(sip_response_reason="NUL \0 is no text")
    async with changes(database, sealer) as writer:
        writes = [
            writer.write(change(leg.sid, 1, Status.INITIATED, facts=facts if nr == 10 else Facts()))
            for nr, leg in enumerate(legs)
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [nr for nr, result in enumerate(results) if result is not None] == [10]
        await writer.write(change(legs[10].sid, 2, Status.INITIATED))
    assert await value(database, "SELECT count(*) FROM calls WHERE status = 'initiated'") == 21


async def test_what_cannot_be_json_harms_no_other(database: Database, sealer: Sealer) -> None:
    _, good, bad = await place(database, sealer, legs=2)
    async with changes(database, sealer) as writer:
        writes = [
            writer.write(change(good.sid, 1, Status.INITIATED)),
            writer.write(change(bad.sid, 1, Status.INITIATED, facts=Facts(dialog={"cseq": float("nan")}))),
        ]
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], ValueError)


async def test_a_commit_whose_answer_is_lost_counts_once(database_url: str, database: Database, sealer: Sealer) -> None:
    _, *legs = await place(database, sealer, legs=10)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        async with changes(behind, sealer) as writer:
            for seq, status in enumerate((Status.INITIATED, Status.RINGING), 1):
                proxy.cut_after_commits = 1
                one = [change(leg.sid, seq, status, event=Event(status), owed=owed(seq - 1)) for leg in legs]
                assert await asyncio.gather(*map(writer.write, one)) == [None] * 10
        await behind.close()
    assert await value(database, "SELECT count(*) FROM call_event") == 20
    assert await value(database, "SELECT count(*) FROM webhook_outbox") == 20


async def test_a_lost_answer_does_not_hide_that_the_call_was_fenced(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    _, mine, lost = await place(database, sealer, legs=2)
    await rows(database, "UPDATE calls SET epoch = 1 WHERE sid = :sid", sid=lost.sid)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=1)
        async with changes(behind, sealer) as writer:
            await writer.write(change(mine.sid, 1))
            proxy.cut_after_commits = 1
            writes = [writer.write(change(mine.sid, 2)), writer.write(change(lost.sid, 2))]
            results = await asyncio.gather(*writes, return_exceptions=True)
        await behind.close()
    assert results[0] is None
    assert isinstance(results[1], Fenced)


async def test_changes_wait_for_a_database_that_is_away_and_keep_their_order(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    _, *legs = await place(database, sealer, legs=5)
    async with Proxy(database_url) as proxy:
        behind = Database(proxy.url, pool_size=2)
        async with changes(behind, sealer) as writer:
            first, *others = [one for leg in legs for one in life(leg.sid)]
            await writer.write(first)
            proxy.open = False
            proxy.cut()
            writes = [writer.write(one) for one in others]
            done, _ = await asyncio.wait(writes, timeout=0.3)
            assert not done
            proxy.open = True
            assert set(await asyncio.gather(*writes)) == {None}
        await behind.close()
    assert await value(database, "SELECT count(*) FROM calls WHERE status = 'completed' AND last_seq = 4") == 5
    assert await value(database, "SELECT count(*) FROM call_event") == 20


@pytest.mark.timeout(300)
async def test_backends_that_are_terminated_all_the_time_lose_and_double_nothing(
    database_url: str, database: Database, sealer: Sealer
) -> None:
    _, *legs = await place(database, sealer, legs=150)
    busy = Database(database_url, pool_size=2, name="victim")
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'victim'"
    async with changes(busy, sealer) as writer:
        lives = asyncio.gather(*(writer.write(one) for leg in legs for one in life(leg.sid)))
        while not lives.done():
            await rows(database, kill)
            await asyncio.wait([lives], timeout=0.02)
        assert set(await lives) == {None}
    await busy.close()
    assert await value(database, "SELECT count(*) FROM calls WHERE status = 'completed'") == 150
    assert await value(database, "SELECT count(*) FROM call_event") == 600
    assert await value(database, "SELECT count(*) FROM webhook_outbox") == 600


async def test_one_notification_wakes_the_dispatchers_when_something_is_owed(
    database: Database, sealer: Sealer
) -> None:
    _, leg = await place(database, sealer)
    async with database.listen("webhook") as listener, changes(database, sealer) as writer:
        assert await listener.wait(5)
        await writer.write(change(leg.sid, 1, Status.INITIATED))
        assert not await listener.wait(0.05)
        await writer.write(change(leg.sid, 2, Status.RINGING, owed=owed(0)))
        assert await listener.wait(5)
