"""A WAV file whose writer died says what it holds once it has been repaired."""

import wave
from pathlib import Path

import pytest

from app.recordings.wave import NotAWave, repair

RATE = 8000


def written(path: Path, samples: bytes, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples)
    return path


def read(path: Path) -> tuple[int, int, bytes]:
    with wave.open(str(path)) as file:
        return file.getnchannels(), file.getnframes(), file.readframes(file.getnframes())


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_behind_what_the_header_says_are_found(tmp_path: Path, channels: int) -> None:
    path = written(tmp_path / "a.wav", b"\1\2" * channels * RATE, channels)
    with path.open("ab") as file:
        file.write(b"\3\4" * channels * RATE + b"\5")  # a second more, and half a sample
    repaired = repair(path)
    assert (repaired.seconds, repaired.size) == (2.0, path.stat().st_size)
    assert read(path) == (channels, 2 * RATE, b"\1\2" * channels * RATE + b"\3\4" * channels * RATE)


def test_a_header_that_promises_more_than_there_is_is_put_right(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", b"\1\2" * RATE)
    with path.open("r+b") as file:
        file.truncate(44 + RATE)
    assert repair(path).seconds == 0.5
    assert read(path) == (1, RATE // 2, b"\1\2" * (RATE // 2))


def test_what_is_whole_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", b"\1\2" * RATE)
    before = path.read_bytes()
    assert repair(path).seconds == 1.0
    assert path.read_bytes() == before


def test_chunks_before_the_samples_are_stepped_over(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.wav", b"\1\2" * RATE).read_bytes()
    path = tmp_path / "b.wav"
    path.write_bytes(plain[:36] + b"LIST" + (3).to_bytes(4, "little") + b"abc\0" + plain[36:])
    assert repair(path).seconds == 1.0
    assert read(path) == (1, RATE, b"\1\2" * RATE)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", b"ID3" * 100])
def test_what_is_not_a_wave_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(NotAWave):
        repair(path)
