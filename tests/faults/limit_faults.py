"""Runs the product for long and with too little: descriptors, ports, somebody who reads its log, name servers."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.api_faults import well_again
from tests.faults.load import Health, Steady, answers, at_once, place, statuses, wrong_answers
from tests.faults.processes import Sample, closed_by, samples, slope
from tests.faults.stage import Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told
from tests.kit.service import ROOT

_MIB_PER_MINUTE = 1.0
_NAME_SERVER = "127.9.9.9"  # nobody's
_RESOLV = f"nameserver {_NAME_SERVER}\\noptions timeout:5 attempts:2\\n"
_MOUNTS = f"file=$(mktemp) && printf '{_RESOLV}' >$file && mount --bind $file /etc/resolv.conf && rm $file"
_WITHOUT_DNS = ("unshare", "-m", "sh", "-c", f'{_MOUNTS} && exec "$@"', "sh")


@fault("soak", calls=600, long=True, full=(3000, 1))
async def soak(stage: Stage, calls: int) -> Told:
    """Five calls of 2 s a second, ten minutes in the full form: memory, descriptors, threads and tasks stay level."""
    await at_once(stage, 100, stage.request("r50-t500"))  # pools are filled, caches are warm
    async with Steady(stage, 5, "r50-t2000"):
        await stage.pause(20)
    before = await _at_rest(stage)
    kept: list[dict[str, Sample]] = []
    started = time.monotonic()
    async with Steady(stage, 5, "r50-t2000"):
        while time.monotonic() - started < calls / 5:
            await stage.pause(5)
            kept.append(await samples(stage))
    after = await _at_rest(stage)
    late = [one for one in kept if next(iter(one.values())).at - started > min(120, calls / 10)]
    problems, notes = wrong_answers(stage), [answers(stage)]
    for name in before:
        rise = slope([one[name] for one in late])
        problems += [f"{name}: RSS rises by {rise:.2f} MiB/min"] if rise >= _MIB_PER_MINUTE else []
        for what in ("descriptors", "threads", "tasks"):
            first, last = getattr(before[name], what), getattr(after[name], what)
            problems += [f"{name}: {what} went from {first} to {last}"] if abs(last - first) > 2 else []
        notes.append(f"{name} {rise:+.2f} MiB/min, at rest {before[name]} then {after[name]}")
    return Told(problems=problems, notes=notes)


async def _at_rest(stage: Stage) -> dict[str, Sample]:
    await stage.until_final(30)
    await stage.until_delivered(30)
    await stage.pause(25)  # kept-alive connections are closed
    return await samples(stage)


@fault("ports-20", calls=500, DIAL_RTP_PORTS="9500-9519", DIAL_MAX_WAIT="60")
async def ports_20(stage: Stage, calls: int) -> Told:
    """20 RTP ports and 500 calls of all fates: every call gets a port, none is bound afterwards."""
    kinds = ("r50-t300", "busy", "forever", "direct-t200", "silent")
    for start in range(0, calls, 10):
        for script in kinds:
            await place(stage, 2, script, timeout=1)
        if start % 100 == 0:
            await stage.until_final(30)
    await stage.until_final(90)
    odd = await stage.rows(
        "SELECT status, reason, count(*) AS n FROM calls WHERE parent_sid IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )
    notes = [answers(stage), ", ".join(f"{row['status']}/{row['reason']}×{row['n']}" for row in odd)]
    usual = {"callee-hangup", "busy", "timeout", "unreachable"}
    problems = [f"{row['n']} ended {row['status']}/{row['reason']}" for row in odd if row["reason"] not in usual]
    return Told(problems=[*problems, *wrong_answers(stage)], notes=notes)


@fault("descriptors-256", calls=300, plan=Plan(wrapper=("prlimit", "--nofile=256:256")), DIAL_MAX_WAIT="60")
async def descriptors(stage: Stage, calls: int) -> Told:
    """256 descriptors a process, 300 calls at once and 300 idle connections: refuses, recovers, nothing dies."""
    pids = [stage.pids(role) for role in ("api", "worker", "webhooks")]
    await place(stage, calls, "r50-t4000")
    host, port = "127.0.0.1", int(stage.settings["DIAL_HTTP_PORT"])
    idle = [socket.create_connection((host, port), timeout=5) for _ in range(300)]
    await stage.pause(5)
    for one in idle:
        one.close()
    started = time.monotonic()
    await well_again(stage)
    again = time.monotonic() - started
    async with Health(stage) as health:
        await place(stage, 20, "r50-t500")
    problems = ["a process died"] if pids != [stage.pids(role) for role in ("api", "worker", "webhooks")] else []
    problems += [*wrong_answers(stage, nobody=True), *health.problems()]
    await stage.until_final(90)
    ends = await stage.rows("SELECT status, reason, count(*) AS n FROM calls GROUP BY 1, 2 ORDER BY 1, 2")
    notes = [answers(stage), f"well again after {again:.1f} s", _listed(ends)]
    return Told(ordered=False, problems=problems, notes=notes)


def _listed(ends: list[dict[str, object]]) -> str:
    return ", ".join(f"{row['status']}/{row['reason']}×{row['n']}" for row in ends)


@fault("stdout-blocked", calls=40)
async def stdout_blocked(stage: Stage, calls: int) -> Told:
    """Nobody reads what the product says, at debug: calls and callbacks go on, /healthz answers at once."""
    if code := await stage.stop():
        return Told(problems=[f"exit status {code}"])
    with closed_by(_unread(stage)) as process:
        await well_again(stage)
        async with Steady(stage, 5, "r50-t300"), Health(stage) as health:
            await stage.pause(20)
            await place(stage, calls, "r50-t300")
        await stage.until_final(30)
        await stage.until_delivered(30)
        process.terminate()
        code = await asyncio.to_thread(process.wait, 30)
    await stage.start_again()
    problems = [*health.problems(), *wrong_answers(stage)]
    problems += [f"exit status {code} at SIGTERM"] if code else []
    return Told(problems=problems, notes=[answers(stage), f"/healthz p99 {health.p99:.0f} ms"])


def _unread(stage: Stage) -> "subprocess.Popen[bytes]":
    reading, writing = os.pipe()
    environment = {
        **os.environ, **stage.settings, "DIAL_DATA_DIR": str(stage.folder / "data"), "DIAL_LOG_LEVEL": "debug",
    }  # fmt: skip
    os.write(writing, b"x" * 60_000)  # nearly full: what a process says in the first seconds blocks it already
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "all"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=writing
    )
    os.close(writing)
    os.set_inheritable(reading, False)  # kept open, for a pipe without a reader is an error at once
    return process


@contextmanager
def _name_server() -> Iterator[socket.socket]:
    """Bound, and as silent as a name server that hangs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((_NAME_SERVER, 53))
        yield one


