"""Keys told from tones: in noise, short, at every level; and none in what only resembles them."""

import numpy as np
import pytest

from app.media import tones
from app.media.codec import encode
from app.media.inband import Ear
from app.media.pyvoip import PayloadType

KEYS = "0123456789*#ABCD"


def heard(signal: np.ndarray, codec: PayloadType = PayloadType.PCMU) -> str:
    keys: list[str] = []
    ear = Ear(keys.append)
    payload = encode(codec, np.clip(signal, -32_768, 32_767).astype("<i2").tobytes())
    for at in range(0, len(payload), 160):
        ear.heard((codec, at, 0.0, payload[at : at + 160], 160))
    return "".join(keys)


def tone(key: str, seconds: float) -> np.ndarray:
    return np.frombuffer(tones.key(key, seconds), "<i2").astype(float)


@pytest.mark.parametrize("codec", [PayloadType.PCMU, PayloadType.PCMA])
@pytest.mark.parametrize(("decibels", "seconds"), [(40, 0.04), (15, 0.05), (12, 0.04), (12, 0.1)])
def test_sixty_four_keys_of_sixty_four_are_heard_in_noise(codec: PayloadType, decibels: int, seconds: float) -> None:
    chance = np.random.default_rng(decibels)
    pressed = "".join(chance.permutation(list(KEYS * 4)))
    level = 10 ** (chance.uniform(-20, 0) / 20)
    parts = [np.zeros(int(chance.integers(0, 300)))]
    for key in pressed:
        parts += [tone(key, seconds) * level, np.zeros(320 + int(chance.integers(0, 100)))]
    signal = np.concatenate(parts)
    noise = np.sqrt(np.mean((tone("1", 0.1) * level) ** 2) / 10 ** (decibels / 10))
    assert heard(signal + chance.normal(0, noise, len(signal)), codec) == pressed


def test_a_key_held_down_is_one_key() -> None:
    assert heard(tone("7", 3.0)) == "7"


def vowels(seconds: int, chance: np.random.Generator) -> np.ndarray:
    """Glides of voiced sounds: a pulse train of a voice's pitch through three formants, like speech and worse."""
    parts = []
    for _ in range(4 * seconds):
        pitch = np.linspace(*chance.uniform(80, 320, 2), 2000)
        pulses = np.diff(np.floor(np.cumsum(pitch) / 8000), prepend=0)
        frequencies = np.fft.rfftfreq(2000, 1 / 8000)
        formants = chance.uniform((250, 700, 1800), (900, 2300, 3200))
        shape = sum(1 / (1 + ((frequencies - formant) / chance.uniform(40, 120)) ** 2) for formant in formants)
        parts.append(np.fft.irfft(np.fft.rfft(pulses) * shape, 2000))
    voice = np.concatenate(parts)
    return voice / np.abs(voice).max() * 20_000


def test_no_key_is_heard_in_a_voice() -> None:
    assert heard(vowels(120, np.random.default_rng(5))) == ""


@pytest.mark.parametrize(
    "signal",
    [
        np.random.default_rng(1).normal(0, 4000, 80_000),
        8000 * np.sin(2 * np.pi * 425 * np.arange(80_000) / 8000),
        8000 * np.sin(2 * np.pi * 941 * np.arange(80_000) / 8000),
        6000 * np.sin(2 * np.pi * 350 * np.arange(80_000) / 8000)
        + 6000 * np.sin(2 * np.pi * 440 * np.arange(80_000) / 8000),
        6000 * np.sin(2 * np.pi * 740 * np.arange(80_000) / 8000)
        + 6000 * np.sin(2 * np.pi * 1272 * np.arange(80_000) / 8000),
    ],
    ids=["noise", "ringing", "half a key", "dial tone", "between two keys"],
)
def test_other_sounds_are_no_key(signal: np.ndarray) -> None:
    assert heard(signal) == ""
