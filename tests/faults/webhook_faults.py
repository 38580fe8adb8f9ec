"""Kills the dispatcher between answer and mark, and gives it receivers that misbehave."""

import asyncio
import statistics
from typing import Any

import psycopg

from tests.faults.customer_app import OTHER_HOSTS
from tests.faults.load import Steady, place, placed, surely
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
            heard = len(stage.receiver.entries()) + 8
            await placed(stage, calls, "r50-t200")
            await _until_attempted(stage, heard)
            await asyncio.sleep(0.2)
            stage.kill("webhooks")
            await lock.rollback()
    await stage.until_final(60)
    await stage.until_delivered(120)
    return Told(ordered=False, notes=[f"{stage.times} kills"])


async def _until_attempted(stage: Stage, count: int) -> None:
    await stage.until(lambda: len(stage.receiver.entries()) >= count, 60, "attempts")


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


# The real schedule, an hour to the minute: 5 s, 30 s, 5 min, 30 min, 2 h, 5 h.
@fault("endpoint-down-an-hour", calls=50, long=True, DIAL_WEBHOOK_RETRIES="0.083,0.5,5,30,120,300")
async def endpoint_down(stage: Stage, calls: int) -> Told:
    """Endpoint down an hour, time scaled 60 to 1: all is delivered, late."""
    await asyncio.gather(*(surely(stage, stage.request("r50-t200", path="down/60")) for _ in range(calls)))
    await stage.until_final(30)
    await stage.until_delivered(400)
    late = await stage.rows(
        "SELECT max(extract(epoch FROM finished_at - created_at))::float8 AS s FROM webhook_delivery"
    )
    tries = await stage.rows("SELECT max(attempts) AS n FROM webhook_delivery")
    return Told(ordered=False, notes=[f"the last one {late[0]['s']:.0f} s late, {tries[0]['n']} attempts at most"])


@fault("callbacks-hang-1000", calls=334, DIAL_WEBHOOK_RETRIES="2", DIAL_MAX_WAIT="60")
async def hang_1000(stage: Stage, calls: int) -> Told:
    """1,000 callbacks to endpoints that hang or drip: the others' p99 stays, each attempt ends within 15 s."""
    async with Steady(stage, 10, "r50-t200"):
        await stage.pause(10)
        before = await _p99(stage, 10)
        for start in range(0, calls, 10):
            await asyncio.gather(*(stage.dial(_hanging(stage, number)) for number in range(start, start + 10)))
        await stage.pause(20)
        during = await _p99(stage, 20)
    longest = await stage.rows(
        "SELECT max(latency_ms) AS ms, count(*) AS n FROM webhook_attempt WHERE latency_ms > 5000"
    )
    problems = [f"an attempt took {longest[0]['ms']} ms"] if (longest[0]["ms"] or 0) > 15_500 else []
    if during > 2 * max(before, 50):
        problems.append(f"the others' p99 rose from {before:.0f} to {during:.0f} ms")
    notes = [
        f"others' p99 {before:.0f} ms before, {during:.0f} ms beside",
        f"{longest[0]['n']} attempts hung, the longest {longest[0]['ms']} ms",
    ]
    return Told(ordered=False, never=("hang", "drip"), problems=problems, notes=notes)


def _hanging(stage: Stage, number: int) -> dict[str, Any]:
    path = ("hang", "drip")[number % 2]
    request = stage.request("r50-t200", path=path)
    host = OTHER_HOSTS[number % len(OTHER_HOSTS)]
    for one in (request, *request["sip"]):
        one["statusCallback"] = f"http://{host}:{stage.receiver.port}/{path}"
    return request


async def _p99(stage: Stage, seconds: int) -> float:
    """Of what was delivered lately at the first attempt: milliseconds from the commit to the end."""
    rows = await stage.rows(
        "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - created_at)) * 1000 AS ms"
        f" FROM webhook_delivery WHERE url LIKE '%%/ok' AND finished_at > now() - interval '{seconds} seconds'"
    )
    return float(rows[0]["ms"] or 0)


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
