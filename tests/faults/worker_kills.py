"""Kills the worker with -9 in each state that a call can be in."""

import os
import signal
import time

import psycopg

from tests.faults.load import place
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

HOLD_ANSWERED = """
CREATE FUNCTION fault_hold_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(4713); RETURN NEW; END $$;
CREATE TRIGGER fault_hold_answer BEFORE UPDATE ON calls FOR EACH ROW
WHEN (NEW.answer_time IS NOT NULL AND OLD.answer_time IS NULL) EXECUTE FUNCTION fault_hold_answer();
"""


@fault("worker-claimed", workers=2, DIAL_MAX_WAIT="30")
async def claimed(stage: Stage, calls: int) -> Told:
    """Worker killed after the claim, before the INVITE: another one dials."""
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


@fault("worker-answer-unwritten")
async def answer_unwritten(stage: Stage, calls: int) -> Told:
    """Worker killed when it has acknowledged the answer and the database does not know of it yet."""
    await stage.run(HOLD_ANSWERED)
    async with await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True) as lock:
        await lock.execute("SELECT pg_advisory_lock(4713)")
        # One writer for all: they must all be dialled before the first answer stops it.
        await place(stage, calls // 2, "r4000")
        await place(stage, calls - calls // 2, "direct-r4000")
        await stage.until(lambda: stage.callee.count("ACK") >= calls, 20, "ACK")
        killed_at = stage.kill("worker")
        await lock.execute("SELECT pg_advisory_unlock(4713)")
    answered = await stage.rows("SELECT count(*) AS n FROM calls WHERE answer_time IS NOT NULL")
    return Told(killed_at, notes=[f"{answered[0]['n']} answers were written"])


@fault("two-rescuers", workers=3)
async def two_rescuers(stage: Stage, calls: int) -> Told:
    """One of three workers killed, calls in four states: the others rescue at once, each call once."""
    for script in ("forever", "r50", "silent", "r4000"):
        await place(stage, calls // 4, script)
    await stage.until(lambda: stage.callee.count("ACK") >= calls // 4, 20, "ACK")
    victim = stage.pids("worker")[0]
    stage.service.process.send_signal(signal.SIGSTOP)  # nobody takes the dead one's place: the two others must do it
    os.kill(victim, signal.SIGKILL)
    killed_at = time.time()
    await stage.pause(14)
    stage.service.process.send_signal(signal.SIGCONT)
    await stage.hang_up_rest(killed_at)
    return Told(killed_at)


@fault("worker-frozen", workers=2)
async def frozen(stage: Stage, calls: int) -> Told:
    """One of two workers stands still for 20 s (SIGSTOP, SIGCONT): taken over once, it says nothing more."""
    await place(stage, calls // 2, "r50")
    await place(stage, calls // 2, "forever", timeout=60)
    await stage.until(lambda: stage.callee.count("ACK") >= calls // 2, 20, "ACK")
    pid = stage.pids("worker")[0]
    held = await stage.held_by(pid)
    os.kill(pid, signal.SIGSTOP)
    stopped_at = time.time()
    await stage.until_rows(
        f"SELECT 1 FROM calls HAVING count(*) FILTER (WHERE reason = 'worker-lost') >= {len(held)}", 20
    )
    while time.time() < stopped_at + 20:
        await stage.pause(0.5)
    os.kill(pid, signal.SIGCONT)
    await stage.pause(4)
    talking = await stage.rows("SELECT count(*) AS n FROM calls WHERE answer_time IS NOT NULL AND end_time IS NULL")
    packets = [entry["packets"] for entry in stage.callee.entries() if entry["what"] == "rtp"][-1]
    problems = (
        [] if packets <= (talking[0]["n"] + 0.5) * 60 else [f"{packets} RTP packets/s for {talking[0]['n']} live calls"]
    )
    await stage.hang_up_rest(0)
    notes = [f"{len(held)} calls held, {packets} RTP packets/s for {talking[0]['n']} calls afterwards"]
    return Told(stopped_at, problems=problems, notes=notes)
