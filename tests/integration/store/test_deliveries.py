"""Deliveries as the API shows and replays them: outbox and history are one list."""

from typing import Any

import pytest

from app.calls.errors import NotFound
from app.calls.sid import CallSid, new_account_sid
from app.store.database import Database
from app.store.deliveries import Deliveries, DeliveryFilter
from app.store.outbox import Outbox, Result
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, changes, life, place, rows, value
from tests.integration.store.test_outbox import claim, owe, result


async def deliver(outbox: Outbox, state: Any = "delivered", **rest: Any) -> list[Result]:
    results = [result(delivery, state, **rest) for delivery in await claim(outbox)]
    await outbox.finish(results)
    return results


async def test_a_calls_deliveries_are_shown_in_sequence_with_their_attempts(database: Database, sealer: Sealer) -> None:
    sid = CallSid(await owe(database, sealer, 3))
    outbox, deliveries = Outbox(database, sealer), Deliveries(database, sealer)
    await deliver(outbox, "owed", next_in=0, status=500, answer=b"no\xff")
    await deliver(outbox)
    views = await deliveries.for_call(ACCOUNT, sid)
    assert [(view.sequence, view.state, len(view.attempts)) for view in views] == [
        (0, "delivered", 2),
        (1, "owed", 0),
        (2, "owed", 0),
    ]
    assert [(one.number, one.status, one.answer) for one in views[0].attempts] == [(1, 500, "no\ufffd"), (2, 204, "ok")]
    assert views[0].finished_at is not None
    assert views[0].next_at is None
    assert views[1].next_at is not None
    assert await deliveries.for_call(new_account_sid(), sid) == []


async def test_pages_go_through_outbox_and_history_from_new_to_old(database: Database, sealer: Sealer) -> None:
    outbox, deliveries = Outbox(database, sealer), Deliveries(database, sealer)
    for state in ("delivered", "dead", "delivered"):
        await owe(database, sealer, 1)
        await deliver(outbox, state)
    await owe(database, sealer, 1)
    everything = [view.id for view in await deliveries.page(ACCOUNT, None, size=10, after=None)]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 4
    first = await deliveries.page(ACCOUNT, None, size=2, after=None)
    assert [view.id for view in first] == everything[:3]
    second = await deliveries.page(ACCOUNT, None, size=2, after=first[1].id)
    assert [view.id for view in second] == everything[2:]
    for state, count in (("owed", 1), ("dead", 1), ("delivered", 2)):
        views = await deliveries.page(ACCOUNT, state, size=10, after=None)  # type: ignore[arg-type]  # Literals
        assert [view.state for view in views] == [state] * count
    assert await deliveries.page(new_account_sid(), None, size=10, after=None) == []


async def test_one_delivery_is_found_by_its_account_only(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    deliveries = Deliveries(database, sealer)
    [view] = await deliveries.page(ACCOUNT, "owed", size=10, after=None)
    assert await deliveries.get(ACCOUNT, view.id) == view
    assert await deliveries.get(new_account_sid(), view.id) is None
    assert await deliveries.get(ACCOUNT, 2**70) is None


@pytest.mark.parametrize("state", ["dead", "delivered"])
async def test_what_is_over_can_be_replayed_with_its_id_number_and_body(
    database: Database, sealer: Sealer, state: str
) -> None:
    await owe(database, sealer, 1)
    outbox, deliveries = Outbox(database, sealer), Deliveries(database, sealer)
    [before] = await deliver(outbox, state, status=500)
    replayed = await deliveries.replay(ACCOUNT, before.delivery.id)
    assert (replayed.state, replayed.message_id, replayed.finished_at) == ("owed", before.delivery.message_id, None)
    [again] = await claim(outbox)
    assert (again.id, again.message_id, again.body) == (
        before.delivery.id,
        before.delivery.message_id,
        before.delivery.body,
    )
    assert (again.attempt, again.url) == (1, before.delivery.url)
    await outbox.finish([result(again)])
    view = await deliveries.get(ACCOUNT, again.id)
    assert view is not None
    assert (view.state, [one.number for one in view.attempts]) == ("delivered", [1, 2])


async def test_an_owed_one_is_due_at_once_when_it_is_replayed(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    outbox, deliveries = Outbox(database, sealer), Deliveries(database, sealer)
    [first] = await deliver(outbox, "owed", next_in=3600)
    assert await claim(outbox) == []
    await deliveries.replay(ACCOUNT, first.delivery.id)
    [again] = await claim(outbox)
    assert again.attempt == 1
    await deliveries.replay(ACCOUNT, again.id)  # under way: nothing changes
    assert await claim(outbox) == []
    assert await outbox.finish([result(again)]) == {again.id}
    view = await deliveries.get(ACCOUNT, again.id)
    assert view is not None
    assert [one.number for one in view.attempts] == [1, 2]


async def test_what_is_not_there_or_not_ones_own_cannot_be_replayed(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    [done] = await deliver(Outbox(database, sealer))
    deliveries = Deliveries(database, sealer)
    for account, id in ((ACCOUNT, 999_999), (new_account_sid(), done.delivery.id), (ACCOUNT, 2**70)):
        with pytest.raises(NotFound):
            await deliveries.replay(account, id)
    assert await value(database, "SELECT count(*) FROM webhook_outbox") == 0


async def test_many_are_replayed_by_a_filter_in_their_order(database: Database, sealer: Sealer) -> None:
    outbox, deliveries = Outbox(database, sealer), Deliveries(database, sealer)
    _, one, other = await place(database, sealer, legs=2)
    async with changes(database, sealer) as writer:
        for leg in (one, other):
            for each in life(leg.sid):
                await writer.write(each)
    while await deliver(outbox, "dead", status=500):
        pass
    assert await deliveries.replay_many(ACCOUNT, DeliveryFilter(call_sid=one.sid)) == 4
    order = []
    while done := await deliver(outbox):
        order += [each.delivery.sequence for each in done]
    assert order == [0, 1, 2, 3]
    assert await deliveries.replay_many(ACCOUNT, DeliveryFilter()) == 4
    assert await deliveries.replay_many(new_account_sid(), DeliveryFilter(state=None)) == 0
    assert await deliveries.replay_many(ACCOUNT, DeliveryFilter(state="delivered", created_after=None)) == 4


async def test_more_than_one_step_is_replayed(database: Database, sealer: Sealer) -> None:
    await owe(database, sealer, 1)
    await deliver(Outbox(database, sealer), "dead")
    await rows(
        database,
        """INSERT INTO webhook_delivery (id, message_id, destination_id, account_sid, call_sid, sequence, method, url,
                                         state, attempts, created_at, expires_at)
           SELECT 1000 + n, 'm' || n, destination_id, account_sid, 'CA' || n, 0, 'POST', url, 'dead', 1, now(), now()
           FROM webhook_delivery, generate_series(1, 1200) AS n""",
    )
    assert await Deliveries(database, sealer).replay_many(ACCOUNT, DeliveryFilter()) == 1201
    assert await value(database, "SELECT count(*) FROM webhook_outbox") == 1201
