"""The composition root: settings in, one running role out. The only place where the parts meet."""

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import SecretStr

from app.calls.address import AddressPolicy
from app.calls.errors import Unavailable
from app.calls.uri import SipUri
from app.dialing.place import LocalHost
from app.runtime import log, loop
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.runtime.supervised import announce_ready, predecessor
from app.store import migrate
from app.store.database import Database
from app.store.seal import Sealer
from app.store.standing import head

_TRIES_UNTOLD = 40  # looks at the schema, 50 ms apart, before a role says that it waits
_WILDCARDS = ("0.0.0.0", "::", "")
_GOODBYES = 4.0  # seconds for the peers' answers to our last BYEs and CANCELs
_ELSEWHERE = {
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}  # documentation ranges: routed, never sent to

_log = log.get(__name__)


async def run_api(settings: Settings) -> int:
    """Serve the API until SIGTERM; uvicorn finishes the requests that run."""
    from app.api.app import create_app
    from app.api.parts import ApiParts
    from app.api.server import serve as serve_http
    from app.dialing.hangup import HangUp
    from app.dialing.place import Place
    from app.dialing.replace import Replace
    from app.store.accounts import Accounts
    from app.store.calls import CallReads
    from app.store.deliveries import Deliveries
    from app.store.placing import Placing
    from app.store.queue import DialQueue
    from app.store.trace import TraceStore

    async with _database(settings, "api") as (database, sealer):
        placing = Placing(database, sealer)
        calls, queue = CallReads(database, sealer), DialQueue(database, sealer)
        await placing.start()
        app = create_app(
            ApiParts(
                settings=settings,
                database=database,
                place=Place(placing, calls, local_host(settings)),
                hang_up=HangUp(calls, queue),
                replace=Replace(calls, queue),
                calls=calls,
                queue=queue,
                deliveries=Deliveries(database, sealer),
                trace=TraceStore(database),
                accounts=Accounts(database, sealer),
                sip_policy=sip_policy(settings),
                http_policy=http_policy(settings),
            )
        )
        code = await serve_http(
            app,
            host=settings.http_host,
            port=settings.http_port,
            root_path=settings.root_path,
            ready=announce_ready,
        )
        await placing.stop()
        return code


async def run_worker(settings: Settings) -> int:
    """Claim and run dials until SIGTERM, then drain."""
    from app.dialing.rescue import Rescue
    from app.dialing.run import Running
    from app.store.changes import Changes
    from app.store.queue import DialQueue
    from app.worker.lease import Holder, Lease
    from app.worker.pool import Pool, PoolParts
    from app.worker.sweep import Sweep

    async with _database(settings, "worker") as (database, sealer):
        clock = SteadyClock()
        await _schema(database)
        changes, queue = Changes(database, sealer), DialQueue(database, sealer)
        await changes.start()
        tap = _tap(settings, database, clock)
        phone = await _started_phone(settings, clock, tap)
        if phone is None:
            return 1
        holder = Holder("worker", settings.calls_at_once, settings.sip_host, settings.sip_port)
        lease = Lease(queue, holder, clock, clock.hear)
        await lease.register()
        rescue = Rescue(changes, clock)

        async def add_legs(parent: Any, legs: Any) -> Any:
            return await queue.add_legs(lease.worker_id, parent, legs)

        pool = Pool(
            PoolParts(
                database=database,
                queue=queue,
                lease=lease,
                running=Running(phone, changes, clock, add_legs),
                rescue=rescue,
                clock=clock,
                max_calls=settings.calls_at_once,
                max_wait=settings.max_wait,
            )
        )
        sweep = Sweep(queue, lease, rescue, max_wait=settings.max_wait, phone=phone, predecessor=predecessor())
        loops = [
            loop.spawn(pool.claim_dials(), "claim dials"),
            loop.spawn(pool.obey(), "obey the API"),
            loop.spawn(lease.keep(lambda: pool.running, lambda: pool.accepting, pool.forfeit), "keep the lease"),
            loop.spawn(sweep.run(), "sweep"),
            loop.spawn(tap.run(), "keep the trace"),
        ]
        announce_ready(await queue.name(lease.worker_id))
        code = await _until_stopped(loops)
        await pool.drain(settings.drain_seconds if code == 0 else 0)
        await _cancel(loops)
        await phone.settle(_GOODBYES)
        await changes.stop()
        await lease.give_up()
        await phone.stop()
        await tap.stop()
        return code


