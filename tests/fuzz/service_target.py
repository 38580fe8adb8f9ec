"""The whole product under fire: a worker process behind its HTTP interface, seen through /proc and /metrics."""

import asyncio
import itertools
import re
from pathlib import Path

from tests.fuzz.campaign import Vitals
from tests.kit.receiver import Receiver, Reply, Seen, status
from tests.kit.service import FINAL, Customer

_DROPPED = re.compile(r'^dial_sip_dropped_total\{.*why="(\w+)".*\} ([0-9.e+]+)$', re.MULTILINE)
_PORTS = re.compile(r"^dial_rtp_ports_used(?:\{.*\})? ([0-9.e+]+)$", re.MULTILINE)
_NUMBER = "4475"
_REST = 36.0  # seconds: 64·T1, and a little


class ServiceTarget:
    def __init__(self, customer: Customer, application: Receiver) -> None:
        self._customer = customer
        self._application = application
        self._sids: dict[str, list[str]] = {}
        self._open: list[str] = []

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._customer.service.sip_port

    async def place(self, uri: str, *, seconds: int) -> None:
        """Its time counts from the answer, and its timeout before that."""
        request = {"timeout": min(seconds, 30), "timeLimit": min(seconds, 86_400), "sip": uri}
        placed = await self._customer.dial(request)
        self._sids.setdefault(uri, []).append(placed["sid"])
        self._open.append(placed["sid"])

    async def take_calls(self, uri: str) -> str:
        """They hear a pause, are connected with `uri`, or are turned away: each in its turn."""
        dial = f'<Dial timeout="5" timeLimit="5"><Sip>{uri}</Sip></Dial>'
        pages = itertools.cycle(('<Pause length="3"/>', dial, f'<Pause length="1"/>{dial}', '<Reject reason="busy"/>'))

        def choose(seen: Seen) -> Reply:
            return status(200, f"<Response>{next(pages)}</Response>".encode(), Content_Type="application/xml")

        self._application.chooses = choose
        made = {"number": _NUMBER, "url": self._application.url}
        answer = await self._customer.http.post("/v1/numbers", json=made)
        assert answer.status_code == 201, answer.text
        return _NUMBER

    async def vitals(self) -> Vitals:
        folder = Path("/proc") / str(self._customer.service.pids("worker")[0])
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        rss = int(status["VmRSS"].split()[0]) / 1024
        ports = sum(float(value) for value in _PORTS.findall(await self._metrics()))
        return Vitals(round(rss, 1), len(list((folder / "fd").iterdir())), int(status["Threads"]), None, int(ports))

    async def dropped(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for why, count in _DROPPED.findall(await self._metrics()):
            found[why] = found.get(why, 0) + int(float(count))
        return found

    async def crashes(self) -> list[str]:
        """From the first line of each traceback to its exception."""
        lines = self._customer.service.lines
        marks = ("Traceback", "sip.crashed", "task.failed", "Exception in callback")
        return ["".join(lines[n : n + 40]) for n, line in enumerate(lines) if any(mark in line for mark in marks)]

    async def settled(self) -> None:
        for sid in self._open:
            await self._customer.wait_for(sid, *FINAL, seconds=60)
        self._open.clear()
        async with asyncio.timeout(60):
            while (await self.vitals()).rtp_ports:
                await asyncio.sleep(0.1)  # polling: what is left on the wire is nobody's event

    async def rested(self) -> None:
        await asyncio.sleep(_REST)

    async def calls_of(self, uri: str) -> list[str]:
        calls = [await self._customer.get(f"/v1/calls/{sid}") for sid in self._sids.get(uri, [])]
        return [f"{call['legs'][0]['status']}/{call['legs'][0]['reason']}" for call in calls]

    async def _metrics(self) -> str:
        answer = await self._customer.http.get("/metrics")
        return answer.text
