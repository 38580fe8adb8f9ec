"""The role `all`: an embedded database, the migrations, the first account, then the role processes, kept alive.

Each role is a process of its own with its role in its command line; this one runs no call and serves no request.
"""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.calls.errors import DialError
from app.runtime import log
from app.runtime.settings import Settings
from app.runtime.supervised import PREDECESSOR, READY_FD
from app.store.embedded import EmbeddedPostgres
from app.store.standing import is_set_up

_LOOPBACK = "127.0.0.0/8,::1/128"
_READY_WITHIN = 60.0  # seconds
_RESTART_AT_MOST_EVERY = (0.1, 2.0)  # seconds, doubling while a role dies young; its calls wait for their rescue
_YOUNG = 10.0  # seconds
_DATABASE_LOOK = 0.25  # seconds
_LINE = 64  # bytes, written at once

_log = log.get(__name__)


class StartFailed(Exception):
    """A role could not start; its own last lines say why."""


@dataclass(slots=True)
class RoleProcess:
    """One role as the supervisor sees it."""

    role: str
    environment: Mapping[str, str]
    name_file: Path | None = None  # kept beyond our own death, for the next supervisor's processes
    process: asyncio.subprocess.Process | None = None
    started_at: float = 0.0
    restart_after: float = field(default=_RESTART_AT_MOST_EVERY[0])

    @property
    def name(self) -> str:
        """What the last one that got so far announced: it is dead when another one can take its place."""
        return self.name_file.read_text().strip() if self.name_file is not None and self.name_file.exists() else ""

    async def start(self) -> None:
        """Start it and wait for its word that it is ready; raises StartFailed."""
        reading, writing = os.pipe()
        self.started_at = time.monotonic()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", self.role,
            env={**os.environ, **self.environment, READY_FD: str(writing), PREDECESSOR: self.name},
            pass_fds=(writing,),
        )  # fmt: skip
        os.close(writing)
        word = await _word_from(reading)
        if not word:
            raise StartFailed(f"the {self.role} process did not start; see its lines above")
        if self.name_file is not None:
            _write_private(self.name_file, word)

    def forget_gauges(self) -> None:
        """A dead process has no ports in use and nothing in flight; its counters stay."""
        from prometheus_client.multiprocess import mark_process_dead

        if self.process is not None:
            mark_process_dead(self.process.pid, self.environment["PROMETHEUS_MULTIPROC_DIR"])  # type: ignore[no-untyped-call]

    def send(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def wait(self) -> int:
        return await self.process.wait() if self.process is not None else 0


@dataclass(frozen=True, slots=True)
class House:
    """What had to be there before any role could start."""

    environment: Mapping[str, str]
    account_file: Path  # "sid:token", for its owner only


def run_all(settings: Settings) -> int:
    """Run every role until SIGTERM; from the main thread, to which the embedded server's life is bound."""
    log.configure(settings.log_level, settings.log_format, "all")
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _log.error("all.start_failed", error=f"DIAL_DATA_DIR: {error}")
        return 1
    embedded = None if settings.database_url.get_secret_value() else EmbeddedPostgres(settings.data_dir)
    try:
        url = embedded.start() if embedded else settings.database_url.get_secret_value()
        return asyncio.run(_run(settings, url, embedded))
    except (StartFailed, DialError) as error:
        _log.error("all.start_failed", error=str(error))
        return 1
    finally:
        if embedded:
            embedded.stop()


async def _run(settings: Settings, url: str, embedded: EmbeddedPostgres | None) -> int:
    house = _furnish(settings, url, is_embedded=embedded is not None)
    supervisor = Supervisor(_roles(settings, house.environment))
    # The roles load their code, which takes longer, while the schema is seen to; they wait for it.
    if await supervisor.start(beside=_set_up_database(settings, house)):
        sys.stdout.write(_welcome(settings, house))
        sys.stdout.flush()
        await supervisor.watch(embedded)
    await supervisor.stop(settings.drain_seconds)
    return 0


class Supervisor:
    """Keeps role processes alive until it is told to stop."""

    def __init__(self, roles: list[RoleProcess]) -> None:
        self._roles = roles
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    async def start(self, *, beside: Awaitable[None]) -> bool:
        """Every role at once; False when a signal came first. Raises StartFailed and leaves none behind."""
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await asyncio.gather(beside, *(role.start() for role in self._roles))
        except (StartFailed, DialError, TimeoutError) as error:
            self._kill()
            await asyncio.gather(*(role.wait() for role in self._roles))
            raise StartFailed(str(error) or f"the roles were not ready within {_READY_WITHIN:.0f} s") from error
        return not self._stop.is_set()

    async def watch(self, embedded: EmbeddedPostgres | None) -> None:
        """Restart what dies, until a signal comes."""
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(self._keep_alive(role)) for role in self._roles]
            if embedded is not None:
                watchers.append(group.create_task(_keep_running(embedded)))
            await self._stop.wait()
            for watcher in watchers:
                watcher.cancel()

    async def stop(self, grace: float) -> None:
        """API and workers first; the webhooks go last, for the workers' last events are theirs to deliver."""
        last = [role for role in self._roles if role.role == "webhooks"]
        for batch in ([role for role in self._roles if role not in last], last):
            for role in batch:
                role.send(signal.SIGTERM)
            try:
                async with asyncio.timeout(grace + 10):
                    await asyncio.gather(*(role.wait() for role in batch))
            except TimeoutError:
                _log.error("all.killed_at_stop", roles=[role.role for role in batch])
                for role in batch:
                    role.send(signal.SIGKILL)

    async def _keep_alive(self, role: RoleProcess) -> None:
        while True:
            code = await role.wait()
            if self._stop.is_set():
                return
            role.forget_gauges()
            lived = time.monotonic() - role.started_at
            first, longest = _RESTART_AT_MOST_EVERY
            role.restart_after = first if lived > _YOUNG else min(longest, role.restart_after * 2)
            _log.error("role.died", died=role.role, code=code, lived_s=round(lived, 1), again_in_s=role.restart_after)
            await asyncio.sleep(role.restart_after)
            try:
                await role.start()
            except StartFailed as error:
                _log.error("role.restart_failed", error=str(error))

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._kill()
        self._stop.set()

    def _kill(self) -> None:
        for role in self._roles:
            role.send(signal.SIGKILL)


