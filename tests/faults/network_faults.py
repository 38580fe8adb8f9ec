"""Spoils the network between worker and callee, and gives it callees that die, flood or cannot be found."""

import asyncio
import time
from collections import Counter

from tests.faults.load import Health, place, statuses
from tests.faults.stage import Entry, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_RTP_TIMEOUT = 5.0  # seconds


@fault("lossy-sip", calls=200)
async def lossy(stage: Stage, calls: int) -> Told:
    """20 % of all SIP datagrams lost, 10 % repeated, 10 % up to 200 ms late, in both directions: right statuses."""
    stage.callee.order(loss=0.2, twice=0.1, late=0.1)
    plain = calls // 5
    await place(stage, plain, "r200-t1000")
    await place(stage, plain, "busy")
    await place(stage, plain, "direct-t500")
    await place(stage, plain, "rings-r100", timeLimit=1)
    await place(stage, plain, "forever", timeout=20)
    await stage.until_final(90)
    problems = await statuses(
        stage, r200="completed", busy="busy", direct="completed", rings="completed", forever="no-answer"
    )
    repeated = stage.callee.count("INVITE again") + stage.callee.count("BYE again")
    await stage.pause(5)  # a BYE or its answer may still be on its way
    await stage.until_delivered(30)
    problems += await _told_once(stage, calls)
    line = [one for one in stage.callee.entries() if one["what"] == "line"][-1]
    lost, twice, late = (line[what] / line["datagrams"] for what in ("lost", "twice", "late"))
    problems += [f"only {lost:.0%} of the datagrams were lost"] if lost < 0.15 else []
    notes = [
        f"of {line['datagrams']} datagrams {lost:.0%} lost, {twice:.0%} repeated, {late:.0%} late",
        f"{repeated} INVITEs and BYEs came again", *await _ends(stage),
    ]  # fmt: skip
    return Told(problems=problems, notes=notes)


async def _told_once(stage: Stage, legs: int) -> list[str]:
    """So many legs, and of each its events: stored once, owed once, accepted once. A lost 180 is nobody's event."""
    rows = await stage.rows(
        "SELECT substring(to_uri FROM 'sip:([^@-]+)') AS script, array_agg(e.type ORDER BY e.seq) AS types"
        " FROM calls c JOIN call_event e ON e.call_sid = c.sid WHERE parent_sid IS NOT NULL GROUP BY c.sid, to_uri"
    )
    problems = [] if len(rows) == legs else [f"{len(rows)} legs have events, {legs} were placed"]
    answered, refused = ["initiated", "answered", "completed"], ["initiated", "completed"]
    odd = 0
    for row in rows:
        unanswered = row["script"] in ("busy", "forever")
        odd += [one for one in row["types"] if one != "ringing"] != (refused if unanswered else answered)
    twice = Counter(entry["id"] for entry in stage.receiver.entries())
    again = sum(count > 1 for count in twice.values())
    problems += [f"{odd} legs whose events are not what became of them"] if odd else []
    return problems + ([f"{again} events came more than once"] if again else [])