async def run_webhooks(settings: Settings) -> int:
    """Deliver what is owed until SIGTERM, then finish what is in flight. Ends dials in time when no worker lives."""
    from app.dialing.rescue import Rescue
    from app.store.changes import Changes
    from app.store.outbox import Outbox
    from app.store.queue import DialQueue
    from app.store.upkeep import Upkeep
    from app.webhooks.dispatch import Dispatcher
    from app.webhooks.housekeeping import keep_house
    from app.worker.lease import Holder, Lease
    from app.worker.sweep import Sweep

    async with _database(settings, "webhooks") as (database, sealer):
        clock = SteadyClock()
        await _schema(database)
        changes, queue = Changes(database, sealer), DialQueue(database, sealer)
        await changes.start()
        lease = Lease(queue, Holder("webhooks", capacity=0), clock, clock.hear)
        await lease.register()
        sweep = Sweep(queue, lease, Rescue(changes, clock), max_wait=settings.max_wait)
        outbox = Outbox(database, sealer)
        dispatcher = Dispatcher(outbox, database, policy=http_policy(settings), retries=settings.webhook_retries)
        loops = [
            loop.spawn(dispatcher.run(), "deliver"),
            loop.spawn(keep_house(outbox, Upkeep(database)), "keep house"),
            loop.spawn(sweep.run(), "sweep"),
            loop.spawn(lease.keep(lambda: 0, lambda: False, lambda: None), "keep the lease"),
        ]
        announce_ready()
        code = await _until_stopped(loops)
        await dispatcher.stop(settings.drain_seconds)
        await _cancel(loops)
        await changes.stop()
        await lease.give_up()
        return code


async def migrate_and_create_account(settings: Settings) -> str:
    """Bring the schema up to date and make sure of the first account; a sentence for the operator."""
    from app.store.accounts import Accounts

    given = settings.auth_token.get_secret_value() or None  # a token that was given is in nobody's log
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate.upgrade, url)
    async with _database(settings, "migrate") as (database, sealer):
        first = await Accounts(database, sealer).ensure_first(
            settings.account_sid or None, given, settings.webhook_secret.get_secret_value() or None
        )
    made = f"; made its token {first.token} (it is not shown again)" if first.created and not given else ""
    return f"schema {head()}, first account {first.sid}{made}"


async def manage_account(settings: Settings, sid: str | None) -> dict[str, str]:
    """Another account when `sid` is None, else a new webhook secret for that one. Raises NotFound, Unavailable."""
    from app.calls.sid import AccountSid
    from app.store.accounts import Accounts

    async with _database(settings, "account") as (database, sealer):
        accounts = Accounts(database, sealer)
        if sid is None:
            created = await accounts.create()
            return {"sid": created.sid, "token": created.token, "webhookSecret": created.secret}
        return {"sid": sid, "webhookSecret": await accounts.rotate_secret(AccountSid(sid))}


def reachable(settings: Settings) -> Settings | None:
    """These settings, or those of the embedded database that the role `all` runs beside us; None if there is none."""
    if settings.database_url.get_secret_value():
        return settings if settings.secret_key.get_secret_value() else None
    from app.store.embedded import EmbeddedPostgres

    url, key = EmbeddedPostgres(settings.data_dir).address(), settings.data_dir / "secret.key"
    if url is None or not key.exists():
        return None
    given = {"database_url": SecretStr(url), "secret_key": SecretStr(key.read_text().strip())}
    return settings.model_copy(update=given)


def _tap(settings: Settings, database: Database, clock: SteadyClock) -> Any:
    from app.store.trace import TraceStore
    from app.trace.hep import as_hep
    from app.trace.redact import redact
    from app.worker.homer import Homer
    from app.worker.tap import Tap

    homer = Homer(settings.hep_address, as_hep) if settings.hep_address else None
    return Tap(TraceStore(database), redact, clock, export=homer)


