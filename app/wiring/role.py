"""What every role needs to run: its database with the right schema, its end, and which addresses it may reach."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.calls.address import AddressPolicy
from app.calls.errors import Unavailable
from app.runtime import log
from app.runtime.settings import Settings
from app.store import migrate
from app.store.database import Database
from app.store.seal import Sealer

_TRIES_UNTOLD = 40  # looks at the schema, 50 ms apart, before a role says that it waits

_log = log.get(__name__)


def http_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy("DIAL_HTTP_ALLOW", settings.http_allow)


def sip_policy(settings: Settings) -> AddressPolicy:
    return AddressPolicy("DIAL_SIP_ALLOW", settings.sip_allow)


@asynccontextmanager
async def open_database(settings: Settings, role: str) -> AsyncIterator[tuple[Database, Sealer]]:
    url = settings.database_url.get_secret_value()
    database = Database(url, pool_size=settings.database_pool, name=f"dial {role}")
    try:
        yield database, Sealer(settings.secret_key.get_secret_value())
    finally:
        await database.close()


async def await_schema(database: Database) -> None:
    """Wait until the database is there and its schema is this version's: the supervisor may be at it right now."""
    for tries in itertools.count():
        with suppress(Unavailable):
            if await migrate.ready(database):
                return
        if tries == _TRIES_UNTOLD:
            _log.warning("role.waits", why="the database is away or its schema is not this version's: see `migrate`")
        await asyncio.sleep(0.05 if tries < _TRIES_UNTOLD else 1)


async def until_stopped(loops: list[asyncio.Task[Any]]) -> int:
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


async def cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
