"""When nobody has spoken for a while: speech is what stands out of the noise of its own line. Knows no clock."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.media.codec import FRAME, RATE

_ABOVE: Final = 9.0  # dB over the noise
_FAINTEST: Final = -50.0  # dB of full scale: below nothing is speech
_RISE: Final = 1.5 * FRAME / RATE  # dB a frame: the noise follows what does not stop, but no sentence
_DEAD: Final = -80.0  # nothing at all: a lost packet on a noisy line, or the pause of a voice on a perfect one
_FALL: Final = 1.0  # dB a dead frame
_LOWEST: Final = -65.0


class Hush:
    """Counts silence; the noise is the lowest level of late."""

    __slots__ = ("_noise", "_samples", "quiet", "spoken")

    def __init__(self) -> None:
        self.quiet = 0.0  # seconds
        self.spoken = False  # ever
        self._noise = -55.0
        self._samples = np.empty(0, np.int16)

    def hear(self, samples: NDArray[np.int16]) -> None:
        """What came next."""
        samples = np.concatenate((self._samples, samples))
        whole = len(samples) // FRAME * FRAME
        self._samples = samples[whole:]
        frames = samples[:whole].reshape(-1, FRAME).astype(np.float32)
        for power in np.einsum("ij,ij->i", frames, frames).tolist():
            level = 10 * math.log10(power / FRAME / 2**30) if power else _DEAD
            spoken = level > max(self._noise + _ABOVE, _FAINTEST)
            self._noise = min(level, self._noise + _RISE) if level > _DEAD else max(_LOWEST, self._noise - _FALL)
            self.spoken = self.spoken or spoken
            self.quiet = 0.0 if spoken else self.quiet + FRAME / RATE
