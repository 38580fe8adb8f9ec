"""The role `worker`."""

from collections.abc import Sequence
from typing import Any

from app.calls.call import Call, NewCall
from app.calls.errors import Unavailable
from app.dialing.rescue import Rescue
from app.dialing.run import Running
from app.media.ticker import Ticker
from app.runtime import log, loop
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.runtime.supervised import announce_ready, predecessor
from app.store.changes import Changes
from app.store.database import Database
from app.store.numbers import Numbers
from app.store.queue import DialQueue
from app.store.trace import TraceStore
from app.trace.hep import as_hep
from app.trace.redact import redact
from app.wiring.home import local_host
from app.wiring.phone import started_phone
from app.wiring.role import await_schema, cancel, open_database, until_stopped
from app.wiring.sources import supplies
from app.worker.arrivals import Arrivals
from app.worker.homer import Homer
from app.worker.lease import Holder, Lease
from app.worker.numbers import NumberBook
from app.worker.pool import Pool, PoolParts
from app.worker.sweep import Sweep
from app.worker.tap import Tap

_log = log.get(__name__)

_GOODBYES = 4.0  # seconds for the peers' answers to our last BYEs and CANCELs


async def run_worker(settings: Settings) -> int:
    """Claim and run dials until SIGTERM, then drain."""
    async with open_database(settings, "worker") as (database, sealer):
        clock = SteadyClock()
        await await_schema(database)
        changes, queue = Changes(database, sealer), DialQueue(database, sealer)
        await changes.start()
        tap = _tap(settings, database, clock)
        ticker = Ticker()
        phone = await started_phone(settings, clock, tap, ticker)
        if phone is None:
            return 1
        holder = Holder("worker", settings.calls_at_once, settings.sip_host, settings.sip_port)
        lease = Lease(queue, holder, clock, clock.hear)
        supply = supplies(settings, database, sealer, clock=clock, ticker=ticker)
        rescue = Rescue(changes, clock, supply.keeper.url_of)

        async def add_legs(parent: Call, legs: Sequence[NewCall]) -> list[Call]:
            return await queue.add_legs(lease.worker_id, parent, legs)

        pool = Pool(
            PoolParts(
                database=database,
                queue=queue,
                lease=lease,
                running=Running(phone, changes, clock, add_legs, supply.sources, local_host(settings)),
                rescue=rescue,
                clock=clock,
                max_calls=settings.calls_at_once,
                max_wait=settings.max_wait,
            )
        )
        book = NumberBook(database, Numbers(database, sealer))
        phone.take_calls(book.may_know, Arrivals(queue, lease, pool, book).take)
        await lease.register(accepting=True)  # after that: who calls this early is told to come again
        sweep = Sweep(
            queue, lease, rescue, max_wait=settings.max_wait,
            phone=phone, goodbyes=changes.goodbyes, predecessor=predecessor(),
        )  # fmt: skip
        loops = [
            loop.spawn(pool.claim_dials(), "claim dials"),
            loop.spawn(pool.obey(), "obey the API"),
            loop.spawn(lease.keep(lambda: pool.running, lambda: pool.accepting, pool.forfeit), "keep the lease"),
            loop.spawn(sweep.run(), "sweep"),
            loop.spawn(tap.run(), "keep the trace"),
            loop.spawn(book.keep(), "know our numbers"),
            loop.spawn(supply.keeper.run(), "keep recordings"),
        ]
        announce_ready(await queue.name(lease.worker_id))
        code = await until_stopped(loops)
        await pool.drain(settings.drain_seconds if code == 0 else 0)
        await cancel(loops)
        await phone.settle(_GOODBYES)
        await supply.keeper.stop(_GOODBYES)
        await supply.close()
        await _write_the_rest(changes)
        await lease.give_up()
        await phone.stop()
        await tap.stop()
        return code


async def _write_the_rest(changes: Changes) -> None:
    """Whoever has not heard our goodbye by then is somebody else's to tell."""
    await changes.stop()
    try:
        await changes.goodbyes.settle()
    except Unavailable as error:
        _log.warning("worker.goodbyes_unsettled", error=str(error))


def _tap(settings: Settings, database: Database, clock: SteadyClock) -> Any:
    homer = Homer(settings.hep_address, as_hep) if settings.hep_address else None
    return Tap(TraceStore(database), redact, clock, export=homer)