async def _ends(stage: Stage) -> list[str]:
    rows = await stage.rows(
        "SELECT status, count(*) AS n FROM calls WHERE parent_sid IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return [", ".join(f"{row['status']}×{row['n']}" for row in rows)]


@fault("worker-cut-from-peer", calls=25, long=True)
async def cut_from_peer(stage: Stage, calls: int) -> Told:
    """Worker cut from its callee for 60 s: each call ends as it must, one event each, nobody is left up."""
    each = calls // 5
    await place(stage, each, "media-r50")  # falls silent: RTP timeout after 30 s
    await place(stage, each, "r50", timeLimit=35)
    await place(stage, each, "forever", timeout=40)
    await stage.until(lambda: stage.callee.count("180") >= 3 * each, 20, "180")
    await stage.until(lambda: stage.callee.count("ACK") >= 2 * each, 20, "ACK")
    stage.callee.order(cut=True)
    cut_at = time.time()
    await place(stage, each, "unheard-r50", timeout=45)
    await place(stage, each, "briefly-r50", timeout=10)
    await stage.pause(60 - (time.time() - cut_at))
    stage.callee.order()
    await stage.until_final(30)
    problems = await statuses(
        stage, media="completed", r50="completed", forever="no-answer", unheard="failed", briefly="failed"
    )
    rows = await stage.rows(
        "SELECT reason, count(*) AS n FROM calls WHERE parent_sid IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return Told(problems=problems, notes=[", ".join(f"{row['reason']}×{row['n']}" for row in rows)])


@fault("callee-dies", calls=20, DIAL_RTP_TIMEOUT=f"{_RTP_TIMEOUT:g}")
async def callee_dies(stage: Stage, calls: int) -> Told:
    """A callee killed in the middle of its calls: over by RTP timeout + 2 s or BYE's 32 s, the others undisturbed."""
    other = stage.open("tests.faults.callee", "other.log")
    await place(stage, calls // 2, "media-r50")
    for script in ("media-r50", "r50"):
        request = stage.request(script)
        request["sip"][0]["uri"] = f"sip:{script}@127.0.0.1:{other.port}"
        await asyncio.gather(*(stage.dial(request) for _ in range(calls // 4)))
    await stage.until(lambda: stage.callee.count("ACK") >= calls // 2, 20, "ACK")
    await stage.until(lambda: other.count("ACK") >= calls // 4 * 2, 20, "ACK")
    await stage.pause(2)
    other.process.kill()
    died_at = time.time()
    await stage.until_rows(
        f"SELECT 1 FROM calls WHERE reason = 'media-timeout' HAVING count(*) >= {calls // 4}", _RTP_TIMEOUT + 15
    )
    hung_up_at = time.time()
    others = await _legs_at(stage, other.port)
    for leg in others:
        if leg["ended"] is None:
            url = f"{stage.service.url}/v1/calls/{leg['sid']}"
            await stage.http.post(url, json={"status": "completed"}, auth=stage.auth)
    await stage.until_rows(
        f"SELECT 1 FROM calls WHERE to_uri LIKE '%%:{other.port}' HAVING bool_and(end_time IS NOT NULL)", 40
    )
    others = await _legs_at(stage, other.port)
    silent = max(leg["ended"] - died_at for leg in others if leg["reason"] == "media-timeout")
    asked = max(leg["ended"] - hung_up_at for leg in others if leg["reason"] != "media-timeout")
    problems = [f"RTP timeout came after {silent:.1f} s"] if silent > _RTP_TIMEOUT + 2 else []
    problems += [f"hung up after {asked:.1f} s"] if asked > 33 else []
    problems += ["calls with the living callee were dropped"] if stage.callee.count("BYE") else []
    await stage.hang_up_rest(0)
    await stage.until(lambda: stage.callee.count("ended") >= calls // 2, 20, "the end")
    gap = _gap(stage)
    problems += [f"an RTP gap of {gap * 1000:.0f} ms at the living callee"] if gap >= 0.2 else []
    notes = [
        f"silent calls over after {silent:.1f} s, hung up ones after {asked:.1f} s",
        f"RTP gap {gap * 1000:.0f} ms",
    ]
    return Told(problems=problems, notes=notes)


async def _legs_at(stage: Stage, port: int) -> list[Entry]:
    return await stage.rows(
        "SELECT sid, reason, extract(epoch FROM end_time)::float8 AS ended FROM calls"
        f" WHERE parent_sid IS NOT NULL AND to_uri LIKE '%%:{port}'"
    )


def _gap(stage: Stage) -> float:
    return max(float(entry["gap"]) for entry in stage.callee.entries() if entry["what"] == "ended")


@fault("callee-floods", calls=12)
async def callee_floods(stage: Stage, calls: int) -> Told:
    """A callee that says 180 a thousand times a second to each of two calls: one event, the others undisturbed."""
    await place(stage, calls - 2, "media-r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls - 2, 20, "ACK")
    await stage.pause(1)
    async with Health(stage) as health:
        await place(stage, 2, "flood-r100")
        await stage.until(lambda: stage.callee.count("ACK") >= calls, 20, "the answer after the flood")
    await stage.pause(1)
    await stage.hang_up_rest(0)
    await stage.until(lambda: stage.callee.count("ended") >= calls, 20, "the end")
    rung = await stage.rows("SELECT count(*) AS n FROM call_event WHERE type = 'ringing'")
    problems = [] if rung[0]["n"] == calls else [f"{rung[0]['n']} ringing events for {calls} legs"]
    gap = _gap(stage)
    problems += [*health.problems(), *([f"an RTP gap of {gap * 1000:.0f} ms"] if gap >= 0.2 else [])]
    notes = [f"/healthz p99 {health.p99:.0f} ms", f"longest RTP gap {gap * 1000:.0f} ms"]
    return Told(problems=problems, notes=notes)
