"""Any linear audio to 16-bit mono at 8,000 samples a second, by libswresample. Knows no file and no format.

For the processes of their own alone: nothing else may load PyAV.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

from av import AudioFrame
from av.filter import Graph

RATE: Final = 8000

# Measured with sines: flat to 0.1 dB up to 3,400 Hz, -12 dB at 3,800 and -90 dB from 4,100 on, for 0.6 ms CPU per
# second of 48 kHz audio. The library's own settings let 4,100 Hz through at -15 dB, to be heard as 3,900.
_FILTER: Final = "filter_size=64:cutoff=0.93:exact_rational=1"


class Resampler:
    """Push frames of one rate, format and layout; `finish` gives what is still in the filter."""

    def __init__(self, first: AudioFrame, gain: float = 1.0) -> None:
        self.shape = shape(first)
        self._graph = Graph()
        source = self._graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format.name,
            layout=first.layout,
            time_base=Fraction(1, first.sample_rate),
        )
        louder = [self._graph.add("volume", f"volume={gain:.6f}:precision=float")] if gain != 1.0 else []
        self._graph.link_nodes(
            source,
            *louder,
            self._graph.add("aresample", f"{RATE}:{_FILTER}"),
            self._graph.add("aformat", f"sample_fmts=s16:sample_rates={RATE}:channel_layouts=mono"),
            self._graph.add("abuffersink"),
        ).configure()

    def push(self, frame: AudioFrame) -> Iterator[bytes]:
        frame.pts = None  # a file's time stamps may leap; its samples are all there is to play
        self._graph.push(frame)
        yield from self._pull()

    def finish(self) -> Iterator[bytes]:
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[bytes]:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            if isinstance(frame, AudioFrame):
                yield bytes(frame.planes[0])[: 2 * frame.samples]


def shape(frame: AudioFrame) -> tuple[int, str, str]:
    """What must stay the same from one push to the next."""
    return frame.sample_rate, frame.format.name, frame.layout.name
