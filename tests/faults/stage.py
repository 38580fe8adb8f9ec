"""What a fault happens on: the real product, a real PostgreSQL, a callee and a customer's application, all processes.

Starts, stops and kills them by their process ids; knows no invariant.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from app.store import migrate
from app.store.embedded import DATABASE, EmbeddedPostgres
from tests.kit.ports import free_port, free_ports
from tests.kit.service import FINAL, ROOT, Service, running_service

LOOPBACK = "127.0.0.0/8,::1/128"
RETRIES = "0.5,1,1,2,2,5,5,5,5,5,5,5"  # seconds: a failed attempt must not make a fault last an hour

Entry = dict[str, Any]


@dataclass(slots=True)
class Peer:
    """A child process that logs JSON lines: callee, customer's application, or what stands before the database."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def order(self, **what: object) -> None:
        """Replace what it was told before; returns once it has heard."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("it has no ears")
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def entries(self) -> list[Entry]:
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def count(self, what: str) -> int:
        return sum(entry["what"] == what for entry in self.entries())


@contextmanager
def peer(module: str, log: Path, *arguments: str) -> Iterator[Peer]:
    command = [sys.executable, "-m", module, str(log), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.strip():
            raise RuntimeError(f"{module} did not start")
        yield Peer(process, int(line), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)


class Server:
    """One PostgreSQL for a whole run of the suite; from the main thread. Durable: what it loses in a kill is lost.

    Not `synced`, it is so against kills of processes only: a disk that is busy with other things (syncing all files in
    crash recovery took 10 s) does not hold it up.
    """

    def __init__(self, folder: Path, *, synced: bool = True) -> None:
        self._embedded = EmbeddedPostgres(folder / "postgres")
        self._synced = synced
        self.url = ""

    def start(self) -> None:
        """Also after `kill`; the address stays the same."""
        url = self._embedded.start()
        if not self.url:
            self.url = url
            with psycopg.connect(url, autocommit=True) as connection:
                if not self._synced:
                    connection.execute("ALTER SYSTEM SET fsync = off")
                    connection.execute("SELECT pg_reload_conf()")
                connection.execute("CREATE DATABASE migrated")
            migrate.upgrade(self._named("migrated"))

    def kill(self) -> None:
        """As ``pg_ctl stop -m immediate``: every backend quits, nothing is written."""
        pid = self._embedded.pid
        if pid is not None:
            os.kill(pid, signal.SIGQUIT)
            while self._embedded.running:
                time.sleep(0.01)  # its owner waits for it, not we

    def close(self) -> None:
        home = self._embedded.home
        self._embedded.stop()
        shutil.rmtree(home, ignore_errors=True)

    def fresh(self, template: str = "migrated") -> str:
        """The URL of a new database."""
        name = f"fault_{secrets.token_hex(4)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self._named(name)

    def _named(self, name: str) -> str:
        return f"{self.url.rpartition('/')[0]}/{name}"


def embedded_url(data_dir: Path) -> str:
    """The address of the product's own PostgreSQL."""
    home = EmbeddedPostgres(data_dir).home
    password, port = ((home / name).read_text().strip() for name in ("password", "port"))
    return f"postgresql://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}"


