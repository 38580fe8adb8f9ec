"""The tones that are made here, measured."""

import math

import numpy as np
import pytest

from app.calls.audio import RATE
from app.media import codec, tones
from app.media.pyvoip import PayloadType
from tests.kit.sound_files import heard, strength

FULL = 32_124 * 10 ** (-3.17 / 20)  # amplitude of 0 dBm0


def dbm0(amplitude: float) -> float:
    return 20 * math.log10(amplitude / FULL)


def test_ringing_is_a_second_of_425_hz_and_four_of_silence() -> None:
    period = tones.ringing()
    assert len(period) == 2 * 5 * RATE
    assert dbm0(strength(period[800 : 2 * RATE - 800], 425)) == pytest.approx(-13, abs=0.1)
    assert not heard(period)[RATE:].any()


@pytest.mark.parametrize("tone", [tones.ringing(), tones.beep()])
def test_a_tone_begins_and_ends_without_a_click(tone: bytes) -> None:
    sound = np.trim_zeros(heard(tone))
    steady = np.abs(np.diff(sound)).max()
    assert np.abs(sound[:8]).max() < 100 and np.abs(sound[-8:]).max() < 100
    assert np.abs(np.diff(sound[:40])).max() < steady / 2


def test_the_beep_is_a_quarter_of_a_second_of_1000_hz() -> None:
    assert len(tones.beep()) == 2 * RATE // 4
    assert dbm0(strength(tones.beep()[320:-320], 1000)) == pytest.approx(-13, abs=0.1)


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [("1", 697, 1209), ("5", 770, 1336), ("9", 852, 1477), ("0", 941, 1336), ("*", 941, 1209), ("#", 941, 1477),
     ("A", 697, 1633), ("D", 941, 1633)],
)  # fmt: skip
def test_a_key_is_its_two_tones_and_no_others(name: str, row: int, column: int) -> None:
    sound = tones.key(name, 0.1)
    assert len(sound) == 2 * RATE // 10
    there = {hertz: dbm0(strength(sound, hertz)) for hertz in (697, 770, 852, 941, 1209, 1336, 1477, 1633)}
    assert there.pop(row) == pytest.approx(-9, abs=1)
    assert there.pop(column) == pytest.approx(-7, abs=1)
    assert max(there.values()) < -25


def test_a_key_is_not_cut_by_g711() -> None:
    for law in (PayloadType.PCMU, PayloadType.PCMA):
        through = codec.decode(law, codec.encode(law, tones.key("9", 0.1)))
        assert dbm0(strength(through, 852)) == pytest.approx(-9, abs=1)


@pytest.mark.parametrize("name", ["", "x", "12", "a", "w"])
def test_what_is_no_key_has_no_tones(name: str) -> None:
    with pytest.raises(ValueError):
        tones.key(name, 0.1)
