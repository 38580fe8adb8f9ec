"""Kills the worker under calls that came in or are being screened, and gives numbers documents nobody can use."""

import asyncio
import itertools
import time
from collections.abc import Iterable
from urllib.parse import urlencode

from tests.faults.load import Health, Steady, answers, place, surely, wrong_answers
from tests.faults.processes import samples
from tests.faults.stage import Entry, Peer, Stage
from tests.faults.suite import fault
from tests.faults.verdict import WITHIN, Told

_FULL = (6, 20)  # calls a kill, kills
_FETCH = 15.0  # seconds that a document may take, redirects included
_SLACK = 3.0
_MEMORY = 20.0  # MiB that the worker may grow by meanwhile
_USELESS = ("hang", "drip", "loop", "endless", "bomb", "500")


class Inbound:
    """A caller, and the numbers that it can dial."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._base = f"http://127.0.0.1:{stage.receiver.port}"
        self.caller: Peer = stage.open("tests.faults.caller", "caller.log")

    def url(self, document: str, **query: str) -> str:
        return f"{self._base}/document/{document}" + (f"?{urlencode(query)}" if query else "")

    def rings(self, script: str, **query: str) -> str:
        """A document that dials the callee."""
        return self.url("dial", to=self._stage.target(script), callback=f"{self._base}/ok", **query)

    async def number(self, name: str, url: str, fallback: str | None = None) -> None:
        form = {"number": name, "url": url, "statusCallback": f"{self._base}/ok"}
        if fallback is not None:
            form["fallbackUrl"] = fallback
        stage = self._stage
        answer = await stage.http.post(f"{stage.service.url}/v1/numbers", json=form, auth=stage.auth)
        if answer.status_code != 201:
            raise RuntimeError(f"number {name}: {answer.status_code} {answer.text}")

    async def until_known(self) -> None:
        """Until the worker has read the numbers: it reads all of them at once."""
        await self.number("probe", self.url("500"))
        for tries in range(1, 60):
            self.call(["probe"])
            await self._stage.until(lambda: self.caller.count("ended") >= tries, 20, "an answer to the caller")  # noqa: B023
            if self.caller.entries()[-1]["how"] != "404":
                return
            await self._stage.pause(0.3)
        raise TimeoutError("the worker did not get to know the numbers")

    def call(self, numbers: list[str]) -> None:
        self.caller.order(port=int(self._stage.settings["DIAL_SIP_PORT"]), numbers=numbers)

    def entries(self, what: str, numbers: Iterable[str]) -> list[Entry]:
        wanted = set(numbers)
        return [one for one in self.caller.entries() if one["what"] == what and one["number"] in wanted]

    async def until_heard(self, what: str, numbers: Iterable[str], count: int, seconds: float) -> None:
        wanted = list(numbers)
        await self._stage.until(lambda: len(self.entries(what, wanted)) >= count, seconds, f"{what} ×{count}")


async def _kill(stage: Stage) -> dict[str, float]:
    """The worker; the calls that were up, with the time."""
    rows = await stage.rows("SELECT sid FROM calls WHERE end_time IS NULL")
    return dict.fromkeys((row["sid"] for row in rows), stage.kill("worker"))


def _refused(inbound: Inbound, number: str, count: int, killed_at: float) -> list[str]:
    """How the newest `count` callers of a number were told that it is over."""
    ends = inbound.entries("ended", [number])[-count:]
    wrong = [one for one in ends if not one["how"].isdigit() or int(one["how"]) < 400]
    late = [one["at"] - killed_at for one in ends if one["at"] - killed_at > WITHIN]
    problems = [f"a caller ended with {one['how']}" for one in wrong]
    return problems + ([f"a caller heard of it {max(late):.1f} s after the kill"] if late else [])


@fault("worker-inbound-rings", calls=6, full=_FULL, DIAL_MAX_WAIT="30")
async def inbound_rings(stage: Stage, calls: int) -> Told:
    """Worker killed while inbound calls ring through: their callers get a refusal, their callees a CANCEL."""
    inbound = Inbound(stage)
    await inbound.number("rings", inbound.rings("forever"))
    await inbound.until_known()
    killed: dict[str, float] = {}
    problems: list[str] = []
    for kill in range(1, stage.times + 1):
        inbound.call(["rings"] * calls)
        await inbound.until_heard("180", ["rings"], kill * calls, 30)
        killed |= await _kill(stage)
        await stage.until_final(30)
        await inbound.until_heard("ended", ["rings"], kill * calls, 40)
        problems += _refused(inbound, "rings", calls, max(killed.values()))
    return Told(killed=killed, problems=problems, notes=[f"{stage.times} kills", *await _ends(stage)])


@fault("worker-screening", calls=6, full=_FULL, DIAL_MAX_WAIT="30")
async def screening(stage: Stage, calls: int) -> Told:
    """Worker killed while callees that answered are screened; half of the callers were called, half came in."""
    inbound = Inbound(stage)
    half = calls // 2
    await inbound.number("screens", inbound.rings("r50", screen=inbound.url("pause")))
    await inbound.until_known()
    outbound = stage.request("r50", caller=stage.target("r20"))
    outbound["sip"][0]["url"] = inbound.url("pause")
    killed: dict[str, float] = {}
    problems: list[str] = []
    for kill in range(1, stage.times + 1):
        inbound.call(["screens"] * half)
        await asyncio.gather(*(surely(stage, outbound) for _ in range(calls - half)))
        await stage.until_rows(
            "SELECT 1 FROM calls WHERE screening = 'running' AND end_time IS NULL"
            f" HAVING count(*) = {calls}", 30,
        )  # fmt: skip
        killed |= await _kill(stage)
        await stage.until_final(30)
        await inbound.until_heard("ended", ["screens"], kill * half, 40)
        problems += _refused(inbound, "screens", half, max(killed.values()))
    runs = await stage.rows("SELECT 1 FROM calls WHERE screening = 'running'")
    problems += [f"{len(runs)} calls that ended are said to be screened still"] if runs else []
    return Told(killed=killed, problems=problems, notes=[f"{stage.times} kills", *await _ends(stage)])


async def _ends(stage: Stage) -> list[str]:
    rows = await stage.rows(
        "SELECT direction, status, reason, count(*) AS n FROM calls GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [", ".join(f"{row['direction']} {row['status']}/{row['reason']}×{row['n']}" for row in rows)]


@fault("documents-hostile", calls=3, full=(10, 1), DIAL_INBOUND_RATE="1000")
async def documents(stage: Stage, calls: int) -> Told:
    """Document servers that hang, drip, redirect for ever, send a GiB or a bomb, or 500: fallback or error, in time."""
    inbound = Inbound(stage)
    for kind in _USELESS:
        await inbound.number(f"{kind}-alone", inbound.url(kind))
        await inbound.number(f"{kind}-saved", inbound.url(kind), inbound.rings("r50-t500"))
    await inbound.number("good", inbound.rings("r50-t500"))
    await inbound.until_known()
    alone, saved = [f"{kind}-alone" for kind in _USELESS], [f"{kind}-saved" for kind in _USELESS]
    count = calls * len(_USELESS)
    live = await place(stage, 5, "media-r50")
    inbound.call(["good"] * 10)
    await inbound.until_heard("ended", ["good"], 10, 30)  # all that is made once is there
    before = (await samples(stage))["worker"].mebibytes
    peak = before
    async with Steady(stage, 2, "r50-t300"), Health(stage) as health:
        end = time.monotonic() + calls + _FETCH
        for second in itertools.count():
            if second < calls:
                inbound.call(alone + saved)
                actions = (stage.request("r50-t200", action=inbound.url(kind)) for kind in _USELESS)
                await asyncio.gather(*(surely(stage, one) for one in actions))
            inbound.call(["good"])
            peak = max(peak, (await samples(stage))["worker"].mebibytes)
            await stage.pause(1)
            if time.monotonic() > end:
                break
    await inbound.until_heard("ended", alone + saved, 2 * count, 30)
    await stage.until_rows(
        f"SELECT 1 FROM calls WHERE end_time IS NULL AND parent_sid IS NULL HAVING count(*) <= {len(live)}", 30
    )
    await stage.hang_up_rest(0)
    await stage.until_final(30)
    problems = [*health.problems(), *wrong_answers(stage), *_as_promised(inbound, alone, saved)]
    problems += await _parents(stage)
    problems += [f"the worker grew by {peak - before:.0f} MiB"] if peak - before > _MEMORY else []
    gap = max(entry["gap"] for entry in stage.callee.entries() if entry["what"] == "ended")
    problems += [f"an RTP gap of {gap * 1000:.0f} ms"] if gap >= 0.2 else []
    notes = [
        answers(stage), f"good numbers answered after {max(_waited(inbound, '200', ['good'])):.1f} s at most",
        f"refused after {max(_waited(inbound, 'ended', alone)):.1f} s at most", f"/healthz p99 {health.p99:.0f} ms",
        f"longest RTP gap {gap * 1000:.0f} ms, the worker +{peak - before:.1f} MiB",
    ]  # fmt: skip
    return Told(problems=problems, notes=notes)


def _waited(inbound: Inbound, what: str, numbers: Iterable[str]) -> list[float]:
    """Seconds from each INVITE to the first such entry of its call."""
    invited = {one["call"]: one["at"] for one in inbound.entries("INVITE", numbers)}
    first: dict[str, float] = {}
    for one in inbound.entries(what, numbers):
        first.setdefault(one["call"], one["at"] - invited[one["call"]])
    return list(first.values()) or [0.0]


def _as_promised(inbound: Inbound, alone: list[str], saved: list[str]) -> list[str]:
    """What the callers heard: a refusal without a fallback, the callee with one, and nobody waited for too long."""
    odd = [one for one in inbound.entries("ended", alone) if not one["how"].isdigit()]
    odd += [one for one in inbound.entries("ended", [*saved, "good"]) if one["how"] != "BYE"]
    problems = [f"{one['number']} ended with {one['how']}" for one in odd]
    for what, numbers, most in (
        ("ended", alone, _FETCH + _SLACK), ("200", saved, _FETCH + _SLACK), ("200", ["good"], _SLACK),
    ):  # fmt: skip
        slowest = max(_waited(inbound, what, numbers))
        problems += [f"{what} of {set(numbers)} after {slowest:.1f} s"] if slowest > most else []
    return problems


async def _parents(stage: Stage) -> list[str]:
    """Records that are not as the contract has them: by the user part that was dialled, or by their action."""
    rows = await stage.rows(
        "SELECT p.sid, substring(p.to_uri FROM 'sip:([^@]+)') AS number, p.direction, p.status, p.reason,"
        " (SELECT min(l.status) FROM calls l WHERE l.parent_sid = p.sid) AS leg FROM calls p WHERE p.parent_sid IS NULL"
    )
    problems = []
    for row in rows:
        name = row["number"]
        if name.endswith("-alone") or name == "probe":
            right = (row["status"], row["reason"], row["leg"]) == ("failed", "document-error", None)
        elif name == "r50-t200":  # its action is a document that nobody can use
            right = (row["reason"], row["leg"]) == ("document-error", "completed")
        else:
            right = row["status"] == row["leg"] == "completed"
        problems += [] if right else [f"{name} is {row['status']}/{row['reason']}, its leg {row['leg']}"]
    return problems
