"""Kills or stops the product as a whole, and starts it where it cannot run."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.load import answers, place, placed, surely
from tests.faults.stage import LOOPBACK, Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told
from tests.kit.ports import free_port, free_ports
from tests.kit.service import ROOT


async def mixed(stage: Stage, calls: int) -> None:
    """Calls in all states: silent, ringing, talking, about to answer."""
    for script in ("silent", "forever", "r50", "r3000"):
        await placed(stage, calls // 4, script)
    await stage.until(lambda: stage.callee.count("ACK") >= calls // 4, 60, "ACK")


async def _killed_whole(stage: Stage, calls: int) -> Told:
    await mixed(stage, calls)
    stage.kill_supervisor()
    await asyncio.sleep(1)
    started_at = time.time()
    await stage.start_again()
    return Told(started_at)


@fault("supervisor-killed", calls=20)
async def supervisor_killed(stage: Stage, calls: int) -> Told:
    """Supervisor killed with -9, everything with it; within 15 s of the next start nothing is left up."""
    return await _killed_whole(stage, calls)


@fault("supervisor-killed-embedded", calls=20, DIAL_DATABASE_URL="")
async def supervisor_killed_embedded(stage: Stage, calls: int) -> Told:
    """The same with the embedded PostgreSQL, which goes with the supervisor."""
    return await _killed_whole(stage, calls)


_LIVE = 50


@fault("sigterm", calls=100, full=(1050, 1), DIAL_MAX_CALLS=f"{_LIVE}", DIAL_MAX_WAIT="600")
async def sigterm(stage: Stage, calls: int) -> Told:
    """SIGTERM with 50 live calls and waiting dials: no new claim, hung up after the grace, exit 0, nothing lost."""
    problems = []
    await place(stage, _LIVE // 2, "r50")
    await place(stage, _LIVE // 2, "forever", timeout=120)
    await place(stage, calls - _LIVE, "r50-t200")
    await stage.until(lambda: stage.callee.count("180") >= _LIVE, 20, "180")
    stage.service.process.send_signal(signal.SIGTERM)
    asked = time.time()
    await asyncio.sleep(1)
    if (ready := await stage.status("/readyz")) == 200:
        problems.append(f"readyz {ready} one second after SIGTERM")
    code = await asyncio.to_thread(stage.service.process.wait, 60)
    took = time.time() - asked
    problems += [f"exit status {code}"] if code else []
    late = [one for one in stage.callee.entries() if one["what"] == "INVITE" and one["at"] > asked + 0.5]
    problems += [f"{len(late)} new INVITEs after SIGTERM"] if late else []
    invited = {one["call"] for one in stage.callee.entries() if one["what"] == "INVITE"}
    ended = {one["call"] for one in stage.callee.entries() if one["what"] == "ended"}
    problems += [f"{len(invited - ended)} dialogs left up at exit"] if invited - ended else []
    waiting = await stage.rows("SELECT count(*) AS n FROM calls WHERE run_at IS NOT NULL")
    if waiting[0]["n"] != calls - _LIVE:
        problems.append(f"{waiting[0]['n']} dials wait, {calls - _LIVE} should")
    await stage.start_again()
    return Told(
        problems=problems, notes=[f"exit after {took:.1f} s, {waiting[0]['n']} dials waited for the next start"]
    )


_LATECOMERS = 10
_LATE_WITHIN = 5.0  # seconds that they may wait, however many of the other account wait before them
_RINGS = "r6000-t50"  # 120 places take 20 of these a second, which is less than the API takes


class Crowding:
    """Counts what waits, and lets another account place ten dials once enough of the first one's do."""

    def __init__(self, stage: Stage, enough: int) -> None:
        self._stage = stage
        self._enough = enough
        self.peak = 0
        self.before = 0  # so many waited when the ten came
        self.late: list[str] = []

    async def watch(self, other: tuple[str, str]) -> None:
        while True:
            rows = await self._stage.rows("SELECT count(*) AS n FROM calls WHERE run_at IS NOT NULL")
            waiting = int(rows[0]["n"])
            self.peak = max(self.peak, waiting)
            if waiting >= self._enough and not self.late:
                self.before = waiting
                one = self._stage.request(_RINGS)
                sids = await asyncio.gather(*(surely(self._stage, one, 60, auth=other) for _ in range(_LATECOMERS)))
                self.late = [sid for sid in sids if sid]
            await self._stage.pause(0.5)


