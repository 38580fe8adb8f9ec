"""Kills the dispatcher between answer and mark, and gives it receivers that misbehave."""

import asyncio
import statistics

import psycopg

from tests.faults.customer_app import OTHER_HOSTS
from tests.faults.load import place
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_ODD = ("hang", "drip", "reset", "500", "429", "410", "down/4")
_NEVER = ("hang", "drip", "reset", "500", "429", "410")  # what is owed to these stays owed, or dies


@fault("dispatcher-unmarked", calls=50, full=(10, 100))
async def unmarked(stage: Stage, calls: int) -> Told:
    """Dispatcher killed after the receiver's answer and before it is written down: sent twice, never lost."""
    for _ in range(stage.times):
        async with await psycopg.AsyncConnection.connect(stage.database_url) as lock:
            await lock.execute("LOCK TABLE webhook_delivery IN SHARE ROW EXCLUSIVE MODE")
            heard = len(stage.receiver.entries())
            await place(stage, calls, "r50-t200")
            await stage.until(lambda wanted=heard + 8: len(stage.receiver.entries()) >= wanted, 20, "attempts")
            await asyncio.sleep(0.2)
            stage.kill("webhooks")
            await lock.rollback()
    await stage.until_final(60)
    await stage.until_delivered(120)
    return Told(ordered=False, notes=[f"{stage.times} kills"])


@fault("dispatcher-kills", calls=60)
async def kills(stage: Stage, calls: int) -> Told:
    """Dispatcher killed five times under load."""
    for _ in range(5):
        await place(stage, calls // 5, "r50-t300")
        await asyncio.sleep(0.3)
        stage.kill("webhooks")
    await stage.until_final(60)
    await stage.until_delivered(120)
    return Told(ordered=False)


@fault("receivers-misbehave", calls=42, DIAL_WEBHOOK_RETRIES="0.3,0.6,1,2,2,2,2,2,2,2")
async def misbehave(stage: Stage, calls: int) -> Told:
    """Receivers that hang, drip, reset, answer 500, 429 and 410: nobody else waits, nothing is forgotten."""
    await place(stage, calls // 2, "r50-t200")
    await stage.until_final(60)
    before = await _latencies(stage)
    for path, host in zip(_ODD, OTHER_HOSTS, strict=False):
        request = stage.request("r50-t200", path=path)
        for one in (request, *request["sip"]):
            one["statusCallback"] = f"http://{host}:{stage.receiver.port}/{path}"
        await asyncio.gather(*(stage.dial(request) for _ in range(calls // 2 // len(_ODD))))
    await place(stage, calls // 2, "r50-t200")
    await stage.until_final(60)
    await asyncio.sleep(20)  # an attempt that hangs takes 15 s
    await _until_told(stage, "down/4")
    after = await _latencies(stage)
    problems = []
    if after > 2 * max(before, 50):
        problems.append(f"the good ones' median delay rose from {before:.0f} to {after:.0f} ms")
    if waiting := await stage.rows("SELECT 1 FROM webhook_outbox WHERE url ~ '/(ok|410|down/4)$'"):
        problems.append(f"{len(waiting)} deliveries to good or gone receivers still owed")
    notes = [f"median delay of the good ones {before:.0f} ms before, {after:.0f} ms beside the bad ones"]
    return Told(ordered=False, never=_NEVER, problems=problems, notes=notes)


async def _until_told(stage: Stage, path: str) -> None:
    for _ in range(120):
        if not await stage.rows(f"SELECT 1 FROM webhook_outbox WHERE url LIKE '%%/{path}'"):
            return
        await asyncio.sleep(0.5)


async def _latencies(stage: Stage) -> float:
    """Milliseconds from a delivery's commit to its end, the median over what went well at the first attempt."""
    rows = await stage.rows(
        "SELECT extract(epoch FROM d.finished_at - d.created_at)::float8 * 1000 AS ms FROM webhook_delivery d"
        " WHERE d.url LIKE '%%/ok' AND d.attempts = 1 ORDER BY d.finished_at DESC LIMIT 60"
    )
    return statistics.median(row["ms"] for row in rows) if rows else 0.0
