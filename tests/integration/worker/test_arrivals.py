"""A worker that has just been started: who calls or dials then is not told what is not so."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from app.calls.number import Number
from app.calls.ports import Arrival
from app.calls.uri import NameAddr, SipUri
from app.runtime.clock import SteadyClock
from app.store.database import Database
from app.store.numbers import Numbers
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.worker.arrivals import Arrivals
from app.worker.lease import Holder, Lease
from app.worker.numbers import NumberBook
from app.worker.pool import Pool, PoolParts
from tests.integration.store.make import ACCOUNT
from tests.kit.phone import ScriptedArrival


@pytest.fixture
async def book(database: Database, sealer: Sealer) -> NumberBook:
    now = datetime.now(UTC)
    await Numbers(database, sealer).add(Number("100", ACCOUNT, "https://app.example/voice", "POST", now, now))
    return NumberBook(database, Numbers(database, sealer))


@pytest.fixture
def arrivals(database: Database, sealer: Sealer, book: NumberBook) -> Arrivals:
    """Of a worker that holds no lease yet."""
    queue, clock = DialQueue(database, sealer), SteadyClock()
    lease = Lease(queue, Holder("worker", 10), clock)
    rest: dict[str, Any] = dict.fromkeys(("running", "rescue"))
    parts = PoolParts(database=database, queue=queue, lease=lease, clock=clock, max_calls=10, max_wait=5.0, **rest)
    return Arrivals(queue, lease, Pool(parts), book)


def refusal(arrivals: Arrivals, number: str) -> list[str]:
    ann = SipUri("sip", "peer.test", "ann")
    arrival = Arrival(
        datetime.now(UTC), number, caller=NameAddr(ann), called=SipUri("sip", "dial.test", number), source="127.0.0.1"
    )
    leg = ScriptedArrival(arrival, SteadyClock())
    arrivals.take(arrival, cast(Any, leg))
    return leg.asked


async def test_before_the_numbers_are_read_every_caller_is_told_to_come_again(
    book: NumberBook, arrivals: Arrivals
) -> None:
    assert book.may_know("100") and book.may_know("200")
    assert refusal(arrivals, "100") == refusal(arrivals, "200") == ["reject 503"]


async def test_once_they_are_read_one_that_is_not_ours_is_not_found(book: NumberBook, arrivals: Arrivals) -> None:
    keeping = asyncio.create_task(book.keep())
    async with asyncio.timeout(30):
        while not book.is_read:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert book.may_know("100") and not book.may_know("200")
    assert refusal(arrivals, "200") == ["reject 404"]
    assert refusal(arrivals, "100") == ["reject 503"]  # ours, but nobody would believe that this worker holds the call


async def test_a_worker_that_is_ready_is_known_to_take_calls(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer)
    lease = Lease(queue, Holder("worker", 10), SteadyClock())
    await lease.register(accepting=True)
    seen = await queue.capacity()
    assert (seen.workers, seen.free, lease.holds) == (1, 10, True)