@fault("waiting-10000", calls=10_000, plan=Plan(workers=10), long=True, DIAL_MAX_WAIT="600", DIAL_MAX_CALLS="12")
async def waiting(stage: Stage, calls: int) -> Told:
    """10,000 dials wait for the 120 places of ten workers, and ten of another account: once each, in turn."""
    clients = 40
    each = calls // clients
    other = await asyncio.to_thread(_another_account, stage)
    crowding = Crowding(stage, calls * 3 // 10)

    async def client() -> None:
        for _ in range(each):
            await surely(stage, stage.request(_RINGS), 300)

    watching = asyncio.create_task(crowding.watch(other))
    await asyncio.gather(*(client() for _ in range(clients)))
    await stage.until_final(900)
    watching.cancel()
    await stage.until_delivered(900)  # 60,000, to one receiver
    wanted = each * clients + _LATECOMERS
    problems = [] if len(stage.placed) == wanted else [f"{len(stage.placed)} of {wanted} were taken"]
    if len(crowding.late) < _LATECOMERS:
        problems.append(f"no more than {crowding.peak} waited at once")
    late = await stage.rows(
        "SELECT count(*) AS n FROM (SELECT start_time, max(start_time) OVER (PARTITION BY account_sid ORDER BY"
        " placed_no) AS before FROM calls WHERE parent_sid IS NULL) c WHERE before - start_time > interval '2 seconds'"
    )
    if late[0]["n"]:
        problems.append(f"{late[0]['n']} dials started more than 2 s after one of their account that came later")
    twice = await stage.rows("SELECT count(*) AS n FROM calls WHERE parent_sid IS NULL AND epoch <> 1")
    problems += [f"{twice[0]['n']} dials were claimed more than once"] if twice[0]["n"] else []
    first, second = await _waited(stage, stage.auth[0]), await _waited(stage, other[0])
    if second > _LATE_WITHIN:
        problems.append(f"the ten of the other account waited for up to {second:.1f} s")
    notes = [
        answers(stage), f"{crowding.peak} waited at the peak, for up to {first:.0f} s",
        f"ten of another account, placed when {crowding.before} waited, for up to {second:.1f} s",
    ]  # fmt: skip
    return Told(ordered=False, problems=problems, notes=notes)


async def _waited(stage: Stage, account: str) -> float:
    """The longest, in seconds."""
    rows = await stage.rows(
        "SELECT max(extract(epoch FROM start_time - created_at))::float8 AS s FROM calls"
        " WHERE parent_sid IS NULL AND account_sid = %s",
        account,
    )
    return float(rows[0]["s"] or 0.0)


def _another_account(stage: Stage) -> tuple[str, str]:
    """Its sid and token."""
    key = (stage.folder / "data" / "secret.key").read_text().strip()
    environment = {**os.environ, "DIAL_DATABASE_URL": stage.database_url, "DIAL_SECRET_KEY": key}
    command = [sys.executable, "-m", "app", "account", "create"]
    made = json.loads(subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout)
    return made["sid"], made["token"]


@fault("no-worker", calls=10)
async def no_worker(stage: Stage, calls: int) -> Told:
    """Workers frozen for 14 s: what they were promised ends no-capacity, new requests get 503."""
    stage.kill("worker", signal.SIGSTOP)
    await place(stage, calls, "r50-t200")
    promised = len(stage.placed)
    await asyncio.sleep(12)
    ended = await stage.rows("SELECT count(*) AS n FROM calls WHERE reason = 'no-capacity' AND parent_sid IS NULL")
    problems = (
        [] if ended[0]["n"] == promised else [f"{ended[0]['n']} of {promised} ended no-capacity without a worker"]
    )
    if await stage.dial(stage.request("r50-t200")) is not None:
        problems.append("a request was taken although no worker is alive")
    stage.kill("worker", signal.SIGCONT)
    return Told(problems=problems)


@fault("bad-starts")
async def bad_starts(stage: Stage, calls: int) -> Told:
    """SIP port taken, database absent, migration missing: a clear error, or waits as not ready."""
    problems = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        code, said = await asyncio.to_thread(_run, stage, "worker", {"DIAL_SIP_PORT": str(port)}, 30)
        if code in (0, None) or str(port) not in said or "Traceback" in said:
            problems.append(f"SIP port taken: exit {code}, said {said[-300:]!r}")
    absent = {"DIAL_DATABASE_URL": f"postgresql://dial:x@127.0.0.1:{free_port()}/dial"}
    missing = {"DIAL_DATABASE_URL": stage.server.fresh("template0")}
    for what, database in (("database absent", absent), ("migration missing", missing)):
        problems += await _waits(stage, what, database)
    code, said = await asyncio.to_thread(_run, stage, "migrate", absent, 60)
    if code in (0, None) or "Traceback" in said:
        problems.append(f"migrate without a database: exit {code}, said {said[-300:]!r}")
    return Told(problems=problems)


async def _waits(stage: Stage, what: str, database: dict[str, str]) -> list[str]:
    """API: alive and not ready. Worker and webhooks: wait, and end with 0 at SIGTERM."""
    problems = []
    http = free_port()
    for role in ("api", "worker", "webhooks"):
        environment = {**database, "DIAL_HTTP_PORT": str(http), "DIAL_SIP_PORT": str(free_port())}
        process = _start(stage, role, environment)
        try:
            await asyncio.sleep(4)
            if process.poll() is not None:
                said = process.stdout.read() if process.stdout else ""
                problems.append(f"{what}: {role} ended with {process.returncode}: {said[-300:]!r}")
            elif role == "api":
                answers = [
                    (await stage.http.get(f"http://127.0.0.1:{http}{path}")).status_code
                    for path in ("/healthz", "/readyz")
                ]
                problems += [f"{what}: healthz, readyz are {answers}"] if answers != [200, 503] else []
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                code = await asyncio.to_thread(_ended, process)
                # Nothing runs yet: to die of the signal itself is as good as an orderly end.
                problems += [f"{what}: {role} ended with {code} at SIGTERM"] if code not in (0, -signal.SIGTERM) else []
    return problems


@contextmanager
def beside(stage: Stage, role: str, **settings: str) -> Iterator["subprocess.Popen[str]"]:
    """One more process of a role, on the same database, that the supervisor knows nothing of."""
    key = (stage.folder / "data" / "secret.key").read_text().strip()
    port, media = free_port(), free_ports(400)
    environment = {
        "DIAL_DATABASE_URL": stage.database_url, "DIAL_SECRET_KEY": key, "DIAL_SIP_PORT": str(port),
        "DIAL_RTP_PORTS": f"{media[0]}-{media[-1]}", **settings,
    }  # fmt: skip
    process = _start(stage, role, environment)
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reading.start()
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _ended(process)
        reading.join(5)
        stage.said_before += lines


def _ended(process: "subprocess.Popen[str]") -> int:
    try:
        return process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _start(stage: Stage, role: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "app", role],
        cwd=ROOT,
        env={
            **os.environ, **stage.settings, "DIAL_DATA_DIR": str(stage.folder / "data"), "DIAL_SECRET_KEY": "a key",
            "DIAL_HTTP_ALLOW": LOOPBACK, **environment,
        },
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _run(stage: Stage, role: str, environment: dict[str, str], seconds: float) -> tuple[int | None, str]:
    """Exit status and all it said; None when it had not ended by then."""
    process = _start(stage, role, environment)
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return None, process.communicate()[0]
    return process.returncode, said
