"""SIPp as the peer of a measurement: started on a free port, stopped by its pid, asked what it counted."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_HOW_TO_GET_IT = "SIPp is missing: apt-get install sip-tester"
_STATISTICS, _LOG = "statistics.csv", "calls.log"


@dataclass(frozen=True, slots=True)
class Counted:
    """What one SIPp process saw, and what it cost."""

    succeeded: int
    failed: int
    retransmissions: int
    wall: float  # seconds
    cpu: float  # seconds


class Sipp:
    """One SIPp process; `stop` or `wait`, then `counted`."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        program = shutil.which("sipp")
        if program is None:
            sys.exit(_HOW_TO_GET_IT)
        self.port = free_port(socket.SOCK_DGRAM)
        self._folder = folder
        self._began = time.monotonic()
        media_port = free_port(socket.SOCK_DGRAM)
        command = [
            program, *arguments, "-i", HOST, "-p", str(self.port), "-mi", HOST, "-mp", str(media_port),
            "-nostdin", "-buff_size", "4000000", "-trace_stat", "-stf", _STATISTICS, "-fd", "1",
            "-trace_logs", "-log_file", _LOG,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm"},  # it draws a screen, wanted or not
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> Counted:
        """Until it ends by itself."""
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0  # Popen must not wait for it again
        wall = time.monotonic() - self._began
        return self._count(wall, usage.ru_utime + usage.ru_stime)

    def stop(self) -> Counted:
        """Tell it to finish its calls and to end."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGUSR1)
        return self.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    def log_lines(self) -> list[str]:
        """What its scenario logged."""
        log = self._folder / _LOG
        return log.read_text(errors="replace").splitlines() if log.exists() else []

    def _count(self, wall: float, cpu: float) -> Counted:
        with (self._folder / _STATISTICS).open() as file:
            *_, last = csv.DictReader(file, delimiter=";")
        return Counted(
            int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]), int(last["Retransmissions(C)"]), wall, cpu
        )


@contextmanager
def callee(*arguments: str) -> Iterator[Sipp]:
    """A callee that is bound when this returns."""
    with tempfile.TemporaryDirectory() as folder:
        peer = Sipp(*arguments, folder=Path(folder))
        try:
            _wait_until_bound(peer.port)
            yield peer
        finally:
            peer.kill()


def call(port: int, *, calls: int, rate: float, at_once: int) -> Counted:
    """SIPp's own UAC: `calls` short calls to `port`."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-sn", "uac", "-d", "0", "-m", str(calls), "-r", f"{rate:.0f}", "-l", str(at_once)]
        return Sipp(*arguments, f"{HOST}:{port}", folder=Path(folder)).wait()


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_bound(port: int) -> None:
    end = time.monotonic() + 10
    wanted = f":{port:04X}"
    while not any(wanted in line for line in Path("/proc/net/udp").read_text().splitlines()[1:]):
        if time.monotonic() > end:
            sys.exit("SIPp did not start")
        time.sleep(0.01)
