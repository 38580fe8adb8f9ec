"""Tones that are made and not fetched: ringing, the beep before a recording, keys. Plays nothing.

Levels are dBm0: a sine that just reaches the end of G.711's range has 3.17 (µ-law) (ITU-T G.711).
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.calls.audio import RATE, Pcm

_OVERLOAD_DBM0: Final = 3.17
_OVERLOAD: Final = 32124  # G.711's highest µ-law value in 16 bits
_EDGE: Final = 0.01  # seconds of a raised cosine at both ends: a hard edge clicks
_KEY_EDGE: Final = 0.003  # a receiver wants a key's level within 5 ms (ITU-T Q.24)

_RINGING: Final = (425, 1.0, 4.0)  # Hz, seconds on and off: most of Europe (ITU-T E.180)
_TONE_LEVEL: Final = -13.0
_BEEP: Final = (1000, 0.25)

_ROWS: Final = (697, 770, 852, 941)  # ITU-T Q.23
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_KEYPAD: Final = "123A456B789C*0#D"
_ROW_LEVEL: Final = -9.0
_COLUMN_LEVEL: Final = -7.0  # lines lose more of what is high (ETSI ES 201 235-2: 1 to 4 dB more)


@cache
def ringing() -> Pcm:
    """One period of ringing tone, its silence included."""
    hertz, on, off = _RINGING
    return _pcm(_soft(_sine(hertz, on, _TONE_LEVEL), _EDGE)) + bytes(2 * int(off * RATE))


@cache
def beep() -> Pcm:
    hertz, seconds = _BEEP
    return _pcm(_soft(_sine(hertz, seconds, _TONE_LEVEL), _EDGE))


@cache
def key(name: str, seconds: float) -> Pcm:
    """The two tones of one of 0-9 * # A-D. Raises ValueError."""
    if len(name) != 1 or name not in _KEYPAD:
        raise ValueError(f"{name!r} is no key")
    place = _KEYPAD.index(name)
    row = _sine(_ROWS[place // 4], seconds, _ROW_LEVEL)
    return _pcm(_soft(row + _sine(_COLUMNS[place % 4], seconds, _COLUMN_LEVEL), _KEY_EDGE))


def _sine(hertz: float, seconds: float, dbm0: float) -> NDArray[np.float64]:
    at = np.arange(int(seconds * RATE)) / RATE
    amplitude = _OVERLOAD * 10 ** ((dbm0 - _OVERLOAD_DBM0) / 20)
    return np.asarray(amplitude * np.sin(2 * np.pi * hertz * at))


def _soft(tone: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    length = min(int(edge * RATE), len(tone) // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(1, length))
    soft = tone.copy()
    soft[:length] *= rise
    soft[len(tone) - length :] *= rise[::-1]
    return soft


def _pcm(samples: NDArray[np.float64]) -> Pcm:
    return np.rint(samples).astype("<i2").tobytes()
