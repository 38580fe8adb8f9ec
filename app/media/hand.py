"""The child's side of a crew: fences itself in, takes orders line by line, answers each. Knows no job.

Content and sound go through two files in memory that the parent made; orders and answers are lines of JSON.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NO_NEW_PRIVS = 38
_NICE = 10  # RTP of running calls comes first

Order = dict[str, Any]


class CannotDo(Exception):
    """This order cannot be carried out; the text is for people and the next order may well be."""


@dataclass(frozen=True, slots=True)
class Fence:
    """What one process may take of the machine."""

    memory: int  # bytes of address space
    cpu: int  # seconds of CPU per order
    file: int  # bytes written per order


def serve(job: Callable[[Order, BinaryIO, BinaryIO], None], fence: Fence) -> None:
    """Until the parent closes the pipe or dies; `job` reads from the first file and writes to the second."""
    content_file, sound_file = (int(number) for number in sys.argv[1:3])
    _close_all_but(content_file, sound_file)
    _survive_signals()
    _limit(resource.RLIMIT_AS, fence.memory)
    _limit(resource.RLIMIT_FSIZE, fence.file)
    _limit(resource.RLIMIT_CORE, 0)
    os.nice(_NICE)
    content = os.fdopen(content_file, "rb", buffering=0, closefd=False)
    sound = os.fdopen(sound_file, "wb", buffering=0, closefd=False)
    orders = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    _silence()
    os.write(answers, b"{}\n")  # ready
    for line in orders:
        _limit(resource.RLIMIT_CPU, int(_cpu_used()) + 1 + fence.cpu)
        content.seek(0)
        sound.seek(0)
        answer: dict[str, Any] = {}
        try:
            job(json.loads(line), content, sound)
        except CannotDo as error:
            answer["error"] = str(error)
        except MemoryError:
            answer["error"] = "it takes too much memory"
        os.write(answers, json.dumps(answer).encode() + b"\n")


def _close_all_but(*files: int) -> None:
    """uvloop leaves descriptors open that were made inheritable, whatever it is told (seen with 0.23)."""
    low, high = sorted(files)
    os.closerange(3, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, 65_536)


def _survive_signals() -> None:
    """Ctrl-C and a stopping service signal the whole group; while calls are drained their sounds are wanted still."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit(what: int, most: int) -> None:
    """The soft limit: the hard one could not be raised again, which the CPU's must be. macOS refuses some of them."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _cpu_used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _silence() -> None:
    """What libraries print about a customer's file belongs in no log; it was not silent while they were loaded."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
