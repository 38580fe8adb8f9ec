"""Recordings go when their time is over or when they are deleted, row first; nobody waits for ever for a lost one."""

import pytest

from app.calls.errors import NotFound, RecordingRuns
from app.calls.recording import RecordingState
from app.calls.sid import new_account_sid
from app.recordings.keeper import Keeper
from tests.integration.recordings.conftest import ACCOUNT, House, taken
from tests.integration.store.make import rows


async def kept(house: House, keeper: Keeper, days_ago: float) -> str:
    order = await house.order()
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await keeper.stop(10)
    sql = "UPDATE recording SET ended_at = now() - make_interval(secs => :days * 86400) WHERE sid = :sid"
    await rows(house.database, sql, days=days_ago, sid=order.sid)
    return order.sid


def files(house: House) -> set[str]:
    return {path.stem for path in house.kept.rglob("*.wav")}


async def test_what_is_old_enough_goes_with_its_file_and_the_rest_stays(house: House) -> None:
    keeper = house.keeper()
    old, young = await kept(house, keeper, 8), await kept(house, keeper, 6)
    await house.retention(days=0).once()
    assert files(house) == {old, young}
    await house.retention(days=7).once()
    assert files(house) == {young}
    with pytest.raises(NotFound):
        await house.rows.get(ACCOUNT, old)
    assert await house.rows.doomed(after="", limit=10) == []  # type: ignore[arg-type]  # before every sid


async def test_a_deleted_one_is_gone_for_everybody_at_once_and_its_file_with_the_next_round(house: House) -> None:
    sid = await kept(house, house.keeper(), 0)
    with pytest.raises(NotFound):
        await house.rows.delete(new_account_sid(), sid)
    await house.rows.delete(ACCOUNT, sid)
    for gone in (house.rows.get(ACCOUNT, sid), house.rows.find(sid), house.rows.delete(ACCOUNT, sid)):
        with pytest.raises(NotFound):
            await gone
    assert await house.rows.page(ACCOUNT, size=10, after=None) == []
    assert files(house) == {sid}
    await house.retention().once()
    assert files(house) == set()


async def test_one_that_runs_is_not_deleted(house: House) -> None:
    order = await house.order()
    await house.keeper().begin(order)
    with pytest.raises(RecordingRuns):
        await house.rows.delete(ACCOUNT, order.sid)


async def test_a_file_that_cannot_be_deleted_is_in_nobodys_way_and_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recordings.retention._BATCH", 1)
    keeper = house.keeper()
    first, second = sorted([await kept(house, keeper, 0), await kept(house, keeper, 0)])
    await rows(house.database, "UPDATE recording SET location = 's3:away.wav' WHERE sid = :sid", sid=first)
    for sid in (first, second):
        await house.rows.delete(ACCOUNT, sid)
    await house.retention().once()
    assert files(house) == {first}
    assert [one for one, _ in await house.rows.doomed(after="", limit=10)] == [first]  # type: ignore[arg-type]  # as above


async def test_one_whose_machine_never_came_back_is_absent_after_a_week_and_told(house: House) -> None:
    order = await house.order()
    await house.keeper().begin(order)
    sql = "UPDATE recording SET started_at = now() - interval '9 days' WHERE sid = :sid"
    await rows(house.database, sql, sid=order.sid)
    await house.retention().once()
    assert (await house.rows.get(ACCOUNT, order.sid)).recording.state is RecordingState.IN_PROGRESS  # its call runs
    sql = "UPDATE calls SET status = 'failed', worker_id = NULL, end_time = now() - interval '8 days' WHERE sid = :sid"
    await rows(house.database, sql, sid=order.call.sid)
    await house.retention().once()
    assert (await house.rows.get(ACCOUNT, order.sid)).recording.state is RecordingState.ABSENT
    assert [one["RecordingStatus"] for one in await house.owed()] == ["in-progress", "absent"]
