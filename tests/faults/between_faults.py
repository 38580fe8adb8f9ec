"""Slows the way to PostgreSQL, cuts it, loses answers on it and makes up errors: all by what stands between."""

import secrets
import time
from collections import Counter

from tests.faults.api_faults import well_again
from tests.faults.load import Health, Steady, answers, place, refused_soon, wrong_answers
from tests.faults.process_faults import beside
from tests.faults.stage import Entry, Peer, Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_BETWEEN = Plan(between=True)
_WORKER = "dial worker"


def between(stage: Stage) -> Peer:
    if stage.between is None:
        raise RuntimeError("this fault was given no way to the database")
    return stage.between


@fault("slow-database", calls=20, plan=_BETWEEN)
async def slow(stage: Stage, calls: int) -> Told:
    """200 ms on every database round trip, calls talking and 5 new ones a second: the loops are not held up."""
    await place(stage, calls, "r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    async with Steady(stage, 5, "r100-t500"):
        await stage.pause(8)
        split = time.time()
        between(stage).order(delay=0.2)
        async with Health(stage) as health:
            await stage.pause(20)
    between(stage).order()
    before, during = _jitter(stage, 0, split), _jitter(stage, split, time.time())
    problems = [*health.problems(), *wrong_answers(stage)]
    if during - before >= 5:
        problems.append(f"RTP jitter p99 rose from {before:.1f} to {during:.1f} ms")
    await stage.hang_up_rest(0)
    notes = [
        answers(stage), f"/healthz p99 {health.p99:.0f} ms",
        f"RTP send jitter p99 {before:.1f} ms before, {during:.1f} ms while slow",
    ]  # fmt: skip
    return Told(problems=problems, notes=notes)


def _jitter(stage: Stage, since: float, until: float) -> float:
    """The 99th percentile (ms) over all packets that came in that time of how far their gaps were from 20 ms."""
    late: Counter[int] = Counter()
    for one in stage.callee.entries():
        if one["what"] == "rtp" and since < one["at"] < until:
            late.update({int(tenths): count for tenths, count in one["late"].items()})
    gaps = sorted(late.elements())
    return gaps[len(gaps) * 99 // 100] / 10 if gaps else 0.0


@fault("collisions", calls=20, plan=_BETWEEN)
async def collisions(stage: Stage, calls: int) -> Told:
    """Serialization failures and deadlocks in place of 3 % of all statements, COMMITs too: retried, invisible."""
    between(stage).order(errors=0.03)
    await place(stage, calls, "r50-t5000")
    async with Steady(stage, 5, "r100-t500", "busy"):
        await stage.pause(20)
    between(stage).order()
    refused = [f"{len(stage.refused)} requests were refused: {set(stage.refused)}"] if stage.refused else []
    return Told(ordered=False, problems=refused, notes=[answers(stage), f"{_done(stage, 'error')} errors made up"])


@fault("answers-lost", calls=20, plan=_BETWEEN)
async def answers_lost(stage: Stage, calls: int) -> Told:
    """2 % of all statements are run and their answers never come, for the connection breaks: nothing twice or lost."""
    between(stage).order(lose=0.02)
    await place(stage, calls, "r50-t5000")
    async with Steady(stage, 5, "r100-t500", "busy"):
        await stage.pause(20)
    between(stage).order()
    notes = [answers(stage), f"{_done(stage, 'lost answer')} answers lost"]
    return Told(ordered=False, problems=wrong_answers(stage), notes=notes)


@fault("commit-unanswered", calls=40, plan=_BETWEEN, full=(200, 1))
async def commit_unanswered(stage: Stage, calls: int) -> Told:
    """Connection cut after the COMMIT of a request was sent: repeated with its key it gives one sid and one INVITE."""
    problems, refused = [], 0
    for number in range(calls):
        key, request = secrets.token_hex(8), stage.request("r50-t200")
        between(stage).order(commits=1 if number % 2 else 10, app="dial api")
        sid = await stage.dial(request, key)
        between(stage).order()
        refused += sid is None
        stored = await stage.rows("SELECT call_sid FROM idempotency WHERE key = %s", key)
        again = await stage.dial(request, key)
        if not stored:
            problems.append("a COMMIT was not done")
        elif {sid or again, again} != {stored[0]["call_sid"]}:
            problems.append(f"stored {stored[0]['call_sid']}, answered {sid} and then {again}")
    parents = await stage.rows("SELECT count(*) AS n FROM calls WHERE parent_sid IS NULL")
    problems += [f"{parents[0]['n']} calls for {calls} keys"] if parents[0]["n"] != calls else []
    notes = [f"{_done(stage, 'lost commit')} answers to COMMIT lost, {refused} of {calls} requests answered 503 first"]
    return Told(problems=problems, notes=notes)


@fault("worker-cut-from-database", calls=20, plan=_BETWEEN, long=True)
async def worker_cut_off(stage: Stage, calls: int) -> Told:
    """A worker cut from the database for 60 s, another one not: its calls are taken over once, it writes no more."""
    with beside(stage, "worker"):
        await stage.until_rows("SELECT 1 FROM worker WHERE role = 'worker' HAVING count(*) = 2", 20)
        await place(stage, calls // 2, "r50")
        await place(stage, calls // 2, "forever", timeout=100)
        await stage.until(lambda: stage.callee.count("180") >= calls, 20, "180")
        held = await stage.held_by(stage.pids("worker")[0])
        between(stage).order(cut=True, app=_WORKER)
        cut_at = time.time()
        await stage.pause(15)
        rescued = await _of(stage, held)
        async with Steady(stage, 2, "r100-t500"):
            await stage.pause(60 - (time.time() - cut_at))
        between(stage).order()
        await stage.pause(8)
        problems = [f"{len(held)} calls held"] if not held else []
        problems += [f"{one['sid']} is {one['status']}/{one['reason']}" for one in rescued if not _lost(one)]
        if await _of(stage, held) != rescued:
            problems.append("records of calls that were taken over have changed since")
        problems += wrong_answers(stage)
        await stage.hang_up_rest(0)
        await stage.until_final(30)
    lost = sum(_lost(one) for one in rescued)
    return Told(problems=problems, notes=[answers(stage), f"{lost} of {len(held)} held calls ended by the other one"])


async def _of(stage: Stage, sids: list[str]) -> list[Entry]:
    columns = "sid, status, reason, epoch, last_seq, end_time"
    return await stage.rows(f"SELECT {columns} FROM calls WHERE sid = ANY(%s) ORDER BY sid", sids)


def _lost(call: Entry) -> bool:
    return bool(call["reason"] == "worker-lost")


def _done(stage: Stage, what: str) -> int:
    return between(stage).count(what)


@fault("database-cut", calls=20, plan=_BETWEEN, full=(20, 3))
async def database_cut(stage: Stage, calls: int) -> Told:
    """Everything cut from the database for 20 s (60 in full) without a word: 503 within 2 s, live calls talk on."""
    sids = await place(stage, calls, "r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    problems, ready = [], set()
    async with Steady(stage, 2, "r50-t200"):
        await stage.pause(2)
        between(stage).order(cut=True)
        end = time.monotonic() + 20 * stage.times
        async with Health(stage) as health:
            await stage.pause(3)
            while time.monotonic() < end:
                ready.add(await stage.status("/readyz"))
                for path in ("/v1/calls", f"/v1/calls/{sids[0]}", f"/v1/calls/{sids[0]}/events"):
                    problems += await refused_soon(stage, path)
                await stage.pause(1)
        between(stage).order()
        started = time.monotonic()
        await well_again(stage)
        again = time.monotonic() - started
        await stage.pause(5)
    dropped = stage.callee.count("BYE")
    problems += [f"{dropped} live calls were dropped"] if dropped else []
    problems += [*health.problems(), *wrong_answers(stage)]
    problems += [f"readyz answered {ready} meanwhile"] if ready != {503} else []
    problems += [f"well again only after {again:.1f} s"] if again > 5 else []
    await stage.hang_up_rest(0)
    await stage.until(lambda: stage.callee.count("ended") >= stage.callee.count("ACK"), 20, "the end of the calls")
    gap = max(entry["gap"] for entry in stage.callee.entries() if entry["what"] == "ended")
    problems += [f"an RTP gap of {gap * 1000:.0f} ms"] if gap >= 0.2 else []
    notes = [
        answers(stage), f"/healthz p99 {health.p99:.0f} ms", f"well again after {again:.1f} s",
        f"longest RTP gap {gap * 1000:.0f} ms",
    ]  # fmt: skip
    return Told(problems=problems, notes=notes)
