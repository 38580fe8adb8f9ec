"""The spool is made where it can be, and what lies in it is told by name and quiet."""

import os
import time
from pathlib import Path

import pytest

from app.calls.sid import new_recording_sid
from app.recordings.spool import InOtherHands, Spool, held


def test_it_is_made_for_its_owner_alone_and_a_worker_without_one_lives_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "data" / "spool")
    assert spool.quiet() == {}
    spool.make()
    spool.make()
    assert spool.folder.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    Spool(tmp_path / "file" / "spool").make()  # cannot be, and raises nothing


def test_only_recordings_that_nobody_has_written_to_lately_are_seen(tmp_path: Path) -> None:
    quiet, part, busy = (new_recording_sid() for _ in range(3))
    for name in (f"{quiet}.wav", f"{part}.wav.part", f"{busy}.wav.part", "RE1.wav", f"{busy}.txt"):
        (tmp_path / name).touch()
        if not name.startswith(busy):
            os.utime(tmp_path / name, (time.time() - 60, time.time() - 60))
    spool = Spool(tmp_path)
    assert spool.quiet() == {quiet: tmp_path / f"{quiet}.wav", part: tmp_path / f"{part}.wav.part"}
    assert spool.settled(tmp_path / f"{part}.wav.part") == tmp_path / f"{part}.wav"
    assert (tmp_path / f"{part}.wav").exists()


def test_a_file_is_in_one_pair_of_hands(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with held(path), pytest.raises(InOtherHands), held(path):
        pass
    with held(path):
        pass