async def _started_phone(settings: Settings, clock: SteadyClock, tap: Any) -> Any:
    """None when it cannot be had; the operator has been told why."""
    try:
        phone = make_phone(settings, clock, tap)
    except OSError as error:
        _log.error("sip.tls_unusable", error=str(error), remedy="see the settings DIAL_SIP_TLS_CA, _CERT and _KEY")
        return None
    except ValueError as error:
        _log.error("sip.setting_unusable", error=str(error), remedy="see DIAL_SIP_PROXY and DIAL_DNS")
        return None
    try:
        await phone.start()
    except OSError as error:
        where = f"{settings.sip_host}:{settings.sip_port}"
        remedy = "see DIAL_SIP_HOST, DIAL_SIP_PORT and DIAL_SIP_TLS_PORT"
        _log.error("sip.cannot_bind", sip=where, error=error.strerror, remedy=remedy)
        return None
    return phone


def make_phone(settings: Settings, clock: SteadyClock, tap: Any = None) -> Any:
    """The SIP side of a worker, bound when it is started; `tap` sees its messages unless the trace is off."""
    from app.media.rtp import RtpPool
    from app.sip.crypto import Srtp
    from app.sip.engine import CallRules
    from app.sip.phone import SipPhone
    from app.sip.tls import security

    traced = tap is not None and settings.trace == "on"
    media = RtpPool(settings.sip_host, settings.rtp_range, timeout=settings.rtp_timeout)
    return SipPhone(
        host=settings.sip_host,
        port=settings.sip_port,
        advertised_host=settings.sip_advertised_host,
        name_server=settings.dns,
        rules=CallRules(srtp=Srtp(settings.srtp), proxy=settings.sip_proxy),
        security=security(
            ca=settings.sip_tls_ca,
            certificate=settings.sip_tls_cert,
            key=settings.sip_tls_key,
            verify=settings.sip_tls_verify == "on",
            port=settings.sip_tls_port,
        ),
        policy=sip_policy(settings),
        media=media,
        clock=clock,
        on_message=tap.on_message if traced else None,
        on_leg=tap.follow if traced else None,
    )


def http_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy("DIAL_HTTP_ALLOW", settings.http_allow)


def sip_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy("DIAL_SIP_ALLOW", settings.sip_allow)


def local_host(settings: Settings) -> LocalHost:
    """The host of a bare callerId: advertised, else bound, else the local address of the route to the target."""
    fixed = settings.sip_advertised_host or (settings.sip_host if settings.sip_host not in _WILDCARDS else "")

    def of(target: SipUri) -> str:
        return fixed or _route_to(target.host)

    return of


@asynccontextmanager
async def _database(settings: Settings, role: str) -> AsyncIterator[tuple[Database, Sealer]]:
    url = settings.database_url.get_secret_value()
    database = Database(url, pool_size=settings.database_pool, name=f"dial {role}")
    try:
        yield database, Sealer(settings.secret_key.get_secret_value())
    finally:
        await database.close()


def _route_to(host: str) -> str:
    """The local address of the route to an IP literal, of the default route for a name. Sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    target = host if ":" in host or host.replace(".", "").isdigit() else _ELSEWHERE[family]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 5060))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def _schema(database: Database) -> None:
    """Wait until the database is there and its schema is this version's: the supervisor may be at it right now."""
    for tries in itertools.count():
        with suppress(Unavailable):
            if await migrate.ready(database):
                return
        if tries == _TRIES_UNTOLD:
            _log.warning("role.waits", why="the database is away or its schema is not this version's: see `migrate`")
        await asyncio.sleep(0.05 if tries < _TRIES_UNTOLD else 1)


async def _until_stopped(loops: list[asyncio.Task[Any]]) -> int:
    """Until SIGTERM or SIGINT (0; a second one cuts at once), or until a loop ends that never should (1)."""
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        _log.info("role.draining")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([asked, *loops], return_when=asyncio.FIRST_COMPLETED)
    return 0 if asked.done() else 1


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


ROLES: dict[str, Any] = {"api": run_api, "worker": run_worker, "webhooks": run_webhooks}


def serve(role: str, settings: Settings) -> int:
    """Run one role to its exit status."""
    log.configure(settings.log_level, settings.log_format, role)
    main: Coroutine[Any, Any, int] = ROLES[role](settings)
    return loop.run(main)
