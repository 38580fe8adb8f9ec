"""Ports for tests and their peers: each process of tests has its own, and the kernel never gives them to others.

A port that was free a moment ago is not free a moment later: another process of tests, or a connection on its way out,
may have it. So these lie below what kernels choose from (32768 on Linux, 49152 on macOS), in lanes, and a process
keeps its lane as long as it lives.
"""

import fcntl
import itertools
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LANES = 8
_LISTENING = range(26_000, 32_720)
_MEDIA = range(10_000, 26_000)
_one_asks = threading.Lock()


def free_port() -> int:
    """Free for UDP and TCP, and so is the next one, which is TLS in many a set-up. Even."""
    with _one_asks:
        for port in itertools.islice(_cursor(_LISTENING, 2), len(_lane(_LISTENING)) // 2):
            if all(_is_free(kind, port + more) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM) for more in (0, 1)):
                return port
    raise RuntimeError("no free port in the lane of this process")


def free_ports(count: int, host: str = "127.0.0.1") -> range:
    """A stretch of `count` ports for media, free for UDP. Starts even."""
    with _one_asks:
        lane = _lane(_MEDIA)
        for first in itertools.islice(_cursor(_MEDIA, 20), len(lane) // 20):
            stretch = range(first, first + count)
            if stretch[-1] in lane and all(_is_free(socket.SOCK_DGRAM, port, host) for port in stretch):
                for _ in range((count - 1) // 20):
                    next(_cursor(_MEDIA, 20))
                return stretch
    raise RuntimeError("no free ports in the lane of this process")


def _is_free(kind: int, port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@cache
def _cursor(block: range, step: int) -> Iterator[int]:
    """Round and round in the lane: a port comes again as late as can be."""
    return itertools.cycle(_lane(block)[::step])


def _lane(block: range) -> range:
    size = len(block) // _LANES // 20 * 20
    return block[_number() * size : (_number() + 1) * size]


@cache
def _number() -> int:
    """Of the lane that this process has to itself, until it ends; of any, when more than eight run."""
    for number in range(_LANES):
        lock = os.open(Path(tempfile.gettempdir()) / f"dial-to-sip-test-ports-{number}", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
        else:
            return number
    return os.getpid() % _LANES
