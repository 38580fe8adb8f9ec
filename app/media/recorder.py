"""Recordings of what two parties say, as WAV files in one folder. Knows no signalling.

Packets are put aside as they come and turned into samples some times a second, on the worker's beat; a thread writes
them, so that a slow disk delays no packet. What was said until a second ago is in the file.
"""

import asyncio
from pathlib import Path
from typing import Final

import numpy as np

from app.calls.audio import Audio, TakeEnd, Taken, TakeOrder
from app.media.audio import LegAudio
from app.media.channel import Channel
from app.media.codec import RATE, Samples
from app.media.disk import Disk, DiskFile
from app.media.hush import Hush
from app.media.ticker import Ticker
from app.media.wav import WavFile
from app.runtime import log

_LOOK: Final = 0.75  # seconds; with the lag and the disk's 0.1, a crash loses a second
_LOOK_FOR_SILENCE: Final = 0.2
_LAG: Final = 0.1  # seconds of jitter before a place is written; what comes later is written again

_log = log.get(__name__)


class WavRecorder:
    """Implements app.calls.audio.Recorder: `{name}.wav.part` in `folder` becomes `{name}.wav`."""

    def __init__(self, folder: Path, ticker: Ticker) -> None:
        self._folder = folder
        self._ticker = ticker
        self._disk = Disk()

    def begin(self, order: TakeOrder, *, caller: Audio | None, callee: Audio | None) -> "RunningTake":
        """Raises OSError when no file can be made."""
        file = WavFile(self._folder / f"{order.name}.wav", order.channels)
        return RunningTake(order, file, (_leg(caller), _leg(callee)), self._ticker, self._disk)

    def close(self) -> None:
        """Wait for what is being written."""
        self._disk.close()


class RunningTake:
    """Implements app.calls.audio.Take. Ends when the first of its legs does."""

    def __init__(
        self,
        order: TakeOrder,
        file: WavFile,
        legs: tuple[LegAudio | None, LegAudio | None],
        ticker: Ticker,
        disk: Disk,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Taken] = self._loop.create_future()
        self._order = order
        self._ticker = ticker
        self._began = self._loop.time()
        self._channels = tuple(None if leg is None else Channel(self._began, self._leg_ended) for leg in legs)
        self._legs = legs
        self._hush = None if order.silence is None else Hush()
        self._every = _LOOK if self._hush is None else _LOOK_FOR_SILENCE
        self.rests_until = self._began + min(self._every, order.max_seconds)
        self._longest = int(order.max_seconds * RATE)
        self._written = 0  # samples
        self._end: TakeEnd | None = None
        self._file = DiskFile(disk, file, self._on_disk)
        for leg, channel in zip(legs, self._channels, strict=True):
            if leg is not None and channel is not None:
                leg.tap(channel)
        ticker.add(self)
        if any(leg is not None and leg.stopped for leg in legs):
            self._finish(TakeEnd.LEG_ENDED)

    def stop(self) -> None:
        self._finish(TakeEnd.STOPPED)

    def tick(self, now: float, frames: int) -> None:
        """The ticker calls this."""
        if now - self._began >= self._order.max_seconds:
            self._finish(TakeEnd.MAX_LENGTH)
        elif now >= self.rests_until:
            self.rests_until = min(now + self._every, self._began + self._order.max_seconds)
            self._write(now - _LAG)
            if self._file.failed:
                self._finish(TakeEnd.FAILED)
            elif self._hush is not None and self._hush.quiet >= (self._order.silence or 0.0):
                self._finish(TakeEnd.SILENCE)

    def _leg_ended(self) -> None:
        self._finish(TakeEnd.LEG_ENDED)

    def _finish(self, end: TakeEnd) -> None:
        """The one way out: no tap, no beat, and the file is finished behind it."""
        if self._end is not None:
            return
        self._end = end
        self._ticker.discard(self)
        for leg, channel in zip(self._legs, self._channels, strict=True):
            if leg is not None and channel is not None:
                leg.untap(channel)
        self._write(self._loop.time())
        self._file.finish()
        self._legs = (None, None)

    def _write(self, until: float) -> None:
        """Give the disk what was said until then, and again what came late."""
        for leg in self._legs:
            if leg is not None:
                leg.settle()
        stop = max(self._written, min(int((until - self._began) * RATE), self._longest))
        changed = [place for channel in self._channels if channel is not None and (place := channel.look()) is not None]
        start = max(0, self._written - RATE, min([self._written, *changed]))
        while start < stop:  # a piece at a time: this process may have slept for minutes
            piece = min(stop, start + RATE)
            self._file.write(2 * self._order.channels * start, self._said(start, piece))
            if self._hush is not None and piece > self._written:
                self._hush.hear(_mix([channel.take(max(start, self._written), piece) for channel in self._heard]))
            for channel in self._heard:
                channel.forget(piece)
            start = piece
        self._written = stop

    @property
    def _heard(self) -> list[Channel]:
        return [channel for channel in self._channels if channel is not None]

    def _said(self, start: int, stop: int) -> bytes:
        """This stretch as it is in the file."""
        if self._order.channels == 1:
            said = _mix([channel.take(start, stop) for channel in self._heard])
            return said.tobytes() if len(said) else bytes(2 * (stop - start))
        both = np.empty((stop - start, 2), "<i2")
        for column, channel in enumerate(self._channels):
            both[:, column] = 0 if channel is None else channel.take(start, stop)
        return both.tobytes()

    def _on_disk(self, file: WavFile, failed: bool) -> None:
        end = TakeEnd.FAILED if failed or self._end is None else self._end
        spoken = self._hush is None or self._hush.spoken
        taken = Taken(file.path, file.seconds, self._order.channels, file.size, end, spoken)
        _log.info("recording.ended", recording=self._order.name, end=end.value, seconds=round(taken.seconds, 2))
        if not self.done.done():
            self.done.set_result(taken)


def _mix(parts: list[Samples]) -> Samples:
    if len(parts) == 2:
        both = parts[0].astype(np.int32) + parts[1]
        return np.clip(both, -32_768, 32_767, out=both).astype("<i2")
    return parts[0] if parts else np.empty(0, "<i2")


def _leg(audio: Audio | None) -> LegAudio | None:
    if audio is not None and not isinstance(audio, LegAudio):
        raise TypeError("only legs of this worker are recorded")
    return audio
