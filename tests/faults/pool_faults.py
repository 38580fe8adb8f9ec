"""Takes away what PostgreSQL gives only so much of: connections, locks, permission to write."""

import asyncio
import time

import psycopg

from tests.faults.api_faults import well_again
from tests.faults.load import Health, Steady, answers, at_once, place, wrong_answers
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_SERVED_WITHIN = 5.0  # seconds
_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name LIKE 'dial %' AND datname = current_database()"
)


@fault("pool-of-5", calls=1000, DIAL_DATABASE_POOL="5", DIAL_MAX_WAIT="120")
async def pool_of_5(stage: Stage, calls: int) -> Told:
    """A pool of 5 and 1,000 parallel requests: served or 503 within 5 s, worker and dispatcher are not starved."""
    await place(stage, 10, "r50-t20000")
    request = stage.request("r10-t50")
    async with Health(stage) as health:
        await at_once(stage, calls, request)
        await stage.until_final(120)
    slow = [seconds for _, seconds in stage.latencies if seconds > _SERVED_WITHIN]
    problems = [f"{len(slow)} answers after more than {_SERVED_WITHIN} s, up to {max(slow):.1f} s"] if slow else []
    problems += wrong_answers(stage, within=_SERVED_WITHIN)
    lost = await stage.rows("SELECT count(*) AS n FROM calls WHERE reason IN ('worker-lost', 'no-capacity')")
    problems += [f"{lost[0]['n']} calls lost or not taken"] if lost[0]["n"] else []
    notes = [answers(stage), f"/healthz p99 {health.p99:.0f} ms beside it"]
    return Told(problems=problems, notes=notes)


@fault("connections-used-up", calls=20)
async def connections_used_up(stage: Stage, calls: int) -> Told:
    """max_connections used up for 10 s, the product's own connections cut again and again: 503, then well again."""
    await place(stage, calls, "r50-t15000")
    taken: list[psycopg.AsyncConnection[tuple[object, ...]]] = []
    control = await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True)
    try:
        end = time.monotonic() + 10
        async with Steady(stage, 5, "r100-t500"):
            while time.monotonic() < end:
                await control.execute(_CUT)
                await _take_all(stage, taken)
                await asyncio.sleep(0.2)
            for connection in taken:
                await connection.close()
            started = time.monotonic()
            await well_again(stage)
            again = time.monotonic() - started
            await stage.pause(3)
    finally:
        await control.close()
    problems = wrong_answers(stage)
    problems += [f"well again only after {again:.1f} s"] if again > 5 else []
    notes = [answers(stage), f"{len(taken)} connections taken, well again after {again:.1f} s"]
    return Told(ordered=False, problems=problems, notes=notes)


async def _take_all(stage: Stage, taken: list[psycopg.AsyncConnection[tuple[object, ...]]]) -> None:
    while True:
        try:
            taken.append(await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True, connect_timeout=5))
        except psycopg.OperationalError:
            return


@fault("tables-locked", calls=20)
async def tables_locked(stage: Stage, calls: int) -> Told:
    """LOCK TABLE on calls, then on the outbox, 10 s each: 503 by lock_timeout, live calls talk on."""
    await place(stage, calls, "r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    async with Steady(stage, 5, "r100-t500"), Health(stage) as health:
        for table in ("calls", "webhook_outbox"):
            async with await psycopg.AsyncConnection.connect(stage.database_url) as lock:
                await lock.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                await stage.pause(10)
                await lock.rollback()
            await stage.pause(3)
    dropped = stage.callee.count("BYE") - _hung_up_by_callee(stage)
    problems = [*wrong_answers(stage), *health.problems()]
    problems += [f"{dropped} live calls were dropped"] if dropped > 0 else []
    lost = await stage.rows("SELECT count(*) AS n FROM calls WHERE reason = 'worker-lost'")
    problems += [f"{lost[0]['n']} calls lost"] if lost[0]["n"] else []
    await stage.hang_up_rest(0)
    return Told(ordered=False, problems=problems, notes=[answers(stage), f"/healthz p99 {health.p99:.0f} ms"])


def _hung_up_by_callee(stage: Stage) -> int:
    """Both sides may hang up in the same moment; then there is a BYE of ours that dropped nobody."""
    return stage.callee.count("sent BYE") if stage.callee.count("BYE") else 0


@fault("read-only", calls=20)
async def read_only(stage: Stage, calls: int) -> Told:
    """Every transaction read-only for 10 s: no 202 without a row, 503, well again by itself."""
    await place(stage, calls, "r50-t15000")
    writable = f"{stage.database_url}?options=-cdefault_transaction_read_only%3Doff"
    control = await psycopg.AsyncConnection.connect(writable, autocommit=True)
    async with control, Steady(stage, 5, "r100-t500"):
        await stage.pause(1)
        await control.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await control.execute("SELECT pg_reload_conf()")
        await stage.pause(10)
        await control.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await control.execute("SELECT pg_reload_conf()")
        started = time.monotonic()
        await well_again(stage)
        again = time.monotonic() - started
        await stage.pause(3)
    problems = wrong_answers(stage)
    if not any(status == 503 for status, _ in stage.latencies):
        problems.append("nobody was refused")
    notes = [answers(stage), f"well again after {again:.1f} s"]
    return Told(ordered=False, problems=problems, notes=notes)
