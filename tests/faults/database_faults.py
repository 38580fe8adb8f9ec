"""Takes PostgreSQL away: restarts, an outage, cut connections."""

import asyncio
import os
import signal
import time
from pathlib import Path

from tests.faults.api_faults import well_again
from tests.faults.load import Steady, answers, place, refused_soon, wrong_answers
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

OURS = "application_name LIKE 'dial %' AND datname = current_database()"


@fault("postgres-restart", calls=30, full=(200, 1))
async def restart(stage: Stage, calls: int) -> Told:
    """PostgreSQL restarted five times with -m immediate under load: 503 soon, never 500, live calls go on."""
    problems = []
    await place(stage, calls, "r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    slowest = 0.0
    async with Steady(stage, 5, "r100-t500", "r100-t1500"):
        for _ in range(5):
            await asyncio.sleep(2)
            stage.server.kill()
            await asyncio.sleep(0.5)
            stage.server.start()
            started = time.monotonic()
            await well_again(stage)
            slowest = max(slowest, time.monotonic() - started)
    problems += wrong_answers(stage)
    if slowest > 5:
        problems.append(f"well again only after {slowest:.1f} s")
    ended = [entry for entry in stage.callee.entries() if entry["what"] in ("BYE", "CANCEL")]
    problems += [f"{len(ended)} live calls were dropped"] if ended else []
    await stage.hang_up_rest(0)
    return Told(problems=problems, notes=[answers(stage), f"well again within {slowest:.1f} s"])


@fault("postgres-away", calls=20)
async def away(stage: Stage, calls: int) -> Told:
    """PostgreSQL away for 30 s: calls talk on, requests get 503, events come afterwards and in order."""
    problems = []
    await place(stage, calls // 2, "r50-t10000")  # end while it is away
    await place(stage, calls // 2, "r50")  # talk on
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    stage.server.kill()
    gone_at = time.monotonic()
    async with Steady(stage, 2, "r50-t200"):
        await asyncio.sleep(2)
        while time.monotonic() - gone_at < 30:
            health, ready = await stage.status("/healthz"), await stage.status("/readyz")
            if (health, ready) != (200, 503):
                problems.append(f"healthz {health}, readyz {ready} while it was away")
            problems += await refused_soon(stage, "/v1/calls")
            await asyncio.sleep(2)
    taken = len(stage.placed) - calls
    problems += [f"{taken} requests were taken while it was away"] if taken else []
    problems += wrong_answers(stage)
    stage.server.start()
    await well_again(stage)
    await place(stage, 3, "r50-t200")
    await stage.pause(3)
    dropped = stage.callee.count("BYE")
    problems += [f"{dropped} live calls were dropped"] if dropped else []
    await stage.hang_up_rest(0)
    await stage.until(lambda: stage.callee.count("ended") >= calls, 20, "the end of the calls")
    gap = max(entry["gap"] for entry in stage.callee.entries() if entry["what"] == "ended")
    if gap >= 0.2:
        problems.append(f"an RTP gap of {gap * 1000:.0f} ms")
    return Told(problems=problems, notes=[answers(stage), f"longest RTP gap {gap * 1000:.0f} ms"])


@fault("backends-terminated", calls=20, full=(20, 3))
async def terminated(stage: Stage, calls: int) -> Told:
    """Every connection of the product cut once a second for 20 s (60 in full) under load."""
    await place(stage, calls, "r50-t15000")
    cut = 0
    async with Steady(stage, 5, "r100-t500", "busy"):
        for _ in range(20 * stage.times):
            rows = await stage.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
            cut += len(rows)
            await asyncio.sleep(1)
    return Told(problems=wrong_answers(stage), notes=[answers(stage), f"{cut} connections cut"])


@fault("listen-killed", calls=5)
async def listen_killed(stage: Stage, calls: int) -> Told:
    """The LISTEN connections cut just before a request: it starts within 2 s all the same."""
    slowest = 0.0
    for number in range(1, calls + 1):
        await stage.rows(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS} AND query LIKE 'LISTEN%%'",
        )
        started = time.monotonic()
        await place(stage, 1, "r50-t200")
        await stage.until_heard("INVITE", number, 10)
        slowest = max(slowest, time.monotonic() - started)
    problems = [] if slowest <= 2 else [f"{slowest:.1f} s until the INVITE"]
    return Told(problems=problems, notes=[f"slowest INVITE after {slowest:.2f} s"])


@fault("embedded-postgres-killed", calls=10, DIAL_DATABASE_URL="")
async def embedded_killed(stage: Stage, calls: int) -> Told:
    """The product's own PostgreSQL killed with -9: the supervisor starts it again, live calls go on."""
    await place(stage, calls, "r50-t12000")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    os.kill(_postmaster(stage), signal.SIGKILL)
    await asyncio.sleep(1)
    await well_again(stage)
    await place(stage, 3, "r50-t200")
    dropped = stage.callee.count("BYE")
    return Told(problems=[f"{dropped} live calls were dropped"] if dropped else [])


def _postmaster(stage: Stage) -> int:
    """The PostgreSQL server that the supervisor started."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == stage.service.process.pid and b"postgres\0-D" in command:
                return int(folder.name)
    raise RuntimeError("no PostgreSQL of the supervisor's")
