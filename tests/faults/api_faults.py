"""Kills the API between a commit, its answer and the client; sends one request many times at once."""

import asyncio
import os
import random
import secrets
import signal

import psycopg

from tests.faults.load import place
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_BURST = 10

# A deferred trigger runs inside COMMIT: the client has sent it and waits for its answer.
HOLD_COMMIT = """
CREATE FUNCTION fault_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(4712); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fault_commit AFTER INSERT ON idempotency DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fault_commit();
"""


@fault("api-after-202", calls=40, full=(1000, 1))
async def after_202(stage: Stage, calls: int) -> Told:
    """API killed 0-50 ms after its 202, again and again: what was promised is stored and dialled once."""
    kills = 0
    while len(stage.placed) < calls:
        await place(stage, _BURST, "r50-t200")
        await asyncio.sleep(random.uniform(0, 0.05))
        stage.kill("api")
        kills += 1
        await well_again(stage)
    return Told(notes=[f"{kills} kills"])


@fault("api-before-answer", calls=40, full=(500, 1))
async def before_answer(stage: Stage, calls: int) -> Told:
    """API killed after the COMMIT and before its answer; the client repeats with its Idempotency-Key."""
    await stage.run(HOLD_COMMIT)
    problems, replayed, kills = [], 0, 0
    keys = [secrets.token_hex(8) for _ in range(calls)]
    for start in range(0, calls, _BURST):
        some = keys[start : start + _BURST]
        await _kill_after_commit(stage, some)
        kills += 1
        await well_again(stage)
        stored = {row["key"]: row["call_sid"] for row in await stage.rows("SELECT key, call_sid FROM idempotency")}
        for key in some:
            sid = await stage.dial(_request(stage), key)
            if key in stored:
                replayed += 1
                problems += [f"{key} was stored as {stored[key]}, answered {sid}"] if sid != stored[key] else []
            elif sid is None:
                problems.append(f"{key} was refused after the kill")
    parents = await stage.rows("SELECT count(*) AS n FROM calls WHERE parent_sid IS NULL")
    if parents[0]["n"] != calls:
        problems.append(f"{parents[0]['n']} calls for {calls} keys")
    return Told(problems=problems, notes=[f"{kills} kills, {replayed} of {calls} had been committed unanswered"])


@fault("one-key-200", calls=200)
async def one_key(stage: Stage, calls: int) -> Told:
    """200 parallel requests with one Idempotency-Key are one call."""
    request = stage.request("r50-t200")
    sids = await asyncio.gather(*(stage.dial(request, "the one key") for _ in range(calls)))
    distinct = {sid for sid in sids if sid}
    problems = [] if len(distinct) == 1 else [f"{len(distinct)} calls"]
    if stage.refused:
        problems.append(f"{len(stage.refused)} refused: {sorted(set(stage.refused))}")
    return Told(problems=problems)


async def well_again(stage: Stage) -> None:
    """Until the API serves again."""
    for _ in range(300):
        if await stage.status("/readyz") == 200:
            return
        await asyncio.sleep(0.1)
    raise TimeoutError("the API did not come back within 30 s")


async def _kill_after_commit(stage: Stage, keys: list[str]) -> None:
    """Hold the COMMIT, freeze the API, let the COMMIT through, kill the API: nobody hears of it."""
    async with await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True) as lock:
        await lock.execute("SELECT pg_advisory_lock(4712)")
        asking = [asyncio.create_task(stage.dial(_request(stage), key)) for key in keys]
        await stage.until_rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' AND query = 'COMMIT'", 5)
        pids = stage.pids("api")
        stage.kill("api", signal.SIGSTOP)
        await lock.execute("SELECT pg_advisory_unlock(4712)")
        await stage.until_rows("SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')", 5)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*asking)


def _request(stage: Stage) -> dict[str, object]:
    return stage.request("r50-t200")
