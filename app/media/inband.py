"""Keys told from the tones in what a peer says (ITU-T Q.23, Q.24). Knows no packet and no event.

Goertzel's sums at the eight frequencies, all at once as one product of matrices: 205 samples, every 102 of them.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.media.codec import RATE, linear
from app.media.tap import Heard

_LOW: Final = (697, 770, 852, 941)  # Hz
_HIGH: Final = (1209, 1336, 1477, 1633)
_PAD: Final = ("123A", "456B", "789C", "*0#D")  # a row for each low tone, a column for each high one
_WINDOW: Final = 205  # samples: 39 Hz apart, the widest that a tone of 40 ms fills
_STEP: Final = 102
_SHARE: Final = 0.75  # of all energy in a window is the two tones': 12 dB of noise leave 0.94, speech has harmonics
_SHARE_AT_EDGE: Final = 0.5  # in the second window of a press, which it may fill by two thirds only
_FLOOR: Final = 50.0  # root mean square below which nothing is a key: -56 dBov
_TWIST: Final = 10 ** (4 / 10), 10 ** (8 / 10)  # the higher tone may be 4 dB stronger or 8 dB weaker (Q.24)
_ALONE: Final = 10 ** (6 / 10)  # the strongest tone of a group is so much stronger than each of the others
_QUIET: Final = 3  # windows without the key before the same one counts again: 38 ms


def _sums() -> NDArray[np.float32]:
    """One column of cosines and one of sines per frequency."""
    turns = np.outer(np.arange(_WINDOW), np.array(_LOW + _HIGH)) * (2 * np.pi / RATE)
    return np.concatenate((np.cos(turns), np.sin(turns)), axis=1).astype(np.float32)


_SUMS: Final = _sums()


class Ear:
    """Tells each key once, at its second window: 38 ms after its begin. A tap of one leg."""

    prompt = True

    __slots__ = ("_candidate", "_pressed", "_quiet", "_samples", "_tell")

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._samples = np.empty(0, np.float32)
        self._candidate = ("", 0.0)  # the last window's key and its tones' share
        self._pressed = ""
        self._quiet = 0

    def heard(self, heard: Heard) -> None:
        codec, _, _, payload, _ = heard
        samples = np.concatenate((self._samples, linear(codec, payload).astype(np.float32)))
        at, keys = 0, ""
        while len(samples) - at >= _WINDOW:
            keys += self._judge(samples[at : at + _WINDOW])
            at += _STEP
        self._samples = samples[at:]
        for key in keys:  # the last thing done: whoever is told may end this
            self._tell(key)

    def ended(self) -> None:
        """Nothing is kept that the leg's end would have to return."""

    def _judge(self, window: NDArray[np.float32]) -> str:
        key, share = _key(window)
        before, share_before = self._candidate
        self._candidate = key, share
        if key and key == before and max(share, share_before) >= _SHARE:
            self._quiet = 0
            if key == self._pressed:
                return ""
            self._pressed = key
            return key
        if key != self._pressed:
            self._quiet += 1
            if self._quiet >= _QUIET:
                self._pressed = ""
        return ""


def _key(window: NDArray[np.float32]) -> tuple[str, float]:
    """The key whose tones this is and their share of its energy; none: ("", 0)."""
    energy = float(window @ window)
    if energy < _FLOOR * _FLOOR * _WINDOW:
        return "", 0.0
    parts = window @ _SUMS
    powers = (parts[:8] ** 2 + parts[8:] ** 2).tolist()
    low, high = powers[:4], powers[4:]
    strongest_low, strongest_high = max(low), max(high)
    share = (strongest_low + strongest_high) * 2 / (_WINDOW * energy)
    if share < _SHARE_AT_EDGE:
        return "", 0.0
    if strongest_high > strongest_low * _TWIST[0] or strongest_low > strongest_high * _TWIST[1]:
        return "", 0.0
    row, column = low.index(strongest_low), high.index(strongest_high)
    others = low[:row] + low[row + 1 :], high[:column] + high[column + 1 :]
    if max(others[0]) * _ALONE > strongest_low or max(others[1]) * _ALONE > strongest_high:
        return "", 0.0
    return _PAD[row][column], share
