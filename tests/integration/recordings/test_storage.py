"""Both stores keep, read in pieces and delete alike; the S3 server is a real one that checks signatures."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.calls.recording import Recording, RecordingState
from app.calls.sid import new_account_sid, new_call_sid, new_recording_sid
from app.recordings.disk import DiskStorage
from app.recordings.s3 import Bucket, S3Storage
from app.recordings.storage import PIECE, Shelves, StorageAway, key_of
from tests.kit.s3 import below, keys_in

CONTENT = bytes(range(256)) * (PIECE // 256 * 2 + 100)  # two pieces and a bit


def recording() -> Recording:
    at = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    sid, account, call = new_recording_sid(), new_account_sid(), new_call_sid()
    return Recording(sid, account, call, "DialVerb", 1, RecordingState.IN_PROGRESS, at)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spool" / "a.wav"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=["disk", "s3"])
def shelves(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> Shelves:
    if request.param == "disk":
        return Shelves(DiskStorage(tmp_path / "kept"))
    return Shelves(S3Storage(below(bucket, new_recording_sid())))


async def read(shelves: Shelves, location: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in await shelves.open(location, start, length)])


async def test_what_is_kept_can_be_read_from_anywhere_and_is_gone_when_deleted(shelves: Shelves, file: Path) -> None:
    location = await shelves.keep(file, recording())
    assert file.exists()
    assert await read(shelves, location, 0, len(CONTENT)) == CONTENT
    for start, length in ((0, 1), (PIECE - 1, 2), (5, PIECE + 7), (len(CONTENT) - 3, 3)):
        assert await read(shelves, location, start, length) == CONTENT[start : start + length]
    for _ in range(2):
        await shelves.delete(location)
    with pytest.raises(FileNotFoundError):
        await shelves.open(location, 0, 1)


async def test_to_keep_the_same_again_is_harmless(shelves: Shelves, file: Path) -> None:
    one = recording()
    assert await shelves.keep(file, one) == await shelves.keep(file, one)
    location = await shelves.keep(file, one)
    assert await read(shelves, location, 0, len(CONTENT)) == CONTENT


async def test_an_end_that_comes_too_early_is_an_error_and_not_a_short_answer(shelves: Shelves, file: Path) -> None:
    location = await shelves.keep(file, recording())
    with pytest.raises(OSError, match=r"were expected|416 Range"):
        await read(shelves, location, 0, len(CONTENT) + 1)


async def test_a_disk_keeps_a_recording_apart_from_the_spools_file(tmp_path: Path, file: Path) -> None:
    shelves, one = Shelves(DiskStorage(tmp_path / "kept")), recording()
    location = await shelves.keep(file, one)
    assert location == f"disk:{one.account_sid}/2026-11-23/{one.sid}.wav"
    file.unlink()
    assert (tmp_path / "kept" / key_of(one)).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "kept").rglob("*.new")] == []


async def test_a_bucket_has_it_under_its_prefix_as_audio(bucket: Bucket, file: Path) -> None:
    own, one = below(bucket, new_recording_sid()), recording()
    location = await Shelves(S3Storage(own)).keep(file, one)
    assert location == f"s3:{key_of(one)}"
    assert keys_in(own) == [key_of(one)]


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "wrong"}, {"key": "nobody"}, {"name": "no-such-bucket"}, {"endpoint": "http://127.0.0.1:1"}],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_bucket_that_cannot_be_used_is_away_and_no_secret_is_told(
    bucket: Bucket, file: Path, wrong: dict[str, str]
) -> None:
    storage = S3Storage(replace(bucket, **wrong))
    with pytest.raises(StorageAway) as told:
        await storage.keep(file, "a.wav")
    assert bucket.secret not in str(told.value)
    assert "\n" not in str(told.value)


async def test_a_row_of_a_store_that_is_not_set_up_is_away(tmp_path: Path) -> None:
    with pytest.raises(StorageAway, match="DIAL_RECORDINGS_S3_BUCKET"):
        await Shelves(DiskStorage(tmp_path)).open("s3:a.wav", 0, 1)