def _furnish(settings: Settings, url: str, *, is_embedded: bool) -> House:
    """The key that seals secrets, and what every role's environment gets."""
    key = settings.secret_key.get_secret_value() or _kept(settings.data_dir / "secret.key", secrets.token_urlsafe(32))
    metrics = settings.data_dir.absolute() / "metrics"  # where the roles' counters meet, so that /metrics shows all
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir()
    environment = {"DIAL_DATABASE_URL": url, "DIAL_SECRET_KEY": key, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    if is_embedded:
        environment |= {name: _LOOPBACK for name in ("DIAL_HTTP_ALLOW", "DIAL_SIP_ALLOW") if name not in os.environ}
    return House(environment, settings.data_dir / "account")


async def _set_up_database(settings: Settings, house: House) -> None:
    """The migrations, then the first account and the files from which its owner reads it."""
    path = house.account_file
    sid, _, token = path.read_text().strip().partition(":") if path.exists() else ("", "", "")
    url = house.environment["DIAL_DATABASE_URL"]
    secrets_given = (settings.auth_token, settings.webhook_secret, settings.secret_key)
    given = settings.account_sid or any(one.get_secret_value() for one in secrets_given)
    secret_file = path.with_name("webhook-secret")
    if sid and secret_file.exists() and not given and await asyncio.to_thread(is_set_up, url, sid):
        return  # as at every start but the first; what follows takes longer to load than to run
    from app.store import migrate
    from app.store.accounts import Accounts
    from app.store.database import Database
    from app.store.seal import Sealer

    await asyncio.to_thread(migrate.upgrade, url)
    database = Database(url, pool_size=1, name="dial all")
    try:
        account = await Accounts(database, Sealer(house.environment["DIAL_SECRET_KEY"])).ensure_first(
            settings.account_sid or sid or None,
            settings.auth_token.get_secret_value() or token or None,
            settings.webhook_secret.get_secret_value() or None,
        )
    finally:
        await database.close()
    _write_private(path, f"{account.sid}:{account.token}\n")
    _write_private(secret_file, f"{account.secret}\n")


def _roles(settings: Settings, shared: Mapping[str, str]) -> list[RoleProcess]:
    workers = [_worker(settings, shared, n) for n in range(settings.workers)]
    return [RoleProcess("api", shared), *workers, RoleProcess("webhooks", shared)]


def _worker(settings: Settings, shared: Mapping[str, str], n: int) -> RoleProcess:
    """Worker n has SIP ports + 2n, its own equal slice of the RTP ports, and leaves its name where it was bound."""
    ports, sip_port = settings.rtp_range, settings.sip_port + 2 * n
    each = len(ports) // settings.workers
    rtp_ports = f"{ports[n * each]}-{ports[(n + 1) * each - 1]}"
    tls_port = "" if settings.sip_tls_port is None else str(settings.sip_tls_port + 2 * n)
    environment = {
        **shared,
        "DIAL_SIP_PORT": str(sip_port),
        "DIAL_SIP_TLS_PORT": tls_port,
        "DIAL_RTP_PORTS": rtp_ports,
    }
    return RoleProcess("worker", environment, settings.data_dir / f"worker-{settings.sip_host}-{sip_port}")


def _welcome(settings: Settings, house: House) -> str:
    account = house.account_file.read_text().partition(":")[0]
    url = settings.api_url
    rcml = '<Response><Dial timeLimit="5"><Sip>sip:alice@127.0.0.1:5090</Sip></Dial></Response>'
    return f"""
Dial-to-SIP is ready.

  Swagger UI   {url}/docs
  Account      {account}, its token in {house.account_file}
  Webhooks     signed with the secret in {house.account_file.with_name("webhook-secret")}
  SIP          {settings.sip_host}:{settings.sip_port}, UDP and TCP

Place a call; something has to answer it, for example  sipp -sn uas -i 127.0.0.1 -p 5090

  curl -u "$(cat {house.account_file})" -H 'Content-Type: application/xml' {url}/v1/dials \\
    -d '{rcml}'

"""


def _kept(path: Path, fresh: str) -> str:
    """What the file says; `fresh` is written there, for its owner only, when there is none."""
    if not path.exists():
        _write_private(path, fresh + "\n")
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, mode 0600."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start the embedded database again when it has died; at the same address, so that nobody need be told.

    It starts in this thread, whose life it is bound to: meanwhile a signal waits, a second or two.
    """
    while True:
        await asyncio.sleep(_DATABASE_LOOK)
        if not embedded.running:
            _log.error("database.died")
            try:
                embedded.start()
            except DialError as error:
                _log.error("database.restart_failed", error=str(error))


async def _word_from(reading: int) -> str:
    """The line that comes through the pipe; empty when the other end closes without one."""
    running = asyncio.get_running_loop()
    ready: asyncio.Future[str] = running.create_future()

    def heard() -> None:
        if not ready.done():
            ready.set_result(os.read(reading, _LINE).decode())

    running.add_reader(reading, heard)
    try:
        return await ready
    finally:
        running.remove_reader(reading)
        os.close(reading)
