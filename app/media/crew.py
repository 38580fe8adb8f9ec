"""Small processes that do what might crash, hang or eat memory: started when needed, killed when late. Knows no job."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter

from app.runtime import log

_log = log.get(__name__)

_LARGE = 1024 * 1024  # bytes; a copy of more is done in a thread: 20 MiB take 4-8 ms, and RTP has a beat of 20 ms
_START_WITHIN = 20.0  # seconds; 0.1-0.2 on a quiet machine
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "TMPDIR")  # our secrets are in the rest
_STATUS_LINE = 4096  # bytes

_LOST = Counter("dial_crew_lost_total", "Decoding and speech processes that died or were killed.", ["module", "why"])


class CrewError(Exception):
    """The job was not done."""


class Refused(CrewError):
    """The process says that this cannot be done; the text is for people."""


class HandLost(CrewError):
    """The process died of the job, or of something else."""


class TooSlow(CrewError):
    """It was killed, or its turn did not come in time."""


@dataclass(frozen=True, slots=True)
class Rules:
    module: str  # the program: python -m …
    hands: int  # processes at most
    seconds: float  # for one job
    most: int  # bytes of sound that one job may give
    patience: float = 30.0  # seconds that a job waits for its turn
    idle: float = 300.0  # seconds after which an idle process ends
    jobs: int = 200  # after which a process is replaced: whatever it may have leaked goes with it


class Crew:
    """First come, first served. Nothing is started before the first job."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._turn = asyncio.Semaphore(rules.hands)
        self._idle: list[_Hand] = []
        self._busy: set[_Hand] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def do(self, order: dict[str, Any], content: bytes = b"") -> bytes:
        """What the process wrote. Raises CrewError; a process that failed otherwise than by a word is killed.

        One that had done other jobs may have died of anything: a fresh one is given the job then, once.
        """
        try:
            async with asyncio.timeout(self._rules.patience):
                await self._turn.acquire()
        except TimeoutError:
            raise TooSlow("too much else is being done") from None
        try:
            hand = self._idle.pop() if self._idle else _Hand(self._rules)
            try:
                return await self._do(hand, order, content)
            except HandLost:
                if hand.jobs < 2:
                    raise  # a fresh process died of this very job
                return await self._do(_Hand(self._rules), order, content)
        finally:
            self._turn.release()

    async def stop(self) -> None:
        """Kill them all; what they were at fails with HandLost."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        hands = [*self._idle, *self._busy]
        self._idle.clear()
        for hand in hands:
            await hand.kill()

    @property
    def pids(self) -> list[int]:
        """Of the processes there are."""
        return [hand.pid for hand in (*self._idle, *self._busy)]

    async def _do(self, hand: "_Hand", order: dict[str, Any], content: bytes) -> bytes:
        self._busy.add(hand)
        fit = False
        try:
            if not hand.alive:
                await hand.start()
            async with asyncio.timeout(self._rules.seconds):
                sound = await hand.do(order, content)
            fit = True
            return sound
        except Refused:
            fit = True
            raise
        except TimeoutError:
            _LOST.labels(self._rules.module, "late").inc()
            raise TooSlow(f"it takes longer than {self._rules.seconds:g} s") from None
        except HandLost as error:
            _LOST.labels(self._rules.module, "died").inc()
            _log.warning("crew.process_lost", module=self._rules.module, pid=hand.pid, error=str(error))
            raise
        finally:
            self._busy.discard(hand)
            if fit and hand.jobs < self._rules.jobs:
                self._idle.append(hand)
                self._arm()
            else:
                await hand.kill()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._idle[-1].idle_since = loop.time()
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._rules.idle, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._rules.idle
        for hand in [hand for hand in self._idle if hand.idle_since <= oldest]:
            self._idle.remove(hand)
            hand.dismiss()
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + self._rules.idle, self._sweep)


class _Hand:
    """One process and the two files in memory that it shares with us."""

    def __init__(self, rules: Rules) -> None:
        self.jobs = 0
        self.idle_since = 0.0
        self._rules = rules
        self._process: asyncio.subprocess.Process | None = None
        self._files: tuple[int, int] | None = None  # content, sound

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Raises HandLost."""
        self.jobs = 0
        await self.kill()  # it had died while it was idle
        try:
            files = await self._start()
        except OSError as error:
            raise HandLost(f"no process can be started: {error.strerror}") from None
        self._files = files
        try:
            async with asyncio.timeout(_START_WITHIN):
                await self._answer()
        except TimeoutError:
            raise HandLost("its process does not start") from None

    async def _start(self) -> tuple[int, int]:
        with _closing_on_error(_memory_file(), _memory_file()) as files:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._rules.module, str(files[0]), str(files[1]),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=files,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}, limit=_STATUS_LINE,
            )  # fmt: skip
        return files

    async def do(self, order: dict[str, Any], content: bytes) -> bytes:
        """Raises Refused, HandLost."""
        if self._process is None or self._process.stdin is None or self._files is None:
            raise HandLost("its process is gone")
        self.jobs += 1
        to_read, to_write = self._files
        if content:
            await _with(to_read, len(content), _fill, content)
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):  # RuntimeError: uvloop's word for a pipe that it has closed
            raise HandLost("its process died") from None
        answer = await self._answer()
        os.ftruncate(to_read, 0)
        if "error" in answer:
            os.ftruncate(to_write, 0)
            raise Refused(str(answer["error"]))
        size = min(os.fstat(to_write).st_size, self._rules.most)  # not the process's word, after what it has read
        return bytes(await _with(to_write, size, _take, size))

    async def kill(self) -> None:
        """Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        files, self._files = self._files, None
        for file in files or ():
            os.close(file)

    def dismiss(self) -> None:
        """It ends by itself when its pipe is closed; the loop reaps it."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
        files, self._files = self._files, None
        for file in files or ():
            os.close(file)

    async def _answer(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            raise HandLost("its process is gone")
        try:
            line = await self._process.stdout.readline()
            answer = json.loads(line) if line else None
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise HandLost("its process died")
        return answer


def _memory_file() -> int:
    """Of no name and on no disk; where there are none (macOS), a file that has no name any more."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dial-to-sip")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def _closing_on_error(*files: int) -> Iterator[tuple[int, int]]:
    first, second = files
    try:
        yield first, second
    except BaseException:
        for file in files:
            os.close(file)
        raise


async def _with(file: int, size: int, work: Callable[..., Any], argument: Any) -> Any:
    """Do `work` on `file`, in a thread if it is much: that thread has a descriptor of its own.

    Given up, it goes on; the number of a descriptor that we had closed meanwhile could be a recording's by then.
    """
    if size <= _LARGE:
        return work(file, argument)
    return await asyncio.to_thread(_and_close, os.dup(file), work, argument)


def _and_close(file: int, work: Callable[..., Any], argument: Any) -> Any:
    try:
        return work(file, argument)
    finally:
        os.close(file)


def _fill(file: int, content: bytes) -> None:
    os.ftruncate(file, 0)
    view, at = memoryview(content), 0
    while at < len(view):
        at += os.pwrite(file, view[at:], at)


def _take(file: int, size: int) -> bytes:
    sound = os.pread(file, size, 0)
    os.ftruncate(file, 0)
    return sound
