"""baresip as a callee that answers by itself and plays a tone; stopped by its pid."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.service import free_port

HOW_TO_GET_IT = "baresip is missing: apt-get install baresip-core"
_MODULES = ("g711", "account", "ausine", "aubridge", "menu", "ctrl_tcp")


@dataclass(slots=True)
class Baresip:
    process: subprocess.Popen[str]
    port: int

    @property
    def uri(self) -> str:
        return f"sip:bob@127.0.0.1:{self.port}"


@contextmanager
def baresip(*, answer: bool = True) -> Iterator[Baresip]:
    """Ready when this returns."""
    program = shutil.which("baresip")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    with tempfile.TemporaryDirectory() as folder:
        port, control = free_port(), free_port()
        _configure(Path(folder), port, control, answer=answer)
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
            yield Baresip(process, port)
        finally:
            process.kill()
            process.wait()
            process.stdout.close() if process.stdout else None


def _configure(folder: Path, port: int, control: int, *, answer: bool) -> None:
    modules = "\n".join(f"module {name}.so" for name in _MODULES)
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{port}\nctrl_tcp_listen 127.0.0.1:{control}\n"
        f"audio_source ausine,440\naudio_player aubridge,nil\naudio_alert aubridge,nil\n"
        f"module_path {_module_path()}\n{modules}\n"
    )
    mode = "auto" if answer else "manual"
    (folder / "accounts").write_text(f"<sip:bob@127.0.0.1:{port}>;regint=0;answermode={mode}\n")
    (folder / "contacts").write_text("")


def _module_path() -> str:
    """Debian keeps the modules in one place, other systems below a multiarch folder."""
    for path in (Path("/usr/lib/baresip/modules"), *Path("/usr/lib").glob("*/baresip/modules")):
        if path.is_dir():
            return str(path)
    raise AssertionError("baresip's modules are not below /usr/lib")
