"""baresip as a callee that answers by itself and plays a tone; stopped by its pid."""

import math
import os
import shutil
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

from tests.kit.service import free_port

HOW_TO_GET_IT = "baresip is missing: apt-get install baresip-core"
_MODULES = ("g711", "srtp", "account", "aufile", "aubridge", "menu")


@dataclass(slots=True)
class Baresip:
    process: subprocess.Popen[str]
    port: int

    @property
    def uri(self) -> str:
        return f"sip:bob@127.0.0.1:{self.port}"

    @property
    def tls_uri(self) -> str:
        return f"sip:bob@127.0.0.1:{self.port + 1};transport=tls"


@contextmanager
def baresip(*, answer: bool = True, certificate: Path | None = None, encryption: str = "") -> Iterator[Baresip]:
    """Ready when this returns. With a `certificate` it listens for TLS; `encryption` is ``srtp`` or ``srtp-mand``."""
    program = shutil.which("baresip")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        _configure(Path(folder), port, certificate)
        _register(Path(folder), port, answer=answer, encryption=encryption)
        process = subprocess.Popen(
            [program, "-f", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "is ready" in line:
                    break
            threading.Thread(target=process.stdout.read, daemon=True).start()  # it must never wait for its reader
            yield Baresip(process, port)
        finally:
            process.kill()
            process.wait()


def _configure(folder: Path, port: int, certificate: Path | None) -> None:
    modules = "\n".join(f"module {name}.so" for name in _MODULES)
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\n"
        f"audio_source aufile,{folder}/tone.wav\naudio_player aubridge,nil\naudio_alert aubridge,alert\n"
        f"module_path {_module_path()}\n{modules}\n" + (f"sip_certificate {certificate}\n" if certificate else "")
    )
    with wave.open(str(folder / "tone.wav"), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(b"".join(struct.pack("<h", round(8000 * math.sin(n * 0.35))) for n in range(240_000)))


def _register(folder: Path, port: int, *, answer: bool, encryption: str) -> None:
    mode = "auto" if answer else "manual"
    media = f";mediaenc={encryption}" if encryption else ""
    (folder / "accounts").write_text(f"<sip:bob@127.0.0.1:{port}>;regint=0;answermode={mode}{media}\n")
    (folder / "contacts").write_text("")


def _module_path() -> str:
    """Debian keeps the modules in one place, other systems below a multiarch folder."""
    for path in (Path("/usr/lib/baresip/modules"), *Path("/usr/lib").glob("*/baresip/modules")):
        if path.is_dir():
            return str(path)
    raise AssertionError("baresip's modules are not below /usr/lib")
