"""How long whoever is served now may still wait for others: one budget, however often it waits. Knows no request.

A request asks the database several times: with a limit for each, the last answer may come after the sum of them.
Only waits count, so that a client that sends slowly, or a file that is read on, uses nothing up.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

T = TypeVar("T")


class _Budget:
    __slots__ = ("left", "whole")

    def __init__(self, seconds: float) -> None:
        self.whole = self.left = seconds


# Tasks that are begun meanwhile inherit it and use it up together.
_budget: ContextVar[_Budget | None] = ContextVar("patience", default=None)


@contextmanager
def begun(seconds: float) -> Iterator[None]:
    """All that is waited for within may take `seconds` together."""
    before = _budget.get()
    _budget.set(_Budget(seconds))
    try:
        yield
    finally:
        _budget.set(before)  # no reset: a stream that is given up may be closed in another context


def renewed() -> None:
    """One step of several is done: the next one may take as long."""
    if (budget := _budget.get()) is not None:
        budget.left = budget.whole


@asynccontextmanager
async def waiting(seconds: float) -> AsyncIterator[None]:
    """At most `seconds`, and no longer than what is left of what was begun. Raises TimeoutError."""
    budget = _budget.get()
    if budget is None:
        async with asyncio.timeout(seconds):
            yield
        return
    started = time.monotonic()
    try:
        async with asyncio.timeout(max(0.0, min(seconds, budget.left))):
            yield
    finally:
        budget.left -= time.monotonic() - started


class Shared(Generic[T]):
    """One question for all who ask at once. It is nobody's: it goes on when the one who asked first loses patience."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """The answer, or its exception, to be waited for within `waiting`."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._alone(), name="a question that is shared")
            self._asking.add_done_callback(_looked_at)
        return await asyncio.shield(self._asking)

    async def _alone(self) -> T:
        _budget.set(None)  # in the context of this task
        return await self._ask()


def _looked_at(task: "asyncio.Task[T]") -> None:
    """Everybody may have gone: an exception that nobody takes is no news."""
    if not task.cancelled():
        task.exception()
