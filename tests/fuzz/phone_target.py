"""One phone in this very process under fire: for the short form, and to count tasks and transactions. Knows no HTTP."""

import asyncio
import os
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from app.calls.outcome import Outcome
from app.calls.ports import Arrival, Ended, IncomingLeg
from app.sip.call import SipCall
from tests.fuzz.campaign import Vitals
from tests.sip.conftest import Bench, order_to

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
_NUMBER = "4475"
_TALK = 0.5  # seconds until we hang up
_WHYS = ("junk", "stray", "crashed")


class PhoneTarget:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._crashes: list[str] = []
        self._running: set[asyncio.Task[None]] = set()
        self._ends: dict[str, list[str]] = {}
        self._before = self._counted()
        asyncio.get_running_loop().set_exception_handler(self._on_exception)

    @property
    def address(self) -> tuple[str, int]:
        return self._bench.address

    async def place(self, uri: str, *, seconds: int) -> None:
        leg = self._bench.phone.leg(order_to(uri))
        facts = await leg.prepare()
        assert not isinstance(facts, Outcome), facts
        leg.invite()
        task = asyncio.get_running_loop().create_task(self._follow(leg, uri, seconds))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def take_calls(self, uri: str) -> str:
        self._bench.phone.take_calls(lambda number: number == _NUMBER, self._take)
        return _NUMBER

    def _take(self, arrival: Arrival, leg: IncomingLeg) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(leg))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _talk(self, leg: IncomingLeg) -> None:
        leg.ring()
        leg.open_early()
        leg.answer()
        late = asyncio.get_running_loop().call_later(_TALK, leg.hang_up)
        while not isinstance(await leg.signals.get(), Ended):
            pass
        late.cancel()

    async def vitals(self) -> Vitals:
        rss = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_MB
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        threads = len(list(Path("/proc/self/task").iterdir()))
        tasks = len(asyncio.all_tasks()) + self._bench.phone.endpoint.transactions
        return Vitals(round(rss, 1), descriptors, threads, tasks, self._bench.media.ports.used)

    async def dropped(self) -> dict[str, int]:
        now = self._counted()
        return {why: now[why] - self._before[why] for why in _WHYS}

    async def crashes(self) -> list[str]:
        return self._crashes

    async def settled(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=30)
        assert not self._running, "a leg never ended"

    async def rested(self) -> None:
        await asyncio.sleep(self._bench.phone.endpoint.timing.lifetime)
        async with asyncio.timeout(30):
            while self._bench.phone.endpoint.transactions or len(self._bench.phone.calls) > len(self._running):
                await asyncio.sleep(0.05)

    async def calls_of(self, uri: str) -> list[str]:
        return self._ends[uri]

    async def _follow(self, leg: SipCall, uri: str, seconds: int) -> None:
        late = asyncio.get_running_loop().call_later(seconds, leg.hang_up)
        while not isinstance(signal := await leg.signals.get(), Ended):
            pass
        late.cancel()
        self._ends.setdefault(uri, []).append(f"{signal.outcome.status}/{signal.outcome.reason}")

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._crashes.append(repr(context))

    @staticmethod
    def _counted() -> dict[str, int]:
        return {why: int(REGISTRY.get_sample_value("dial_sip_dropped_total", {"why": why}) or 0) for why in _WHYS}
