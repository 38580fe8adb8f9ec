"""Silence told from speech, on lines of every quality."""

import numpy as np
import pytest

from app.media.hush import Hush


def noise(seconds: float, level: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, int(8000 * seconds)).astype(np.int16)


def speech(seconds: float, level: float) -> np.ndarray:
    """Syllables: bursts of 150 ms with pauses of 60 ms."""
    at = np.arange(int(8000 * seconds)) / 8000
    return (level * np.sin(2 * np.pi * 200 * at) * (np.mod(at, 0.21) < 0.15)).astype(np.int16)


@pytest.mark.parametrize("floor", [0, 1, 30, 150])
def test_a_line_without_speech_is_silent_however_noisy(floor: float) -> None:
    hush = Hush()
    for second in range(15):
        hush.hear(noise(1, floor, second))
    assert hush.quiet > 8


@pytest.mark.parametrize(("floor", "level"), [(0, 300), (30, 600), (150, 3000)])
def test_speech_ends_silence_and_silence_is_counted_from_its_end(floor: float, level: float) -> None:
    hush = Hush()
    hush.hear(noise(5, floor, 1))
    assert not hush.spoken
    hush.hear(speech(20, level) + noise(20, floor, 2))
    assert hush.quiet < 0.3
    hush.hear(noise(3, floor, 3))
    assert hush.quiet == pytest.approx(3, abs=0.3)
    assert hush.spoken


def test_odd_pieces_are_counted_as_whole_ones_are() -> None:
    hush = Hush()
    for _ in range(100):
        hush.hear(np.zeros(111, np.int16))
    assert hush.quiet == pytest.approx(100 * 111 / 8000, abs=0.02)
