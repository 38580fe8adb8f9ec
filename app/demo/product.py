"""The product as a process of its own, as a user would start it, in a directory and on ports of the demo's choosing."""

import asyncio
import ctypes
import json
import os
import secrets
import shutil
import signal
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

import app
from app.demo.api import Api
from app.demo.ports import HOST, Ports
from app.store.embedded import EmbeddedPostgres

_START_WITHIN = 60.0  # seconds
_STOP_WITHIN = 20.0  # seconds
_LOOK_EVERY = 0.05  # seconds
_TAIL_LINES = 8
_PR_SET_PDEATHSIG = 1  # prctl(2)


class NotStarted(Exception):
    """The product did not start; the message says how it ended."""


class Product:
    """`python -m app all` on an empty data directory below `directory`; its output goes to `log`.

    `settings` are environment variables that replace the demo's own.
    """

    def __init__(self, directory: Path, ports: Ports, settings: Mapping[str, str] | None = None) -> None:
        self.log = directory / "dial-to-sip.log"
        self.ports = ports
        self.url = f"http://{HOST}:{ports.http}"
        self.webhook_secret = "whsec_" + b64encode(secrets.token_bytes(24)).decode()
        self._data = directory / "data"
        self._settings = dict(settings or {})
        self._started = False
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Api:
        """Start it and wait until it says that it is ready; raises NotStarted."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", "all",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment(),
                cwd=Path(app.__file__).parents[1],
                start_new_session=True,  # Ctrl-C is for the demo, which then stops this in order
                preexec_fn=_end_with(os.getpid()),
            )  # fmt: skip
        deadline = time.monotonic() + _START_WITHIN
        while not await self._is_ready():
            if self._process.returncode is not None:
                raise NotStarted(f"the product ended with status {self._process.returncode} while it started")
            if time.monotonic() > deadline:
                raise NotStarted(f"the product was not ready within {_START_WITHIN:.0f} s")
            await asyncio.sleep(_LOOK_EVERY)
        self._started = True
        return self._api()

    @property
    def pid(self) -> int:
        """The supervisor's; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def credentials(self) -> str:
        """``AC…:token`` of the first account."""
        return (self._data / "account").read_text().strip()

    async def stop(self) -> None:
        """End it in order, else by force; safe to call twice and when it never started."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, patience in ((signal.SIGTERM, _STOP_WITHIN), (signal.SIGKILL, 5.0)):
            if process.returncode is not None:
                break
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), patience)
            except TimeoutError:
                continue

    def remove_data(self) -> None:
        """Delete the database and the account, wherever they lie; the log stays."""
        if self._data.exists():
            # As root PostgreSQL's files are not in the data directory.
            shutil.rmtree(EmbeddedPostgres(self._data).home, ignore_errors=True)
            shutil.rmtree(self._data, ignore_errors=True)

    def last_lines(self) -> list[str]:
        """The end of its log for people; once it has started warnings and errors only, if there are any."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        telling = [line for line in lines if '"level": "error"' in line or '"level": "warning"' in line]
        chosen = telling if telling and self._started else lines
        return [_readable(line) for line in chosen if line.strip()][-_TAIL_LINES:]

    async def _is_ready(self) -> bool:
        if not (self._data / "account").exists():
            return False
        try:
            return (await self._api().get("/readyz")).status == 200
        except OSError:
            return False

    def _api(self) -> Api:
        return Api(HOST, self.ports.http, credentials=self.credentials)

    def _environment(self) -> dict[str, str]:
        """The caller's, but none of its settings: the demo must work whatever is configured."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DIAL_")}
        return inherited | {
            "DIAL_DATA_DIR": str(self._data),
            "DIAL_HTTP_HOST": HOST,
            "DIAL_HTTP_PORT": str(self.ports.http),
            "DIAL_SIP_HOST": HOST,
            "DIAL_SIP_PORT": str(self.ports.sip),
            "DIAL_RTP_PORTS": self.ports.rtp,
            "DIAL_WEBHOOK_SECRET": self.webhook_secret,
            "DIAL_WEBHOOK_RETRIES": "0.5",  # a receiver that refuses is soon found out
            "DIAL_DRAIN_SECONDS": "0",
            "DIAL_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }


def _readable(line: str) -> str:
    """A JSON log line as ``04:05:06 worker call.finished status=busy``; any other line as it is."""
    try:
        said = json.loads(line)
        head = f"{said.pop('timestamp')[11:19]} {said.pop('role')} {said.pop('event')}"
    except (ValueError, AttributeError, KeyError, TypeError):
        return line
    said.pop("level", None)
    return " ".join([head, *(f"{name}={value}" for name, value in said.items() if value is not None)])


def _end_with(owner: int) -> Callable[[], None] | None:
    """For the child: SIGTERM as soon as the demo is gone, even by kill -9 (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != owner:  # it was gone before the line above
            os._exit(1)

    return ask
