"""One connection to PostgreSQL, given up at once by whoever stops waiting for it. Knows no statement."""

import asyncio
from typing import Any, TypeVar

import psycopg
from psycopg import capabilities, generators, waiting
from psycopg.abc import PQGen

from app.runtime.loop import spawn

T = TypeVar("T")

_CANCEL_SECONDS = 2.0
_INTERVAL = 0.1  # seconds between psycopg's looks at whether it was interrupted


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """psycopg's own, cancelled, first waits up to 10 s for a server that may be behind a cut cable (measured: a 503
    that was due after 2 s came after 12). This one is closed; the server is asked to stop meanwhile, by itself.
    """

    async def wait(self, gen: PQGen[T], interval: float = _INTERVAL, timeout: float | None = None) -> T:
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                if capabilities.has_cancel_safe():
                    spawn(_ask_to_stop(self.pgconn.cancel_conn()), "cancel a statement")
                self.pgconn.finish()  # its state is not known, and it is not to be waited for
            raise


async def _ask_to_stop(cancelling: psycopg.pq.abc.PGcancelConn) -> None:
    try:
        cancelling.start()
        await waiting.wait_conn_async(generators.cancel(cancelling), interval=_INTERVAL, timeout=_CANCEL_SECONDS)
    except (psycopg.Error, OSError):
        return  # the server ends the statement at its own time limit
