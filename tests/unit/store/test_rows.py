"""Rows and values: what is masked, what is sealed, and what a destination is."""

from datetime import UTC, datetime

import pytest

from app.store.rows import origin_of, real_url, sealed_url, to_json
from app.store.seal import Sealer


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://app.example/a?b=c", "https://app.example:443"),
        ("http://app.example", "http://app.example:80"),
        ("http://user:pass@APP.example:8080/x", "http://app.example:8080"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443"),
    ],
)
def test_an_origin_is_scheme_host_and_port_without_user_information(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_url_with_user_information_is_masked_and_its_whole_sealed() -> None:
    sealer = Sealer("key")
    plain, sealed = sealed_url("https://user:hunter2@app.example/x", sealer)
    assert plain == "https://***:***@app.example/x"
    assert sealed is not None
    assert real_url(plain, sealed, sealer) == "https://user:hunter2@app.example/x"
    assert real_url(plain, sealed, Sealer("another key")) == plain
    assert sealed_url("https://app.example/x", sealer) == ("https://app.example/x", None)


def test_times_and_bytes_travel_as_postgresql_reads_them() -> None:
    at = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert to_json([{"at": at, "seal": b"\x00\xff"}]) == '[{"at":"2026-05-04T12:00:00+00:00","seal":"\\\\x00ff"}]'


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json([{"x": float("nan")}])
    with pytest.raises(TypeError, match="object"):
        to_json([{"x": object()}])
