"""Sets the clock of the product while it calls, by libfaketime; the database's and the callee's stay right."""

import os
import signal
import time
from pathlib import Path

from tests.faults.load import place
from tests.faults.stage import Entry, Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)  # Debian: libfaketime
_JUMPS = ("+3600", "-3600", "+86400", "-86400", "+0")  # seconds, each from the true time
_CONTROL = Path("/dev/shm") / f"dial-faults-clock-{os.getpid()}"
_FAKED = (
    "env", f"LD_PRELOAD={_LIBRARY}", f"FAKETIME_TIMESTAMP_FILE={_CONTROL}", "FAKETIME_NO_CACHE=1",
    "DONT_FAKE_MONOTONIC=1",
)  # fmt: skip


@fault("clock-jumps", calls=20, plan=Plan(wrapper=_FAKED))
async def clock_jumps(stage: Stage, calls: int) -> Told:
    """The product's clock ±1 h and ±1 d while calls ring and talk: durations right to 1 s, no lease is lost."""
    try:
        for jump in _JUMPS:
            await place(stage, calls // 5, "r3000-t3000")
            await place(stage, calls // 5, "r200-t6000")
            await stage.pause(2)  # the ones ring, the others talk
            _set(jump)
        await stage.until_final(60)
        lost = await stage.rows("SELECT count(*) AS n FROM calls WHERE reason = 'worker-lost'")
        problems = [f"{lost[0]['n']} calls lost their worker"] if lost[0]["n"] else []
        return Told(problems=[*problems, *await _durations(stage)], notes=[f"{len(_JUMPS)} jumps"])
    finally:
        _CONTROL.unlink(missing_ok=True)


@fault("clock-jumps-worker-killed", calls=10, plan=Plan(workers=2, wrapper=_FAKED))
async def clock_jumps_and_kill(stage: Stage, calls: int) -> Told:
    """The clock jumps ±1 h and ±1 d, then a worker is killed: rescued by the database's clock, durations right."""
    killed: dict[str, float] = {}
    try:
        for jump in _JUMPS:
            sids = await place(stage, calls, "r50")
            await stage.until(lambda: stage.callee.count("ACK") >= len(stage.placed), 20, "ACK")
            _set(jump)
            victim = stage.pids("worker")[0]
            held = set(await stage.held_by(victim))
            os.kill(victim, signal.SIGKILL)
            family = stage.family(sids, time.time())
            killed |= {sid: at for sid, at in family.items() if sid in held}
            await stage.pause(12)
            await stage.hang_up_rest(0)
            await stage.until_final(20)
        return Told(killed=killed, problems=await _durations(stage), notes=[f"{len(_JUMPS)} jumps, a kill after each"])
    finally:
        _CONTROL.unlink(missing_ok=True)


def _set(jump: str) -> None:
    draft = _CONTROL.with_suffix(".new")
    draft.write_text(jump)
    draft.replace(_CONTROL)


async def _durations(stage: Stage) -> list[str]:
    """What the callee saw, against what is stored."""
    rows = await stage.rows(
        "SELECT sid, extract(epoch FROM answer_time - start_time)::float8 AS waited,"
        " extract(epoch FROM end_time - answer_time)::float8 AS talked FROM calls WHERE parent_sid IS NOT NULL"
    )
    seen: dict[str, dict[str, float]] = {}
    for entry in stage.callee.entries():
        seen.setdefault(entry.get("sid", ""), {}).setdefault(entry["what"], entry["at"])
    return [problem for row in rows for problem in _wrong(row, seen.get(row["sid"], {}))]


def _wrong(row: Entry, seen: dict[str, float]) -> list[str]:
    if "200" not in seen or "ended" not in seen or row["talked"] is None:
        return [f"{row['sid']} was not answered"]
    waited, talked = seen["200"] - seen["INVITE"], seen["ended"] - seen["200"]
    wrong = []
    if abs(row["waited"] - waited) > 1:
        wrong.append(f"{row['sid']} was answered after {waited:.1f} s, stored {row['waited']:.1f}")
    if abs(row["talked"] - talked) > 1:
        wrong.append(f"{row['sid']} talked {talked:.1f} s, stored {row['talked']:.1f}")
    return wrong
