"""The role `webhooks`."""

from app.dialing.rescue import Rescue
from app.recordings.from_settings import links_of, retention_of
from app.runtime import loop
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.runtime.supervised import announce_ready
from app.store.changes import Changes
from app.store.outbox import Outbox
from app.store.queue import DialQueue
from app.store.upkeep import Upkeep
from app.webhooks.dispatch import Dispatcher
from app.webhooks.housekeeping import keep_house
from app.wiring.role import await_schema, cancel, http_policy, open_database, until_stopped
from app.worker.lease import Holder, Lease
from app.worker.sweep import Sweep


async def run_webhooks(settings: Settings) -> int:
    """Deliver what is owed until SIGTERM, then finish what is in flight. Ends dials in time when no worker lives."""
    async with open_database(settings, "webhooks") as (database, sealer):
        clock = SteadyClock()
        await await_schema(database)
        changes, queue = Changes(database, sealer), DialQueue(database, sealer)
        await changes.start()
        lease = Lease(queue, Holder("webhooks", capacity=0), clock, clock.hear)
        await lease.register()
        rescue = Rescue(changes, clock, links_of(settings).url_of)
        sweep = Sweep(queue, lease, rescue, max_wait=settings.max_wait)
        outbox = Outbox(database, sealer)
        dispatcher = Dispatcher(outbox, database, policy=http_policy(settings), retries=settings.webhook_retries)
        loops = [
            loop.spawn(dispatcher.run(), "deliver"),
            loop.spawn(keep_house(outbox, Upkeep(database)), "keep house"),
            loop.spawn(retention_of(settings, database, sealer, clock).run(), "let recordings go"),
            loop.spawn(sweep.run(), "sweep"),
            loop.spawn(lease.keep(lambda: 0, lambda: False, lambda: None), "keep the lease"),
        ]
        announce_ready()
        code = await until_stopped(loops)
        await dispatcher.stop(settings.drain_seconds)
        await cancel(loops)
        await changes.stop()
        await lease.give_up()
        return code
