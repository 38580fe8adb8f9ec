"""A WAV file that grows on a disk: whole whenever it is looked at. Blocks; knows no audio and no event loop."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.media.codec import RATE

HEADER: Final = 44  # bytes
_PART: Final = ".part"  # at the end of its name while it grows


def header(channels: int, data: int) -> bytes:
    """Of 16-bit PCM at 8,000 samples a second, `data` bytes of it."""
    frame = 2 * channels
    format_ = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, RATE, RATE * frame, frame, 16)
    return struct.pack("<4sI4s", b"RIFF", HEADER - 8 + data, b"WAVE") + format_ + struct.pack("<4sI", b"data", data)


class WavFile:
    """Under its name with `.part` from the beginning, under its name once it is finished. Raises OSError everywhere."""

    def __init__(self, path: Path, channels: int) -> None:
        self.path = path.with_name(path.name + _PART)
        self._final = path
        self._channels = channels
        self.size = HEADER
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            self._put(0, header(channels, 0))
        except OSError:
            os.close(self._file)
            self.path.unlink()
            raise

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.size - HEADER) / (2 * self._channels * RATE)

    def write(self, pieces: Sequence[tuple[int, bytes]]) -> None:
        """Each piece at its place in the data, and what that makes of the header, last: a crash leaves a valid file."""
        try:
            for at, piece in pieces:
                self._put(HEADER + at, piece)
        finally:
            self._put(0, header(self._channels, self.size - HEADER))

    def finish(self) -> None:
        """On the disk, whole, under its own name."""
        try:
            os.fsync(self._file)
            self.path.rename(self._final)
            self.path = self._final
        finally:
            os.close(self._file)

    def _put(self, at: int, piece: bytes) -> None:
        view, frame = memoryview(piece), 2 * self._channels
        while view:
            written = os.pwrite(self._file, view, at)  # a full disk takes a part, then none
            view, at = view[written:], at + written
            self.size = max(self.size, at - (at - HEADER) % frame)
