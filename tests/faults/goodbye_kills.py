"""Kills the worker with -9 when its calls have ended in the records and their peers have not heard of it yet."""

import asyncio
from typing import Any

from tests.faults.load import surely
from tests.faults.stage import Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_FULL = (5, 20)  # calls a kill, kills
_RECORDS = (
    "SELECT sid, status, reason, end_time, epoch, last_seq, callback_seq, worker_id,"
    " (SELECT count(*) FROM call_event WHERE call_sid = sid) AS events FROM calls ORDER BY sid"
)
_UNHEARD = "SELECT 1 FROM goodbye HAVING count(*) >= {}"


async def _killed_unheard(stage: Stage, requests: list[dict[str, Any]], seen: dict[str, int], dialogs: int) -> Told:
    """Kill the worker once the callee has `seen` all of it, the calls are over and `dialogs` goodbyes are unheard."""
    killed: dict[str, float] = {}
    problems: list[str] = []
    for _ in range(stage.times):
        before = {what: stage.callee.count(what) for what in seen}
        ended = stage.callee.count("ended")
        sids = [sid for sid in await asyncio.gather(*(surely(stage, request) for request in requests)) if sid]
        for what, count in seen.items():
            await stage.until_heard(what, before[what] + count, 60)
        await stage.until_final(30)
        await stage.until_rows(_UNHEARD.format(dialogs), 10)
        records = {row["sid"]: row for row in await stage.rows(_RECORDS)}
        killed |= stage.family(sids, stage.kill("worker"))
        await stage.until_heard("ended", ended + dialogs, 40)
        await stage.until_rows("SELECT 1 FROM goodbye HAVING count(*) = 0", 40)
        now = {row["sid"]: row for row in await stage.rows(_RECORDS)}
        problems += [f"{sid} was {was} and is {now[sid]}" for sid, was in records.items() if now[sid] != was]
    return Told(killed=killed, problems=problems, notes=[f"{stage.times} kills, {dialogs} dialogs each"])


@fault("goodbye-bye-lost", calls=10, full=_FULL, DIAL_MAX_WAIT="30")
async def bye_lost(stage: Stage, calls: int) -> Told:
    """Worker killed when a call is over in its record and its BYEs get lost: the callee gets one from the successor."""
    request = stage.request("r50-d6000", timeLimit=1)
    return await _killed_unheard(stage, [request] * calls, {"BYE lost": calls}, calls)


@fault("goodbye-no-provisional", calls=10, full=_FULL, DIAL_MAX_WAIT="30")
async def no_provisional(stage: Stage, calls: int) -> Told:
    """Worker killed when a call was given up and its CANCEL still waits for a provisional."""
    request = stage.request("w6000-forever", timeout=1)
    return await _killed_unheard(stage, [request] * calls, {"INVITE": calls}, calls)


@fault("goodbye-crossed", calls=10, full=_FULL, DIAL_MAX_WAIT="30")
async def crossed(stage: Stage, calls: int) -> Told:
    """Worker killed when its CANCEL got lost, before the callee answers or when the BYE that followed got lost too."""
    half = calls // 2
    early = [stage.request("r4000-x", timeout=1)] * (calls - half)
    late = [stage.request("r1500-x-d6000", timeout=1)] * half
    return await _killed_unheard(stage, late + early, {"CANCEL lost": calls, "BYE lost": half}, calls)


@fault("goodbye-two-parties", calls=6, full=_FULL, plan=Plan(workers=2), DIAL_MAX_WAIT="30")
async def two_parties(stage: Stage, calls: int) -> Told:
    """Workers killed when two people's call is over in its records and neither of the two has heard of it."""
    request = stage.request("r50-d8000", timeLimit=1, caller=stage.target("r20-d8000"))
    return await _killed_unheard(stage, [request] * calls, {"BYE lost": 2 * calls}, 2 * calls)
