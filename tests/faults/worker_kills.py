"""Kills the worker with -9 in each state that a call can be in."""

import os
import signal
import time

import psycopg

from tests.faults.load import place, placed
from tests.faults.stage import Plan, Stage
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


# What the dead one had sent must not be done: its `initiated` would be stored, and an INVITE could have left.
_LAST_WORDS = (
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
    " WHERE application_name = 'dial worker' AND wait_event = 'advisory' AND datname = current_database()"
)
_FULL = (5, 20)  # calls a kill, kills


@fault("worker-claimed", plan=Plan(workers=2), full=_FULL, DIAL_MAX_WAIT="30")
async def claimed(stage: Stage, calls: int) -> Told:
    """Worker killed after the claim, before the INVITE: another one dials."""
    await stage.run(HOLD_INITIATED)
    problems, slowest = [], 0.0
    for _ in range(stage.times):
        dialled = stage.callee.count("INVITE")
        async with await _held(stage, 4711) as lock:
            await placed(stage, calls, "r100-t500")
            await stage.until_rows(
                "SELECT 1 FROM calls WHERE parent_sid IS NULL HAVING bool_and(worker_id IS NOT NULL OR epoch > 0)", 10
            )
            killed_at = stage.kill("worker")
            await stage.rows(_LAST_WORDS)
            await lock.execute("SELECT pg_advisory_unlock(4711)")
        await stage.until_heard("INVITE", dialled + calls, 30)
        first = [one["at"] for one in stage.callee.entries() if one["what"] == "INVITE"][dialled:]
        slowest = max(slowest, max(first) - killed_at)
        if sum(at < killed_at for at in first):
            problems.append("an INVITE left before its change was stored")
        await stage.until_final(30)
    if slowest > 15:
        problems.append(f"dialled {slowest:.1f} s after the kill")
    return Told(problems=problems, notes=[f"{stage.times} × all workers killed, dialled anew within {slowest:.1f} s"])


async def _killed_while(stage: Stage, calls: int, script: str, seen: str, **dial: object) -> Told:
    """Kill the worker once the callee has `seen` it for every call; as often as is wanted."""
    killed: dict[str, float] = {}
    for _ in range(stage.times):
        before = stage.callee.count(seen)
        sids = await placed(stage, calls, script, **dial)
        await stage.until_heard(seen, before + calls, 60)
        killed |= stage.family(sids, stage.kill("worker"))
        await stage.until_final(30)
    return Told(killed=killed, notes=[f"{stage.times} kills"])


@fault("worker-invite-sent", full=_FULL, DIAL_MAX_WAIT="30")
async def invite_sent(stage: Stage, calls: int) -> Told:
    """Worker killed when the INVITE has left and nothing has come back."""
    return await _killed_while(stage, calls, "silent", "INVITE")


@fault("worker-ringing", full=_FULL, DIAL_MAX_WAIT="30")
async def ringing(stage: Stage, calls: int) -> Told:
    """Worker killed while the callee rings."""
    return await _killed_while(stage, calls, "forever", "180")


@fault("worker-talking", full=_FULL, DIAL_MAX_WAIT="30")
async def talking(stage: Stage, calls: int) -> Told:
    """Worker killed while both talk."""
    return await _killed_while(stage, calls, "r50", "ACK")


@fault("worker-bye-sent", full=_FULL, DIAL_MAX_WAIT="30")
async def bye_sent(stage: Stage, calls: int) -> Told:
    """Worker killed when its BYE has left and is not answered yet."""
    return await _killed_while(stage, calls, "r50-b60000", "BYE", timeLimit=1)


@fault("worker-200-before-ack", full=_FULL, DIAL_MAX_WAIT="30")
async def answered_unacknowledged(stage: Stage, calls: int) -> Told:
    """Worker killed when the callee has answered and has no ACK."""
    killed: dict[str, float] = {}
    for _ in range(stage.times):
        rung, answered = stage.callee.count("180"), stage.callee.count("200")
        sids = await placed(stage, calls, "r3000")
        await stage.until_heard("180", rung + calls, 60)
        frozen = stage.pids("worker")
        stage.kill("worker", signal.SIGSTOP)
        await stage.until_heard("200", answered + calls, 60)
        for pid in frozen:
            os.kill(pid, signal.SIGKILL)  # a stopped process dies of it, too
        killed |= stage.family(sids, time.time())
        await stage.until_final(30)
    return Told(killed=killed, notes=[f"{stage.times} kills"])


@fault("worker-answer-unwritten", full=_FULL, DIAL_MAX_WAIT="30")
async def answer_unwritten(stage: Stage, calls: int) -> Told:
    """Worker killed when it has acknowledged the answer and the database does not know of it yet."""
    await stage.run(HOLD_ANSWERED)
    killed: dict[str, float] = {}
    for _ in range(stage.times):
        acknowledged = stage.callee.count("ACK")
        async with await _held(stage, 4713) as lock:
            # One writer for all: they must all be dialled before the first answer stops it.
            sids = await placed(stage, calls // 2, "r3000")
            sids += await placed(stage, calls - calls // 2, "direct-r3000")
            await stage.until_heard("ACK", acknowledged + calls, 60)
            killed |= stage.family(sids, stage.kill("worker"))
            await lock.execute("SELECT pg_advisory_unlock(4713)")
        await stage.until_final(30)
    answered = await stage.rows("SELECT count(*) AS n FROM calls WHERE answer_time IS NOT NULL")
    return Told(killed=killed, notes=[f"{stage.times} kills, {answered[0]['n']} answers were written"])


async def _held(stage: Stage, number: int) -> psycopg.AsyncConnection[tuple[object, ...]]:
    """A connection that has this advisory lock."""
    connection = await psycopg.AsyncConnection.connect(stage.database_url, autocommit=True)
    await connection.execute("SELECT pg_advisory_lock(%s)", (number,))
    return connection


@fault("two-rescuers", plan=Plan(workers=3))
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


@fault("worker-frozen", plan=Plan(workers=2), full=(20, 3))
async def frozen(stage: Stage, calls: int) -> Told:
    """One of two workers stands still for 20 s (60 in full; SIGSTOP, SIGCONT): taken over once, silent afterwards."""
    await place(stage, calls // 2, "r50")
    await place(stage, calls // 2, "forever", timeout=100)
    await stage.until(lambda: stage.callee.count("ACK") >= calls // 2, 20, "ACK")
    pid = stage.pids("worker")[0]
    held = await stage.held_by(pid)
    os.kill(pid, signal.SIGSTOP)
    stopped_at = time.time()
    await stage.until_rows(
        f"SELECT 1 FROM calls HAVING count(*) FILTER (WHERE reason = 'worker-lost') >= {len(held)}", 20
    )
    while time.time() < stopped_at + 20 * stage.times:
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
