"""Reading calls: one account at a time, newest first, narrowed by every filter."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.calls.call import Direction
from app.calls.sid import new_account_sid
from app.calls.status import Status
from app.store.calls import CallFilters, CallReads
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, parent, place, placing, rows

EVERYTHING = CallFilters()


async def test_a_call_is_found_by_its_account_only(database: Database, sealer: Sealer) -> None:
    first, _ = await place(database, sealer)
    reads = CallReads(database, sealer)
    call = await reads.get(ACCOUNT, first.sid)
    assert call is not None
    assert (call.status, call.direction, call.from_uri) == (Status.QUEUED, Direction.OUTBOUND_API, "sip:bob@host")
    assert await reads.get(new_account_sid(), first.sid) is None
    assert await reads.account_of(first.sid) == ACCOUNT
    assert await reads.account_of("CA0") is None


async def test_pages_meet_every_call_once_from_new_to_old(database: Database, sealer: Sealer) -> None:
    async with placing(database, sealer) as placer:
        await asyncio.gather(*(placer.place([parent()], idempotency=None) for _ in range(25)))
        await placer.place([parent(new_account_sid())], idempotency=None)
    reads = CallReads(database, sealer)
    seen: list[Any] = []
    after = None
    while True:
        page = await reads.page(ACCOUNT, EVERYTHING, size=7, after=after)
        seen += page[:7]
        if len(page) <= 7:
            break
        after = (page[6].created_at, page[6].sid)
    keys = [(call.created_at, call.sid) for call in seen]
    assert keys == sorted(keys, reverse=True)
    assert len({call.sid for call in seen}) == 25


DAY = date(2026, 5, 4)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (CallFilters(status=Status.QUEUED), "p"),
        (CallFilters(status=Status.COMPLETED), "l"),
        (CallFilters(status=Status.BUSY), ""),
        (CallFilters(to="sip:alice@example.com"), "pl"),
        (CallFilters(to="sip:nobody@example.com"), ""),
        (CallFilters(from_="sip:bob@host", direction=Direction.OUTBOUND_DIAL), "l"),
        (CallFilters(direction=Direction.INBOUND), ""),
        (CallFilters(start_time=DAY), "l"),
        (CallFilters(start_time=DAY + timedelta(days=1)), ""),
        (CallFilters(start_time_before=DAY), "l"),
        (CallFilters(start_time_before=DAY - timedelta(days=1)), ""),
        (CallFilters(start_time_after=DAY), "l"),
        (CallFilters(start_time_after=DAY + timedelta(days=1)), ""),
        (CallFilters(start_time_after=NOON, start_time_before=NOON + timedelta(seconds=1)), "l"),
        (CallFilters(start_time_before=NOON), "l"),
        (CallFilters(start_time_before=NOON - timedelta(microseconds=1)), ""),
        (CallFilters(end_time=DAY), "l"),
        (CallFilters(end_time_before=DAY, end_time_after=DAY), "l"),
        (CallFilters(end_time_after=DAY + timedelta(days=1)), ""),
    ],
)
async def test_a_list_is_narrowed_by_each_filter(
    database: Database, sealer: Sealer, filters: CallFilters, found: str
) -> None:
    first, leg = await place(database, sealer)
    await rows(
        database,
        "UPDATE calls SET status = 'completed', start_time = :noon, end_time = :noon WHERE sid = :sid",
        noon=NOON,
        sid=leg.sid,
    )
    names = {first.sid: "p", leg.sid: "l"}
    page = await CallReads(database, sealer).page(ACCOUNT, filters, size=10, after=None)
    assert sorted(names[call.sid] for call in page) == sorted(found)


async def test_the_legs_of_a_parent_are_listed_by_the_parent_filter(database: Database, sealer: Sealer) -> None:
    first, *legs = await place(database, sealer, legs=2)
    await place(database, sealer)
    page = await CallReads(database, sealer).page(ACCOUNT, CallFilters(parent_sid=first.sid), size=10, after=None)
    assert {call.sid for call in page} == {leg.sid for leg in legs}