@fault("dns-hangs", calls=30, long=True, plan=Plan(wrapper=_WITHOUT_DNS))
async def dns_hangs(stage: Stage, calls: int) -> Told:
    """A name server that hangs, then one that is not there: names fail clearly, everybody else is served as ever."""
    problems: list[str] = []
    notes: list[str] = []
    with _name_server():
        problems += await _names(stage, calls, notes)
    problems += await _names(stage, calls, notes)
    problems += await statuses(stage, named="failed", r50="completed")
    return Told(never=("named",), ordered=False, problems=problems, notes=[answers(stage), *notes])


async def _names(stage: Stage, calls: int, notes: list[str]) -> list[str]:
    async with Health(stage) as health:
        for number in range(calls):
            by_name = stage.request("named")
            by_name["sip"][0]["uri"] = f"sip:named@host-{number}.example.test"
            by_callback = stage.request("r50-t200")
            by_callback["statusCallback"] = f"http://host-{number}.example.test/named"
            await asyncio.gather(*(stage.dial(one) for one in (by_name, by_callback, stage.request("r50-t200"))))
        await stage.until_final(90)
    late = await stage.rows(
        "SELECT count(*) AS n FROM calls c WHERE to_uri LIKE 'sip:r50%%' AND parent_sid IS NOT NULL"
        " AND (reason <> 'callee-hangup' OR start_time - created_at > interval '2 seconds')"
    )
    notes.append(f"/healthz p99 {health.p99:.0f} ms")
    problems = [*health.problems(), *wrong_answers(stage)]
    return problems + ([f"{late[0]['n']} calls to addresses were late or lost"] if late[0]["n"] else [])
