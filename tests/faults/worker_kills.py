"""Kills the worker with -9 in each state that a call can be in."""

import asyncio
import os
import signal
import time

from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

# Every `initiated` waits for this lock, so that a dial stays claimed with its INVITE unsent for as long as we like.
HOLD_INITIATED = """
CREATE FUNCTION fault_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END $$;
CREATE TRIGGER fault_hold BEFORE UPDATE ON calls FOR EACH ROW
WHEN (NEW.status = 'initiated' AND OLD.status = 'queued') EXECUTE FUNCTION fault_hold();
"""


async def place(stage: Stage, count: int, *scripts: str, **dial: object) -> list[str]:
    """`count` requests at once, or a few at a time when there are many; the sids of the 202s."""
    sids = []
    for start in range(0, count, 10):
        some = range(min(10, count - start))
        answers = await asyncio.gather(*(stage.dial(stage.request(*scripts, **dial)) for _ in some))
        sids += [sid for sid in answers if sid]
    return sids


@fault("worker-claimed", workers=2, DIAL_MAX_WAIT="30")
async def claimed(stage: Stage, calls: int) -> Told:
    """Worker killed after the claim, before the INVITE: another one dials."""
    import psycopg

    await stage.run(HOLD_INITIATED)
    async with await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True) as lock:
        await lock.execute("SELECT pg_advisory_lock(4711)")
        await place(stage, calls, "r100-t500")
        await stage.until_rows(
            "SELECT 1 FROM calls WHERE parent_sid IS NULL HAVING bool_and(worker_id IS NOT NULL)", 10
        )
        killed_at = stage.kill("worker")
        await lock.execute("SELECT pg_advisory_unlock(4711)")
    await stage.until(lambda: stage.callee.count("INVITE") >= calls, 30, "the first INVITE")
    first = [entry["at"] for entry in stage.callee.entries() if entry["what"] == "INVITE"]
    problems = [] if max(first) - killed_at <= 15 else [f"dialled {max(first) - killed_at:.1f} s after the kill"]
    if sum(at < killed_at for at in first):
        problems.append("an INVITE left before its change was stored")
    return Told(killed_at, problems=problems, notes=[f"dialled anew within {max(first) - killed_at:.1f} s"])


async def _killed_while(stage: Stage, calls: int, script: str, seen: str, **dial: object) -> Told:
    """Kill the worker once the callee has `seen` it for every call."""
    await place(stage, calls, script, **dial)
    await stage.until(lambda: stage.callee.count(seen) >= calls, 20, seen)
    killed_at = stage.kill("worker")
    return Told(killed_at)


@fault("worker-invite-sent")
async def invite_sent(stage: Stage, calls: int) -> Told:
    """Worker killed when the INVITE has left and nothing has come back."""
    return await _killed_while(stage, calls, "silent", "INVITE")


@fault("worker-ringing")
async def ringing(stage: Stage, calls: int) -> Told:
    """Worker killed while the callee rings."""
    return await _killed_while(stage, calls, "forever", "180")


@fault("worker-talking")
async def talking(stage: Stage, calls: int) -> Told:
    """Worker killed while both talk."""
    return await _killed_while(stage, calls, "r50", "ACK")


@fault("worker-bye-sent")
async def bye_sent(stage: Stage, calls: int) -> Told:
    """Worker killed when its BYE has left and is not answered yet."""
    return await _killed_while(stage, calls, "r50-b60000", "BYE", timeLimit=1)


@fault("worker-200-before-ack")
async def answered_unacknowledged(stage: Stage, calls: int) -> Told:
    """Worker killed when the callee has answered and has no ACK."""
    await place(stage, calls, "r4000")
    await stage.until(lambda: stage.callee.count("180") >= calls, 20, "180")
    frozen = stage.pids("worker")
    stage.kill("worker", signal.SIGSTOP)
    await stage.until(lambda: stage.callee.count("200") >= calls, 20, "200")
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)  # a stopped process dies of it, too
    return Told(time.time())
