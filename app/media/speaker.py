"""The program that speaks, one text after the other (`python -m`): the synthesizer's process, free to die."""

from array import array
from typing import BinaryIO, Final

import espeakng_loader
from av import AudioFrame

from app.media.espeak import Espeak
from app.media.hand import CannotDo, Fence, Order, serve
from app.media.resample import RATE, Resampler
from app.media.voices import choose

# Peaks of -3 dBFS: eSpeak's languages come to -19 to -23 dBov of speech that way, and nothing clips in G.711. A whisper
# that it makes of single letters is not raised by more than 12 dB.
_PEAK: Final = 32767 * 10 ** (-3 / 20)
_MOST_GAIN: Final = 4.0
_BLOCK: Final = 8192  # samples

FENCE: Final = Fence(memory=640 * 1024 * 1024, cpu=20, file=2 * RATE * 3600)


class _Speech:
    def __init__(self) -> None:
        self._espeak = Espeak(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
        self._known = self._espeak.languages()

    def __call__(self, order: Order, _content: BinaryIO, sound: BinaryIO) -> None:
        """`text`, `voice` and `language` as 16-bit mono 8 kHz. Raises CannotDo."""
        chosen = choose(order["voice"], order["language"], self._known)
        try:
            spoken = self._espeak.say(order["text"], chosen.language, chosen.gender)
        except ValueError as error:
            raise CannotDo(str(error)) from error
        _write(spoken, self._espeak.rate, sound)


def _write(spoken: bytes, rate: int, sound: BinaryIO) -> None:
    samples = array("h", spoken)
    peak = max(max(samples, default=0), -min(samples, default=0))
    if not peak:
        return
    resampler: Resampler | None = None
    for at in range(0, len(samples), _BLOCK):
        frame = _frame(samples[at : at + _BLOCK].tobytes(), rate)
        resampler = resampler or Resampler(frame, gain=min(_MOST_GAIN, _PEAK / peak))
        for some in resampler.push(frame):
            sound.write(some)
    if resampler is not None:
        for some in resampler.finish():
            sound.write(some)


def _frame(samples: bytes, rate: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout="mono", samples=len(samples) // 2)
    frame.sample_rate = rate
    frame.planes[0].update(samples.ljust(frame.planes[0].buffer_size, b"\0"))  # the plane is padded for alignment
    return frame


if __name__ == "__main__":
    serve(_Speech(), FENCE)
