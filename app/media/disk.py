"""One growing file and the thread that writes it: a job at a time, in order, never waited for. Knows no audio."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from app.media.wav import WavFile
from app.runtime import log

_UNWRITTEN: Final = 10_000_000  # bytes, five minutes of two channels: a disk that takes nothing so long is none

_log = log.get(__name__)


class Disk:
    """`on_finished` is called once, on the loop: after `finish`, with whether everything is on the disk."""

    def __init__(
        self,
        file: WavFile,
        loop: asyncio.AbstractEventLoop,
        threads: Executor,
        on_finished: Callable[[WavFile, bool], None],
    ) -> None:
        self.failed = False
        self._file = file
        self._loop = loop
        self._threads = threads
        self._on_finished = on_finished
        self._pieces: list[tuple[int, bytes]] = []
        self._unwritten = 0
        self._busy = self._finishing = False

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
        self._finishing = True
        self._go_on()

    def _go_on(self) -> None:
        if self._busy or not (self._pieces or self._finishing):
            return
        self._busy = True
        if self._pieces:
            pieces, self._pieces, self._unwritten = self._pieces, [], 0
            job = self._loop.run_in_executor(self._threads, self._file.write, pieces)
            job.add_done_callback(self._written)
        else:
            self._loop.run_in_executor(self._threads, self._file.finish).add_done_callback(self._finished)

    def _written(self, job: "asyncio.Future[None]") -> None:
        self._busy = False
        if (error := job.exception()) is not None:
            self._fail(error)
        self._go_on()

    def _finished(self, job: "asyncio.Future[None]") -> None:
        if (error := job.exception()) is not None:
            self._fail(error)
        self._on_finished(self._file, self.failed)

    def _fail(self, error: BaseException) -> None:
        """What is on the disk stays; the rest is given up."""
        if not self.failed:
            _log.error("recording.failed", file=str(self._file.path), error=str(error))
        self.failed = True
        self._pieces.clear()
