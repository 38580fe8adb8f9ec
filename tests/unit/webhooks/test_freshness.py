"""What a server says about how long its file may be used."""

from datetime import UTC, datetime

import httpx
import pytest

from app.webhooks.freshness import LONGEST, UNSAID, fresh_for, may_keep

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, UNSAID),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "public, MAX-AGE=60, must-revalidate"}, 60),
        ({"cache-control": 'max-age="60"'}, 60),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=60", "age": "100"}, 0),
        ({"cache-control": "max-age=60", "expires": DATE}, 60),
        ({"cache-control": "max-age=never"}, 0),
        ({"cache-control": "max-age=-1"}, 0),
        ({"cache-control": "max-age=999999999999999999999"}, LONGEST),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "s-maxage=60"}, UNSAID),
        ({"cache-control": "private"}, UNSAID),
        ({"expires": "Mon, 23 Nov 2026 12:01:00 GMT", "date": DATE}, 60),
        ({"expires": "Mon, 23 Nov 2026 12:01:00 GMT"}, 60),
        ({"expires": "Mon, 23 Nov 2026 11:00:00 GMT", "date": DATE}, 0),
        ({"expires": "0"}, 0),
        ({"expires": "Mon, 99 Foo 2026 12:01:00 GMT"}, 0),
        ({"cache-control": ";;;=,,=\x22"}, UNSAID),
    ],
)
def test_how_long_a_file_is_fresh(headers: dict[str, str], seconds: float) -> None:
    assert fresh_for(httpx.Headers(headers), NOW) == seconds


@pytest.mark.parametrize(("said", "expected"), [("no-store", False), ("private, No-Store", False), ("no-cache", True)])
def test_what_may_be_kept_at_all(said: str, expected: bool) -> None:
    assert may_keep(httpx.Headers({"cache-control": said})) is expected
