"""What a WAV file on this machine holds, and its header put right when its writer died. Decodes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_RIFF_HEAD = 12  # "RIFF", size, "WAVE"
_CHUNK_HEAD = 8  # name, size


class NotAWave(ValueError):
    """It has no header, or one that says nothing of its samples."""


@dataclass(frozen=True, slots=True)
class Wave:
    seconds: float
    size: int  # bytes of the whole file


@dataclass(frozen=True, slots=True)
class _Layout:
    channels: int
    bytes_a_second: int
    frame: int  # bytes
    data: int  # where the samples begin


def repair(path: Path) -> Wave:
    """Make the header say what the file holds: its writer may have died between samples and header.

    Raises NotAWave, and OSError.
    """
    with path.open("r+b") as file:
        layout = _layout(file)
        end = file.seek(0, os.SEEK_END)
        samples = max(0, end - layout.data) // layout.frame * layout.frame
        file.truncate(layout.data + samples)
        file.seek(4)
        file.write((layout.data + samples - 8).to_bytes(4, "little"))
        file.seek(layout.data - 4)
        file.write(samples.to_bytes(4, "little"))
        file.flush()
        os.fsync(file.fileno())
    return Wave(samples / layout.bytes_a_second, layout.data + samples)


def _layout(file: BinaryIO) -> _Layout:
    head = file.read(_RIFF_HEAD)
    if len(head) < _RIFF_HEAD or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise NotAWave("it does not begin as a WAV file")
    form = b""
    while len(chunk := file.read(_CHUNK_HEAD)) == _CHUNK_HEAD:
        name, size = chunk[:4], int.from_bytes(chunk[4:], "little")
        if name == b"data":
            return _of(form, file.tell())
        body = file.read(size + size % 2)
        form = body if name == b"fmt " else form
    raise NotAWave("it has no samples")


def _of(form: bytes, data: int) -> _Layout:
    number = {
        name: int.from_bytes(form[a:b], "little")
        for name, a, b in (("channels", 2, 4), ("rate", 8, 12), ("frame", 12, 14))
    }
    if not all(number.values()):
        raise NotAWave("its format is not said before its samples")
    return _Layout(number["channels"], number["rate"], number["frame"], data)
