"""A process's way to the real database that can be stopped, cut or killed before and after every single commit."""

import asyncio
import random
from typing import Any, Literal, TypeVar

from app.calls.errors import Unavailable
from app.store.database import Database, Work

T = TypeVar("T")

Side = Literal["before", "after"]  # of the commit
Fault = Literal["refused", "unanswered", "twice"]


class Traffic:
    """How many transactions are under way in all processes, those that are held not counted."""

    def __init__(self) -> None:
        self._running = 0
        self._none = asyncio.Event()
        self._none.set()

    def begins(self) -> None:
        self._running += 1
        self._none.clear()

    def ends(self) -> None:
        self._running -= 1
        if self._running == 0:
            self._none.set()

    async def settle(self) -> None:
        """Until no task of any process can run on and nothing is asked of the database."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined] # the loop's runnable callbacks
        quiet = 0
        while quiet < 3:
            await self._none.wait()
            await asyncio.sleep(0)
            quiet = 0 if ready or not self._none.is_set() else quiet + 1


class Wire(Database):
    """One process's connections: everything in `app.store` goes through `run`."""

    def __init__(self, database: Database, traffic: Traffic) -> None:
        self.__dict__ |= database.__dict__
        self._traffic = traffic
        self._held: Side | None = None
        self._fault: Fault | None = None
        self._passing = 0  # transactions that go through before the hold or the fault
        self._open = asyncio.Event()
        self._turn = asyncio.Lock()  # one transaction at a time, so that the same steps always do the same
        self.dawdles: random.Random | None = None  # waits a little before and after each commit

    @property
    def is_held(self) -> bool:
        return self._held is not None

    def hold(self, side: Side, passing: int = 0) -> None:
        """After `passing` more transactions every one waits before it begins, or after its commit, unheard."""
        self._held, self._passing = side, passing
        self._open.clear()

    def release(self) -> None:
        self._held = None
        self._open.set()

    def fail(self, fault: Fault, passing: int = 0) -> None:
        """One transaction is refused, is committed without an answer, or is run again after an unheard commit."""
        self._fault, self._passing = fault, passing

    def heal(self) -> None:
        self._fault = None

    async def run(self, work: Work[T], **options: Any) -> T:
        if self.dawdles:
            return await self._run(work, options)
        async with self._turn:
            self._traffic.begins()
            try:
                return await self._run(work, options)
            finally:
                self._traffic.ends()

    async def _run(self, work: Work[T], options: Any) -> T:
        if self.dawdles:
            await asyncio.sleep(self.dawdles.random() * 0.004)
        fault, self._fault = (self._fault, None) if not self._passing else (None, self._fault)
        if self._passing:
            self._passing -= 1
            return await super().run(work, **options)
        if self._held == "before":
            await self._wait()
        if fault == "refused":
            raise Unavailable("refused by the test")
        result = await super().run(work, **options)
        if fault == "twice":
            result = await super().run(work, **options)
        if fault == "unanswered":
            raise Unavailable("committed, but the answer was lost")
        if self.dawdles:
            await asyncio.sleep(self.dawdles.random() * 0.004)
        if self._held == "after":
            await self._wait()
        return result

    async def _wait(self) -> None:
        self._traffic.ends()
        try:
            await self._open.wait()
        finally:
            self._traffic.begins()


class Crew:
    """The tasks of one process, so that it can be killed: none of them runs one step further."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def kill(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
