"""A link to a recording opens that recording until its time is over, and nothing else."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from app.calls.sid import new_recording_sid
from app.recordings.links import Links, link_key

SID = new_recording_sid()
NOW = 1_800_000_000.0


def signed(now: float = NOW, key: str = "secret") -> Links:
    return Links("https://dial.example", link_key(key), 60, lambda: now)


def query(links: Links) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(links.url_of(SID)).query))


def test_without_a_key_a_link_is_bare_and_no_signature_opens_anything() -> None:
    assert Links("https://dial.example").url_of(SID) == f"https://dial.example/v1/recordings/{SID}.wav"
    assert not Links("https://dial.example").opens(SID, **query(signed()))


def test_a_signed_link_opens_its_recording_until_it_expires() -> None:
    given = query(signed())
    assert signed().url_of(SID).startswith(f"https://dial.example/v1/recordings/{SID}.wav?expires=")
    assert signed(NOW + 60).opens(SID, **given)
    assert not signed(NOW + 61).opens(SID, **given)


def test_a_signature_is_of_one_recording_one_time_and_one_key() -> None:
    given = query(signed())
    later = str(int(given["expires"]) + 1)
    assert not signed().opens(new_recording_sid(), **given)
    assert not signed().opens(SID, later, given["signature"])
    assert not signed(key="another").opens(SID, **given)


@pytest.mark.parametrize(
    ("expires", "signature"),
    [("", ""), ("1800000060", ""), ("-1", "x"), ("1e9", "x"), ("9" * 13, "x"), ("1800000060", "ä")],
)
def test_nonsense_opens_nothing(expires: str, signature: str) -> None:
    assert not signed().opens(SID, expires, signature)
