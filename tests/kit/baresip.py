"""baresip as a callee that answers by itself or on command and plays a tone; stopped by its pid."""

import json
import math
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.ports import free_port

HOW_TO_GET_IT = "baresip is missing: apt-get install baresip-core"
_MODULES = ("g711", "srtp", "account", "aufile", "aubridge", "menu", "ctrl_tcp")


@dataclass(slots=True)
class Baresip:
    process: subprocess.Popen[str]
    port: int
    control: int = 0  # port that takes commands

    @property
    def uri(self) -> str:
        return f"sip:bob@127.0.0.1:{self.port}"

    @property
    def tls_uri(self) -> str:
        return f"sip:bob@127.0.0.1:{self.port + 1};transport=tls"

    def tell(self, command: str, params: str = "") -> None:
        """A command of its menu: ``dial`` (a URI), ``accept``, ``hangup``, ``hold``…; returns when that is done."""
        with socket.create_connection(("127.0.0.1", self.control), 10) as control:
            message = json.dumps({"command": command, **({"params": params} if params else {})}).encode()
            control.sendall(b"%d:%s," % (len(message), message))
            said = b""
            while b'"response":true' not in said:  # events come on the same connection
                received = control.recv(65536)
                assert received, f"baresip hung up on {command}: {said!r}"
                said += received
            assert b'"ok":true' in said, f"{command}: {said!r}"


def version() -> str:
    said = subprocess.run([_program(), "-v"], capture_output=True, text=True).stdout
    return said.split()[1].removeprefix("v")


@contextmanager
def baresip(
    *, answer: bool = True, early: bool = False, certificate: Path | None = None, encryption: str = ""
) -> Iterator[Baresip]:
    """Ready when this returns. With a `certificate` it listens for TLS; `encryption` is ``srtp`` or ``srtp-mand``.

    `early`: it sends media with a 183 and answers on command.
    """
    program = _program()
    with tempfile.TemporaryDirectory() as folder:
        mode = "early" if early else "auto" if answer else "manual"
        phone = _started(program, Path(folder), mode, certificate, encryption)
        try:
            yield phone
        finally:
            phone.process.kill()
            phone.process.wait()


def _started(program: str, folder: Path, mode: str, certificate: Path | None, encryption: str) -> Baresip:
    """Ready; when somebody else was faster to take a port that had just been free, with others."""
    said = ""
    for _ in range(10):
        port, control = free_port(), free_port()
        _configure(folder, port, certificate, control)
        _register(folder, port, mode=mode, encryption=encryption)
        process = subprocess.Popen(
            [program, "-f", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "is ready" in line:
                threading.Thread(target=process.stdout.read, daemon=True).start()  # it must never wait for its reader
                return Baresip(process, port, control)
        process.wait()
    raise AssertionError(f"baresip did not start:\n{said}")


def _program() -> str:
    program = shutil.which("baresip")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    return program


def _configure(folder: Path, port: int, certificate: Path | None, control: int) -> None:
    modules = "\n".join(f"module {name}.so" for name in _MODULES)
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\n"
        f"audio_source aufile,{folder}/tone.wav\naudio_player aubridge,nil\naudio_alert aubridge,alert\n"
        f"ctrl_tcp_listen 127.0.0.1:{control}\n"
        f"module_path {_module_path()}\n{modules}\n" + (f"sip_certificate {certificate}\n" if certificate else "")
    )
    with wave.open(str(folder / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(b"".join(struct.pack("<h", round(8000 * math.sin(n * 0.35))) for n in range(240_000)))


def _register(folder: Path, port: int, *, mode: str, encryption: str) -> None:
    media = f";mediaenc={encryption}" if encryption else ""
    (folder / "accounts").write_text(f"<sip:bob@127.0.0.1:{port}>;regint=0;answermode={mode}{media}\n")
    (folder / "contacts").write_text("")


def _module_path() -> str:
    """Debian keeps the modules in one place, other systems below a multiarch folder."""
    for path in (Path("/usr/lib/baresip/modules"), *Path("/usr/lib").glob("*/baresip/modules")):
        if path.is_dir():
            return str(path)
    raise AssertionError("baresip's modules are not below /usr/lib")
