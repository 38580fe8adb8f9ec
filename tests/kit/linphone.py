"""linphone as a callee that a test commands: it answers, holds, sends keys and hangs up. Stopped by its pid.

There is no sound card where tests run: once it has answered, it plays a file.
"""

import math
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.ports import free_port, free_ports
from tests.kit.sipp import is_bound

HOW_TO_GET_IT = "linphone is missing: apt-get install linphone-cli"
_PATIENCE = 15.0  # seconds
_CONFIG = """
[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port=0
bind_address=127.0.0.1
guess_hostname=0
incoming_calls_early_media={early}
[net]
dns_srv_enabled=0
[rtp]
audio_rtp_port={rtp}
"""


@dataclass(slots=True)
class Linphone:
    process: subprocess.Popen[bytes]
    port: int
    transport: str
    control: socket.socket
    tone: Path

    @property
    def uri(self) -> str:
        return f"sip:carol@127.0.0.1:{self.port};transport={self.transport}"

    def ask(self, command: str) -> str:
        """Its daemon's answer to one command."""
        self.control.sendall(command.encode() + b"\n")
        return self.control.recv(65536).decode()

    def tell(self, command: str) -> None:
        said = self.ask(command)
        assert "Status: Ok" in said, f"{command}: {said}"

    def wait_until(self, state: str) -> None:
        """Until its call is ``IncomingReceived``, ``StreamsRunning``, ``Paused``."""
        end = time.monotonic() + _PATIENCE
        while f"LinphoneCall{state}\n" not in (said := self.ask("call-status 1")):
            assert time.monotonic() < end, f"its call is not {state} but {said}"
            time.sleep(0.05)  # its daemon tells states only when asked

    def answer(self) -> None:
        self.wait_until("IncomingReceived")
        self.tell("answer 1")
        self.wait_until("StreamsRunning")
        self.tell(f"incall-player-start {self.tone} 1")


def version() -> str:
    said = subprocess.run([_program("linphonec"), "-v"], capture_output=True, text=True, check=True).stdout
    return said.split()[-1]


@contextmanager
def linphone(*, transport: str = "udp", early: bool = False) -> Iterator[Linphone]:
    """Ready when this returns, listening on `transport` alone; `early`: rings with 183 and an SDP."""
    program = _program("linphone-daemon")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        _write(folder, port, transport, early=early)
        process = subprocess.Popen(
            [program, "--pipe", os.path.relpath(folder / "pipe", "/tmp"), "--config", str(folder / "rc")],
            stdin=subprocess.PIPE,  # it leaves when that ends
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": name},
        )
        try:
            with _connected(folder / "pipe", process, port) as control:
                yield Linphone(process, port, transport, control, folder / "tone.wav")
        finally:
            process.kill()
            process.communicate()


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    return program


def _write(folder: Path, port: int, transport: str, *, early: bool) -> None:
    (folder / ".local" / "share" / "linphone").mkdir(parents=True)
    ports = {"udp": 0, "tcp": 0, transport: port}
    (folder / "rc").write_text(_CONFIG.format(**ports, rtp=free_ports(10)[0], early=int(early)))
    with wave.open(str(folder / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(b"".join(struct.pack("<h", round(8000 * math.sin(n * 0.35))) for n in range(80_000)))


def _connected(path: Path, process: subprocess.Popen[bytes], port: int) -> socket.socket:
    """To its daemon, once that takes commands and calls."""
    control = socket.socket(socket.AF_UNIX)
    control.settimeout(_PATIENCE)
    end = time.monotonic() + _PATIENCE
    while True:
        with suppress(FileNotFoundError, ConnectionRefusedError):
            if is_bound(port):
                control.connect(str(path))
                return control
        assert process.poll() is None, f"linphone ended with {process.returncode}"
        assert time.monotonic() < end, "linphone did not start"
        time.sleep(0.02)  # a socket that is not there yet has no signal
