"""CPU seconds of processes as /proc tells them: a role's process, or a server with all its children."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PARENT, _UTIME, _CSTIME = 1, 11, 14  # fields of /proc/<pid>/stat after the command, proc(5)


def seconds(pids: Iterable[int]) -> float:
    """User and system time, of children that have ended and were waited for too; a process that is gone counts 0."""
    return sum(sum(int(field) for field in _fields(pid)[_UTIME : _CSTIME + 1]) for pid in pids) / _TICK


def machine() -> float:
    """CPU seconds that all of this machine's processes and its kernel have used, guests and idling left out."""
    user, nice, system, _idle, _wait, interrupts, soft, *_ = Path("/proc/stat").read_text().split()[1:9]
    return sum(int(ticks) for ticks in (user, nice, system, interrupts, soft)) / _TICK


def children(parent: int) -> list[int]:
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [pid for pid in pids if int(_fields(pid)[_PARENT]) == parent]


def command(pid: int) -> list[str]:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _fields(pid: int) -> list[str]:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * (_CSTIME + 1)
