"""Kills the worker with -9 while two people talk through it and are recorded."""

from datetime import UTC, datetime

from tests.faults.load import placed
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_FULL = (5, 20)  # calls a kill, kills
_LOST = 1.5  # seconds of a recording that may be missing: one, and what passes until the signal is sent
_RECORDED = "SELECT sid, state, started_at, duration FROM recording"


@fault("worker-two-talk", calls=4, full=_FULL, DIAL_MAX_WAIT="30")
async def two_talk(stage: Stage, calls: int) -> Told:
    """Worker killed while caller and callee talk and are recorded: both hear of it, and the recording is kept."""
    killed: dict[str, float] = {}
    problems: list[str] = []
    known: set[str] = set()
    for _ in range(stage.times):
        before = stage.callee.count("ACK")
        caller = stage.target("r20")
        sids = await placed(stage, calls, "r50", caller=caller, record="record-from-answer-dual")
        await stage.until_heard("ACK", before + 2 * calls, 60)
        await stage.pause(3)  # of talk
        killed_at = stage.kill("worker")
        killed |= stage.family(sids, killed_at)
        await stage.until_final(30)
        await stage.until_rows("SELECT 1 FROM recording HAVING bool_and(state <> 'in-progress')", 30)
        new = [row for row in await stage.rows(_RECORDED) if row["sid"] not in known]
        known |= {row["sid"] for row in new}
        problems += [f"{len(new)} of {calls} calls were recorded"] if len(new) != calls else []
        for row in new:
            talked = (datetime.fromtimestamp(killed_at, UTC) - row["started_at"]).total_seconds()
            if row["state"] != "completed" or row["duration"] < talked - _LOST:
                problems.append(f"recording {row['state']}, {row['duration']} of {talked:.1f} s")
    return Told(killed=killed, problems=problems, notes=[f"{stage.times} kills, {len(known)} recordings kept"])