@dataclass(slots=True)
class Stage:
    """Everything a fault needs."""

    server: Server
    database_url: str
    callee: Peer
    receiver: Peer
    folder: Path
    settings: dict[str, str]
    service: Service
    placed: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the sid that a 202 promised
    refused: list[int] = field(default_factory=list)  # statuses of requests that were not taken
    latencies: list[tuple[int, float]] = field(default_factory=list)  # status (0: no answer) and seconds
    unanswered: list[str] = field(default_factory=list)  # why there was no answer
    never_again: int = 0  # 503s that did not say when to come again
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    said_before: list[str] = field(default_factory=list)  # by products that were killed
    times: int = 1  # how often the fault is to be injected
    between: Peer | None = None  # what stands before the database, if this fault wants it
    wrapper: Sequence[str] = ()  # the command that starts the product in a place of its own
    _products: ExitStack = field(default_factory=ExitStack)

    def target(self, script: str) -> str:
        return f"sip:{script}@127.0.0.1:{self.callee.port}"

    def request(self, *scripts: str, path: str = "ok", **dial: Any) -> dict[str, Any]:
        """A dial request as JSON: one leg per script, each with its callback, and one for the parent."""
        url = f"http://127.0.0.1:{self.receiver.port}/{path}"
        legs = [{"uri": self.target(script), "statusCallback": url} for script in scripts]
        return {"sip": legs, "statusCallback": url, "timeout": 25, **dial}

    async def dial(
        self, request: dict[str, Any], key: str | None = None, auth: tuple[str, str] | None = None
    ) -> str | None:
        """Place it; the sid of the 202, None when it was refused or nobody answered."""
        headers = {"Idempotency-Key": key} if key else {}
        url, auth = f"{self.service.url}/v1/dials", auth or self.auth
        started = time.monotonic()
        try:
            answer = await self.http.post(url, json=request, headers=headers, auth=auth)
        except httpx.TransportError as error:
            self.latencies.append((0, time.monotonic() - started))
            self.unanswered.append(type(error).__name__)
            return None
        self.latencies.append((answer.status_code, time.monotonic() - started))
        if answer.status_code != 202:
            self.refused.append(answer.status_code)
            self.never_again += answer.status_code == 503 and not answer.headers.get("Retry-After", "").isdigit()
            return None
        call = answer.json()
        self.placed[call["sid"]] = call
        return str(call["sid"])

    @property
    def auth(self) -> tuple[str, str]:
        return self.service.account_sid, self.service.auth_token

    def open(self, module: str, log: str, *arguments: str) -> Peer:
        """Another child of this stage, ended with it."""
        return self._products.enter_context(peer(module, self.folder / log, *arguments))

    async def status(self, path: str) -> int:
        """The HTTP status of a GET; 0 when nobody answered within 5 s."""
        try:
            return (await self.http.get(f"{self.service.url}{path}", timeout=5)).status_code
        except httpx.TransportError:
            return 0

    async def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        async with await psycopg.AsyncConnection.connect(
            self.database_url, row_factory=dict_row, autocommit=True, connect_timeout=5
        ) as connection:
            return list(await (await connection.execute(sql, parameters or None)).fetchall())

    async def run(self, sql: str) -> None:
        async with await psycopg.AsyncConnection.connect(self.database_url, autocommit=True) as connection:
            await connection.execute(sql)

    async def until(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something that is only to be seen in a log file or in /proc."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"{what} did not happen within {seconds} s")
            await asyncio.sleep(0.02)

    async def until_heard(self, what: str, count: int, seconds: float) -> None:
        """Until the callee has logged `what` so often."""
        await self.until(lambda: self.callee.count(what) >= count, seconds, f"{what} ×{count}")

    async def until_rows(self, sql: str, seconds: float) -> list[dict[str, Any]]:
        """Wait until a query has rows."""
        end = time.monotonic() + seconds
        while not (rows := await self.rows(sql)):
            if time.monotonic() > end:
                raise TimeoutError(f"no rows within {seconds} s: {sql}")
            await asyncio.sleep(0.02)
        return rows

    async def until_final(self, seconds: float) -> None:
        """Until every call that was promised has ended; returns all the same when `seconds` are over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                open_calls = await self.rows("SELECT count(*) AS n FROM calls WHERE end_time IS NULL")
                if open_calls[0]["n"] == 0:
                    return
            except psycopg.Error:
                pass
            await asyncio.sleep(0.1)

    async def until_delivered(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and (await self.rows("SELECT count(*) AS n FROM webhook_outbox"))[0]["n"]:
            await asyncio.sleep(0.1)

    def pids(self, role: str) -> list[int]:
        return sorted(self.service.pids(role))

    def worker_on(self, sip_port: int) -> int | None:
        """The worker process bound to that port."""
        wanted = f"DIAL_SIP_PORT={sip_port}".encode()
        for pid in self.pids("worker"):
            if wanted in (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0"):
                return pid
        return None

    async def held_by(self, pid: int) -> list[str]:
        """The calls that a worker process has claimed."""
        environ = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
        port = next(int(one[14:]) for one in environ if one.startswith(b"DIAL_SIP_PORT="))
        rows = await self.rows(
            "SELECT c.sid FROM calls c JOIN worker w ON w.id = c.worker_id WHERE w.sip_port = %s AND NOT w.taken", port
        )
        return [row["sid"] for row in rows]

    def family(self, sids: Iterable[str], at: float) -> dict[str, float]:
        """These calls and their legs, with a time."""
        placed = [self.placed[sid] for sid in sids]
        return {sid: at for call in placed for sid in (call["sid"], *(leg["sid"] for leg in call["legs"]))}

    async def pause(self, seconds: float) -> None:
        """Let time pass, where the fault is that time passes."""
        await asyncio.sleep(seconds)

    async def hang_up_rest(self, lost_since: float) -> None:
        """Over the API, once everything that was lost after `lost_since` has been rescued."""
        if lost_since:
            await self.pause(15 - (time.time() - lost_since))
        for row in await self.rows("SELECT sid FROM calls WHERE end_time IS NULL AND parent_sid IS NULL"):
            await self.http.post(
                f"{self.service.url}/v1/calls/{row['sid']}", json={"status": "completed"}, auth=self.auth
            )

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> float:
        """Send a signal to every process of a role; when it was sent (wall clock)."""
        for pid in self.pids(role):
            os.kill(pid, number)
        return time.time()

    def kill_supervisor(self) -> float:
        self.service.process.kill()
        self.service.process.wait()
        return time.time()

    async def start_again(self) -> None:
        """The product anew, on the same ports and the same data."""
        self.said_before += self.service.lines
        self.service = await asyncio.to_thread(
            self._products.enter_context,
            running_service(self.folder / "data", wrapper=self.wrapper, **self.settings),
        )

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.service.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.service.process.wait, 90)


def _forget_embedded(data_dir: Path) -> None:
    """As root it does not lie in the data directory."""
    shutil.rmtree(EmbeddedPostgres(data_dir).home, ignore_errors=True)


@asynccontextmanager
async def stage(server: Server, folder: Path, plan: "Plan", **settings: str) -> AsyncIterator[Stage]:
    """Curtain up: everything started and ready, with an empty database; everything stopped at the end.

    With DIAL_DATABASE_URL="" the product's own embedded database is used, else a new one on `server`.
    """
    folder.mkdir(parents=True)
    url = settings.get("DIAL_DATABASE_URL", server.fresh(plan.template))
    with ExitStack() as products:
        if not url:
            products.callback(_forget_embedded, folder / "data")
        products.enter_context(plan.around(folder))
        callee = products.enter_context(peer("tests.faults.callee", folder / "callee.log"))
        receiver = products.enter_context(peer("tests.faults.customer_app", folder / "receiver.log"))
        between, seen = None, url
        if plan.between:
            where = conninfo_to_dict(url)
            place = (str(where["host"]), str(where["port"]))
            between = products.enter_context(peer("tests.faults.between", folder / "between.log", *place))
            seen = url.replace(f":{place[1]}/", f":{between.port}/")
        environment = _environment(seen, plan.workers) | settings
        service = await asyncio.to_thread(
            products.enter_context, running_service(folder / "data", wrapper=plan.wrapper, **environment)
        )
        url = url or embedded_url(folder / "data")
        async with httpx.AsyncClient(timeout=10, limits=httpx.Limits(max_connections=400)) as http:
            yield Stage(
                server, url, callee, receiver, folder, environment, service,
                http=http, times=plan.times, between=between, wrapper=plan.wrapper, _products=products,
            )  # fmt: skip


@contextmanager
def _nothing(folder: Path) -> Iterator[None]:
    yield


@dataclass(frozen=True, slots=True)
class Plan:
    """What the stage of a fault must have."""

    workers: int = 1
    between: bool = False
    times: int = 1
    wrapper: tuple[str, ...] = ()  # the command that starts the product in a place of its own
    template: str = "migrated"  # of its database
    around: Callable[[Path], AbstractContextManager[None]] = _nothing  # what must be there before it starts


def _environment(url: str, workers: int) -> dict[str, str]:
    media = free_ports(400 * min(workers, 3))
    return {
        "DIAL_DATABASE_URL": url,
        "DIAL_HTTP_PORT": str(free_port()),
        "DIAL_SIP_PORT": str(free_port()),
        "DIAL_RTP_PORTS": f"{media[0]}-{media[-1]}",
        "DIAL_HTTP_ALLOW": LOOPBACK,
        "DIAL_SIP_ALLOW": LOOPBACK,
        "DIAL_WORKERS": str(workers),
        "DIAL_WEBHOOK_RETRIES": RETRIES,
        "DIAL_DRAIN_SECONDS": "5",
    }


__all__ = ["FINAL", "Entry", "Peer", "Plan", "Server", "Stage", "peer", "stage"]
