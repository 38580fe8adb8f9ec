"""SIPp as a callee: started on a free port, ready when this returns, judged by its exit status, stopped by its pid."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.ports import free_port, free_ports

HOW_TO_GET_IT = "SIPp is missing: apt-get install sip-tester"


@dataclass(slots=True)
class Sipp:
    """One running callee. `port` is bound on 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def uri(self) -> str:
        return f"sip:alice@127.0.0.1:{self.port}"

    def wait(self, seconds: float = 20) -> int:
        """Its exit status: 0 when every call went as its scenario says."""
        return self.process.wait(seconds)

    def complaints(self) -> str:
        """What it says is wrong, without the messages."""
        log = self.folder / "errors.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def said(self) -> str:
        """The messages and errors it logged, for a test that failed."""
        return "\n".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("*.log")))


def version() -> str:
    said = subprocess.run([_program(), "-v"], capture_output=True, text=True).stdout  # its status is 99
    return said.split()[1].partition("-")[0].removeprefix("v")


@contextmanager
def sipp(*arguments: str, scenario: str | None = None, calls: int = 1, tcp: bool = False) -> Iterator[Sipp]:
    """SIPp with `arguments`, playing a built-in scenario (``-sn uas``) or the XML text in `scenario`."""
    program = _program()
    with tempfile.TemporaryDirectory() as folder:
        if scenario is not None:
            (Path(folder) / "scenario.xml").write_text(scenario)
            arguments = ("-sf", "scenario.xml", *arguments)
        peer = _started(program, (*arguments, "-m", str(calls), *(["-t", "t1"] if tcp else [])), Path(folder))
        try:
            yield peer
        finally:
            if peer.process.poll() is None:
                peer.process.kill()
            peer.process.wait()


def _program() -> str:
    program = shutil.which("sipp")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    return program


def _started(program: str, arguments: tuple[str, ...], folder: Path) -> Sipp:
    """Bound; when somebody else was faster to take a port that had just been free, with others."""
    for tries_left in (2, 1, 0):
        port, media_port = free_port(), free_ports(10)[0]  # it takes RTP, RTCP and video
        command = [
            program, *arguments, "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1", "-mp", str(media_port),
            "-nostdin", "-trace_err", "-error_file", "errors.log", "-trace_msg", "-message_file", "messages.log",
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm"},
        )
        peer = Sipp(process, port, folder)
        if _is_bound_in_time(port, process):
            return peer
        assert tries_left, f"sipp ended with {process.returncode}: {peer.complaints()}"
    raise AssertionError("unreachable")


def _is_bound_in_time(port: int, process: subprocess.Popen[bytes]) -> bool:
    """False when it ended instead."""
    end = time.monotonic() + 10
    while not is_bound(port):
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "sipp did not bind its port"
        time.sleep(0.01)  # /proc has no signal to wait for
    return process.poll() is None


def is_bound(port: int) -> bool:
    """Whether somebody receives datagrams or connections there."""
    ending = f":{port:04X}"
    for table, states in (("udp", ("07",)), ("tcp", ("0A",))):
        for line in (Path("/proc/net") / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(ending) and fields[3] in states:
                return True
    return False
