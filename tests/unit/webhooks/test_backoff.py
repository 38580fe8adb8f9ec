"""When a failed delivery is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from app.webhooks.backoff import Backoff

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = NOW + timedelta(days=1)
EXACT = Backoff((5, 30, 300), uniform=lambda low, high: 1.0)


@pytest.mark.parametrize(("attempt", "wait"), [(1, 5), (2, 30), (3, 300), (4, None), (9, None)])
def test_each_wait_follows_its_attempt_and_nothing_the_last(attempt: int, wait: float | None) -> None:
    assert EXACT.after(attempt, at=NOW, expires_at=DAY, retry_after=None) == wait


def test_waits_are_spread_by_a_fifth() -> None:
    waits = [Backoff((100,)).after(1, at=NOW, expires_at=DAY, retry_after=None) for _ in range(200)]
    assert all(wait is not None and 80 <= wait <= 120 for wait in waits)
    assert len(set(waits)) > 100


@pytest.mark.parametrize(("asked", "wait"), [(0, 5), (3, 5), (60, 60)])
def test_retry_after_only_lengthens(asked: float, wait: float) -> None:
    assert EXACT.after(1, at=NOW, expires_at=DAY, retry_after=asked) == wait


def test_a_wait_past_the_expiry_ends_at_it() -> None:
    soon = NOW + timedelta(seconds=20)
    assert EXACT.after(2, at=NOW, expires_at=soon, retry_after=None) == 20
    assert EXACT.after(1, at=NOW, expires_at=soon, retry_after=86_400 * 365) == 20


def test_after_the_expiry_nothing_follows() -> None:
    assert EXACT.after(1, at=DAY, expires_at=DAY, retry_after=None) is None


def test_without_waits_there_is_one_attempt() -> None:
    assert Backoff(()).after(1, at=NOW, expires_at=DAY, retry_after=None) is None
