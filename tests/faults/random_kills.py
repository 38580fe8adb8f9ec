"""Kills whatever it likes, whenever it likes, while thousands of calls run: the count that the promises are held to."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import psycopg

from tests.faults.load import surely
from tests.faults.process_faults import mixed
from tests.faults.stage import Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_AT_ONCE = 40  # dial requests
_PAUSE = 8.0  # seconds, at most, between two requests of one client: ten dials a second in all
_EVERY = (4.0, 8.0)  # seconds between kills
_AT_MOST = 900.0  # seconds for placing; what is not placed by then is not placed
_OVERDUE = 15.0  # seconds: the dispatcher dies too, and PostgreSQL
_VICTIMS = ("worker",) * 10 + ("webhooks",) * 4 + ("api",) * 3 + ("postgres",) * 2 + ("supervisor",)
_KINDS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("r50-t300",), {}),
    (("r200-t1500",), {}),
    (("r100",), {"timeLimit": 1}),
    (("busy",), {}),
    (("forever",), {"timeout": 3}),
    (("silent",), {"timeout": 2}),
    (("r300-t800", "forever"), {}),
    (("direct-t400",), {}),
    (("r50-t6000",), {}),
)


class Reaper:
    """Kills processes until cancelled; knows which calls each kill hit and when."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.kills: Counter[str] = Counter()
        self.hit: dict[str, float] = {}  # by sid: the last kill of whoever held it

    async def run(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_EVERY))
            victim = random.choice(_VICTIMS)
            await self._kill(victim)

    async def _kill(self, victim: str) -> None:
        if victim == "postgres":
            await self._postgres()
        elif victim == "supervisor":
            await self._supervisor()
        else:
            await self._role(victim)

    async def _role(self, role: str) -> None:
        pids = self._stage.pids(role)
        if role == "worker" and not await self._all_workers_serve():
            return  # who dies while it starts rescues nobody: a survivor is what the promise is about
        if not pids:
            return  # it is just being started again
        pid = random.choice(pids)
        held = await self._held(pid) if role == "worker" else []
        os.kill(pid, signal.SIGKILL)
        self.kills[role] += 1
        self._note(held)

    async def _supervisor(self) -> None:
        held = [sid for pid in self._stage.pids("worker") for sid in await self._held(pid)]
        self._stage.kill_supervisor()
        self.kills["supervisor"] += 1
        self._note(held)  # counted again from the next start on
        await self._stage.start_again()
        self._note(held)

    async def _postgres(self) -> None:
        self._stage.server.kill()
        self.kills["postgres"] += 1
        await asyncio.sleep(random.uniform(0, 2))
        self._stage.server.start()

    async def _all_workers_serve(self) -> bool:
        try:
            rows = await self._stage.rows(
                "SELECT count(*) AS n FROM worker WHERE role = 'worker' AND NOT taken AND lease_until > now()"
            )
        except psycopg.Error:
            return False
        return bool(rows[0]["n"] == int(self._stage.settings["DIAL_WORKERS"]))

    async def _held(self, pid: int) -> list[str]:
        try:
            return await self._stage.held_by(pid)
        except psycopg.Error:
            return []

    def _note(self, held: list[str]) -> None:
        self.hit |= dict.fromkeys(held, time.time())


class Overdue:
    """How long, at most, a delivery that may be attempted has waited beyond its time."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.seconds = 0.0

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                rows = await self._stage.rows(
                    "SELECT max(extract(epoch FROM now() - GREATEST(o.next_at, o.lease_until)))::float8 AS s"
                    " FROM webhook_outbox o JOIN webhook_destination w ON w.id = o.destination_id"
                    " WHERE NOT o.blocked AND o.next_at < now() AND COALESCE(o.lease_until, o.next_at) < now()"
                    " AND w.breaker = 'closed'"
                )
            except psycopg.Error:
                continue  # it is PostgreSQL's turn to be away
            self.seconds = max(self.seconds, rows[0]["s"] or 0.0)


@fault("random", calls=2000, plan=Plan(workers=2), long=True, DIAL_MAX_WAIT="20")
async def random_kills(stage: Stage, calls: int) -> Told:
    """Thousands of calls while random processes are killed; every one has one end, told at least once."""
    reaper = Reaper(stage)
    killing = asyncio.create_task(reaper.run())
    latest = Overdue(stage)
    overdue = asyncio.create_task(latest.watch())
    end = time.monotonic() + _AT_MOST
    numbers = iter(range(calls))
    refused = 0

    async def place() -> None:
        nonlocal refused
        for number in numbers:
            if time.monotonic() > end or killing.done():
                return
            scripts, dial = _KINDS[number % len(_KINDS)]
            sid = await surely(stage, stage.request(*scripts, **dial))
            refused += sid is None
            await asyncio.sleep(random.uniform(0, _PAUSE))

    await asyncio.gather(*(place() for _ in range(_AT_ONCE)))
    killing.cancel()
    overdue.cancel()
    broke = await asyncio.gather(killing, return_exceptions=True)
    problems = [f"the reaper broke: {one!r}" for one in broke if not isinstance(one, asyncio.CancelledError)]
    problems += [f"a delivery was {latest.seconds:.1f} s overdue"] if latest.seconds > _OVERDUE else []
    kills = ", ".join(f"{role} {count}" for role, count in sorted(reaper.kills.items()))
    return Told(
        killed=reaper.hit,
        proof=True,
        ordered=False,
        problems=problems,
        notes=[
            f"{len(stage.placed)} dials, {refused} not taken within 30 s; kills: {kills}",
            f"no owed delivery more than {latest.seconds:.1f} s past its schedule",
        ],
    )


@fault("everything-at-once", calls=12)
async def everything(stage: Stage, calls: int) -> Told:
    """Worker, dispatcher and API killed together with calls in all states, then PostgreSQL restarted."""
    await mixed(stage, calls)
    request = stage.request("r50-t200")
    await asyncio.gather(*(stage.dial(request, "the one key") for _ in range(20)))
    if len(stage.placed) != calls + 1:
        return Told(problems=[f"{len(stage.placed)} calls for {calls} requests and one key"])
    for role in ("worker", "webhooks", "api"):
        stage.kill(role)
    stage.server.kill()
    stage.server.start()
    return Told(time.time(), ordered=False)  # without a database nobody can be rescued
