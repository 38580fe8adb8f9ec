"""The clock of calls: it never runs backwards while one is timed, and all processes that share a database agree."""

import time
from datetime import UTC, datetime, timedelta

from app.runtime.clock import SteadyClock


def _near(one: datetime, other: datetime) -> bool:
    return abs(one - other) < timedelta(seconds=1)


def test_without_a_database_it_is_the_machines_clock() -> None:
    assert _near(SteadyClock().now(), datetime.now(UTC))


def test_the_databases_time_is_adopted_when_it_is_heard_first() -> None:
    clock, yesterday = SteadyClock(), datetime.now(UTC) - timedelta(days=1)
    clock.hear(yesterday, time.monotonic())
    assert _near(clock.now(), yesterday)


def test_what_is_heard_later_is_adopted_only_when_nothing_is_timed() -> None:
    clock, today = SteadyClock(), datetime.now(UTC)
    clock.hear(today, time.monotonic())
    clock.hear(today + timedelta(hours=1), time.monotonic())
    assert _near(clock.now(), today)
    clock.settle()
    assert _near(clock.now(), today + timedelta(hours=1))


def test_two_processes_whose_machines_disagree_agree_on_the_databases_time() -> None:
    one, other, now = SteadyClock(), SteadyClock(), datetime.now(UTC) + timedelta(hours=5)
    one.hear(now, time.monotonic())
    other.hear(now, time.monotonic())
    assert _near(one.now(), other.now())
