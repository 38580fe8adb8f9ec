"""The real product as a child process: `python -m app all` in a folder of its own, on free ports."""

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.kit.ports import free_port, free_ports

ROOT = Path(__file__).parents[2]
FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}
_READY = "Dial-to-SIP is ready."


@dataclass(slots=True)
class Service:
    """One running product; `lines` is everything it said."""

    process: subprocess.Popen[str]
    url: str
    account_sid: str
    auth_token: str
    sip_port: int
    data_dir: Path
    lines: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def customer(self) -> AsyncIterator["Customer"]:
        auth = (self.account_sid, self.auth_token)
        async with httpx.AsyncClient(base_url=self.url, auth=auth, timeout=15) as http:
            yield Customer(self, http)

    def pids(self, role: str) -> list[int]:
        """The processes of one role, by their command line."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and _parent_of(int(folder.name)) == self.process.pid:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if command[-2:-1] == [role.encode()]:
                    found.append(int(folder.name))
        return found


@dataclass(slots=True)
class Customer:
    """Reaches the service as a customer does: over HTTP and in no other way."""

    service: Service
    http: httpx.AsyncClient

    async def dial(self, request: str | dict[str, Any], **query: str) -> dict[str, Any]:
        """Place a dial request, RCML as a string or JSON as a dict; the parent call of the 202."""
        if isinstance(request, str):
            headers = {"Content-Type": "application/xml"}
            answer = await self.http.post("/v1/dials", content=request.encode(), headers=headers, params=query)
        else:
            answer = await self.http.post("/v1/dials", json=request, params=query)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def wait_for(self, sid: str, *statuses: str, seconds: float = 20) -> dict[str, Any]:
        """The call once it has one of `statuses` (any final one when none is named)."""
        end = time.monotonic() + seconds
        while True:
            call: dict[str, Any] = await self.get(f"/v1/calls/{sid}")
            if call["status"] in (statuses or FINAL):
                return call
            said = "".join(self.service.lines[-40:])
            assert time.monotonic() < end, f"{sid} is {call['status']} after {seconds} s: {call}\n{said}"
            await asyncio.sleep(0.02)  # polling as a customer would: plain HTTP has no signal to wait for


@contextmanager
def running_service(data_dir: Path, *, wrapper: Sequence[str] = (), **settings: str) -> Iterator[Service]:
    """Started and ready, by the command `wrapper` if one is given; stopped with SIGTERM at the end."""
    sip_port, media = free_port(), free_ports(400)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DIAL_")},
        "DIAL_DATA_DIR": str(data_dir),
        "DIAL_HTTP_PORT": str(free_port()),
        "DIAL_SIP_PORT": str(sip_port),
        "DIAL_RTP_PORTS": f"{media[0]}-{media[-1]}",
        **settings,
    }
    process = subprocess.Popen(
        [*wrapper, sys.executable, "-m", "app", "all"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    try:
        _wait_until_ready(process, lines)
        sid, _, token = (data_dir / "account").read_text().strip().partition(":")
        url = f"http://127.0.0.1:{environment['DIAL_HTTP_PORT']}"
        yield Service(process, url, sid, token, sip_port, data_dir, lines)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _wait_until_ready(process: subprocess.Popen[str], lines: list[str]) -> None:
    ready: queue.Queue[bool] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if _READY in line:
                ready.put(True)
        ready.put(False)

    threading.Thread(target=read, daemon=True).start()
    assert ready.get(timeout=60), "the service did not start:\n" + "".join(lines)


def _parent_of(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
