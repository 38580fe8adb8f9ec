"""Writes what became of attempts, many in one statement, and keeps them while the database is away. Sends nothing."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from app.calls.errors import Unavailable
from app.runtime import log
from app.store.outbox import Delivery, Outbox, Result

T = TypeVar("T")

_log = log.get(__name__)

_BATCH = 200
_PACE = 0.005  # seconds from one statement to the next, unless the batch is full
_BACKOFF = (0.1, 2.0)  # seconds, doubled from the first to the last while the database is away


class Ledger:
    """`run` is its one task; `written` is called after each statement: successors may be free now."""

    def __init__(self, outbox: Outbox, written: Callable[[], None]) -> None:
        self._outbox = outbox
        self._written = written
        self._results: list[Result] = []
        self._unstarted: list[tuple[int, float]] = []  # delivery id, and until when its lease surely holds
        self._writing = 0
        self._doubtful: set[int] = set()  # deliveries whose result was being written when that was given up
        self._wake = asyncio.Event()
        self._full = asyncio.Event()

    @property
    def waiting(self) -> int:
        """What is not yet in the database."""
        return len(self._results) + len(self._unstarted) + self._writing

    def put(self, result: Result) -> None:
        self._results.append(result)
        self._wake.set()
        if len(self._results) >= _BATCH:
            self._full.set()

    def give_back(self, delivery: Delivery, *, until: float) -> None:
        """A claim that came to nothing: it burns no attempt. After `until` (monotonic) it may be claimed anew: no more
        ours to give.
        """
        self._unstarted.append((delivery.id, until))
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. What is in hand at that moment is written by `drain`."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            started = loop.time()
            try:
                await self._write_all()
            except Exception as error:  # the loop's edge: what was in hand is sent again when its lease lapses
                _log.error("webhook.ledger_failed", exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(started + _PACE):
                    await self._full.wait()

    async def drain(self, timeout: float) -> None:
        """Write the rest at the end of the process; what cannot be written is sent again when its lease lapses."""
        try:
            async with asyncio.timeout(timeout):
                while self.waiting:
                    await self._write_all()
        except TimeoutError:
            _log.error("webhook.results_lost", count=self.waiting)

    async def _write_all(self) -> None:
        self._wake.clear()
        self._full.clear()
        results, self._results = self._results, []
        unstarted, self._unstarted = self._unstarted, []
        self._writing = len(results) + len(unstarted)
        try:
            for start in range(0, len(results), _BATCH):
                await self._finish(results[start : start + _BATCH])
            if unstarted:
                await self._patiently(lambda: self._outbox.release(_still_held(unstarted)))
        except asyncio.CancelledError:
            # Perhaps written, perhaps not: what was written is no longer ours and a second write of it does nothing.
            self._results[:0] = results
            self._doubtful |= {result.delivery.id for result in results}
            self._unstarted[:0] = unstarted
            raise
        finally:
            self._writing = 0
        self._written()

    async def _finish(self, results: Sequence[Result]) -> None:
        try:
            ours = await self._patiently(partial(self._outbox.finish, results))
        except Exception as error:  # the statement is wrong for one of them: find out which
            _log.error("webhook.batch_refused", count=len(results), error=_first_line(error))
            for result in results:
                await self._finish_alone(result)
            return
        for result in results:
            if result.delivery.id not in ours | self._doubtful:
                _log.warning("webhook.result_fenced", delivery=result.delivery.id, message=result.delivery.message_id)

    async def _finish_alone(self, result: Result) -> None:
        """If need be without what the receiver said: that a delivery ends, and in order, matters more."""
        for version in (result, replace(result, error=result.error and "not storable", answer=b"", status=None)):
            try:
                await self._patiently(partial(self._outbox.finish, [version]))
                return
            except Exception as error:  # one poison row must not keep the others from being written
                _log.error("webhook.result_refused", delivery=result.delivery.id, error=_first_line(error))

    async def _patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """For ever: results are worth keeping as long as this process lives."""
        pause, longest = _BACKOFF
        while True:
            try:
                return await write()
            except Unavailable as error:
                _log.warning("webhook.database_away", detail=str(error), waiting=self.waiting)
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)


def _still_held(unstarted: Sequence[tuple[int, float]]) -> list[int]:
    now = time.monotonic()
    return [delivery for delivery, until in unstarted if now < until]


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
