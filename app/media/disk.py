"""Growing files and the thread that writes them, all that is due together, never waited for. Knows no audio.

One hand-over to a thread costs 60 µs, writing a second of audio 10: so ten times a second everything at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from app.media.wav import WavFile
from app.runtime import log

_EVERY: Final = 0.1  # seconds
_UNWRITTEN: Final = 10_000_000  # bytes, five minutes of two channels: a disk that takes nothing so long is none

_log = log.get(__name__)

Job = tuple[WavFile, Sequence[tuple[int, bytes]]]


class Disk:
    """Two threads: one writes, one finishes files, which may take a disk long."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="recorder")
        self._due: list[DiskFile] = []
        self._busy = False  # a timer runs, or a thread

    def want(self, file: "DiskFile") -> None:
        """Write what `file` has, soon."""
        self._due.append(file)
        self._go_on()

    def finish(self, file: WavFile) -> "asyncio.Future[None]":
        """On a thread of its own."""
        return asyncio.get_running_loop().run_in_executor(self._threads, file.finish)

    def close(self) -> None:
        """Wait for what is being written."""
        self._threads.shutdown()

    def _write(self) -> None:
        due, self._due = self._due, []
        jobs = [(file.file, file.take()) for file in due]
        writing = asyncio.get_running_loop().run_in_executor(self._threads, _write_all, jobs)
        writing.add_done_callback(lambda done: self._written(due, done.result()))

    def _written(self, files: list["DiskFile"], errors: list[OSError | None]) -> None:
        self._busy = False
        for file, error in zip(files, errors, strict=True):
            file.written(error)
        self._go_on()  # others came while the thread wrote

    def _go_on(self) -> None:
        if self._due and not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_later(_EVERY, self._write)


class DiskFile:
    """One of them. `on_finished` is called once, on the loop: after `finish`, with whether something failed."""

    def __init__(self, disk: Disk, file: WavFile, on_finished: Callable[[WavFile, bool], None]) -> None:
        self.failed = False
        self.file = file
        self._disk = disk
        self._on_finished = on_finished
        self._pieces: list[tuple[int, bytes]] = []
        self._unwritten = 0
        self._waits = False  # for the disk
        self._ends = False

    def write(self, at: int, piece: bytes) -> None:
        """Put `piece` at its place in the data, soon."""
        if self.failed:
            return
        self._pieces.append((at, piece))
        self._unwritten += len(piece)
        if self._unwritten > _UNWRITTEN:
            self._fail(OSError("the disk takes nothing"))
        self._go_on()

    def finish(self) -> None:
        """Nothing more comes."""
        self._ends = True
        self._go_on()

    def take(self) -> list[tuple[int, bytes]]:
        """What is to be written now."""
        pieces, self._pieces, self._unwritten = self._pieces, [], 0
        return pieces

    def written(self, error: OSError | None) -> None:
        """It is, or it failed."""
        self._waits = False
        if error is not None:
            self._fail(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._waits:
            return
        if self._pieces:
            self._waits = True
            self._disk.want(self)
        elif self._ends:
            self._waits = True
            self._disk.finish(self.file).add_done_callback(self._finished)

    def _finished(self, job: "asyncio.Future[None]") -> None:
        if (error := job.exception()) is not None:
            self._fail(error)
        self._on_finished(self.file, self.failed)

    def _fail(self, error: BaseException) -> None:
        """What is on the disk stays; the rest is given up."""
        if not self.failed:
            _log.error("recording.failed", file=str(self.file.path), error=str(error))
        self.failed = True
        self._pieces.clear()


def _write_all(jobs: Sequence[Job]) -> list[OSError | None]:
    """What became of each."""
    errors: list[OSError | None] = []
    for file, pieces in jobs:
        try:
            file.write(pieces)
            errors.append(None)
        except OSError as error:
            errors.append(error)
    return errors
