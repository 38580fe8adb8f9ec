"""The processes of the proof: a worker with all its real parts but the phone and the clock, and dispatchers."""

import asyncio
import contextvars
import math
from collections.abc import Coroutine
from typing import Any

from app.calls.call import Call
from app.calls.errors import Unavailable
from app.calls.ports import DialogFacts, Goodbye
from app.calls.sid import CallSid
from app.dialing.rescue import Rescue
from app.dialing.run import Running
from app.store.changes import Changes
from app.store.database import Database
from app.store.lost import Vigil
from app.store.outbox import Delivery, Outbox
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.worker.lease import Holder, Lease
from app.worker.pool import Pool, PoolParts
from app.worker.sweep import Sweep
from tests.kit.clock import FakeClock
from tests.kit.phone import ScriptedLeg, ScriptedPhone
from tests.kit.sources import no_sources
from tests.proof.wire import Crew, Traffic, Wire

MAX_WAIT = 36_000.0  # seconds a dial may wait: no example is that slow

_CREW: contextvars.ContextVar[Crew | None] = contextvars.ContextVar("crew", default=None)


def crewed(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
    """A task factory: every task belongs to the process that made it."""
    task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
    context = options.get("context")
    crew = _CREW.get() if context is None else context.get(_CREW)
    if crew is not None:
        crew.add(task)
    return task


class Time(FakeClock):
    """Everybody's wall clock, in whole seconds."""

    def settle(self) -> None:
        """It never jumps."""

    async def sleep(self, seconds: float) -> None:
        await (asyncio.sleep(0) if seconds == 0 else super().sleep(seconds))

    def next_alarm(self) -> float | None:
        return min((when for when, _, future in self._sleepers if not future.done()), default=None)


class Pulse:
    """The clock of one lease: it beats when the test says so. Leases lapse in the database only."""

    def __init__(self) -> None:
        self._due = asyncio.Event()

    def beat(self) -> None:
        self._due.set()

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> Any:
        raise AssertionError("a lease needs no wall time")

    async def sleep(self, seconds: float) -> None:
        await self._due.wait()
        self._due.clear()


class Wires:
    """The peers' side of every leg of every worker: what is up there, and how often it was invited."""

    def __init__(self) -> None:
        self.legs: list[Peer] = []

    def hang_up_stranger(self, call_id: str) -> None:
        for peer in self.legs:
            if peer.dialog.get("call_id") == call_id and peer.is_invited:
                peer.is_down = True

    @property
    def invited(self) -> "list[Peer]":
        return [peer for peer in self.legs if peer.is_invited]


class Peer(ScriptedLeg):
    """One leg on the wire, seen from its peer."""

    __slots__ = ("home", "is_answered", "is_deaf", "is_down", "is_over")

    def __init__(self, leg: ScriptedLeg, home: "Worker", *, is_deaf: bool) -> None:
        super().__init__(leg.order, leg.clock, leg.answer_to_prepare)
        self.home = home
        self.is_answered = False
        self.is_over = False  # the engine has said its last word
        self.is_down = False  # has heard that somebody hung up
        self.is_deaf = is_deaf

    @property
    def is_invited(self) -> bool:
        return "invite" in self.asked

    @property
    def sid(self) -> CallSid:
        return self.order.call_sid

    @property
    def is_left_up(self) -> bool:
        """It was hung up and has not heard of it."""
        return "hang up" in self.asked and not (self.is_down or self.is_over)

    def hang_up(self) -> Goodbye | None:  # type: ignore[override]  # the scripted leg's peer always hears
        super().hang_up()
        self.is_down = self.is_down or not (self.is_deaf and self.is_invited)
        return _Said(self) if self.is_left_up else None

    def hears(self) -> None:
        """What its worker repeats has come through."""
        self.is_down = True


class _Said:
    """Implements Goodbye."""

    dialog = None

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def heard(self) -> bool:
        return not self._peer.is_left_up


class Phone(ScriptedPhone):
    """The scripted phone of one worker, on everybody's wires."""

    def __init__(self, clock: FakeClock, wires: Wires, home: "Worker") -> None:
        super().__init__(clock)
        self._wires = wires
        self._home = home

    def leg(self, order: Any) -> Peer:
        is_deaf = len(self._wires.legs) % 3 == 0  # the first words of a goodbye get lost on the way to every third
        peer = Peer(super().leg(order), self._home, is_deaf=is_deaf)
        self._wires.legs.append(peer)
        return peer

    async def hang_up_stranger(self, facts: DialogFacts) -> None:
        self._wires.hang_up_stranger(facts["call_id"])


class Process:
    """Something that can be killed between any two steps."""

    def __init__(self, name: str, database: Database, traffic: Traffic) -> None:
        self.name = name
        self.wire = Wire(database, traffic)
        self.crew = Crew()
        self.is_alive = True
        self.traffic = traffic

    def begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        context = contextvars.copy_context()
        context.run(_CREW.set, self.crew)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let this process do `work` and everything that follows from it."""
        task = self.begin(work)
        await self.traffic.settle()
        return task.result() if task.done() else None

    async def crash(self) -> None:
        self.is_alive = False
        self.wire.hold("before")  # whatever a dying task may try still
        await self.crew.kill()


class Worker(Process):
    """A worker process: the real pool, lease, sweep and changes; its loops go round when the test says so."""

    def __init__(self, name: str, database: Database, traffic: Traffic, *, clock: Time, wires: Wires) -> None:
        super().__init__(name, database, traffic)
        sealer = Sealer("a key for tests")
        self.phone = Phone(clock, wires, self)
        self.changes = Changes(self.wire, sealer)
        self.queue = DialQueue(self.wire, sealer, lease=36_000.0)
        self.queue._vigil = Vigil(0.0)  # who watches how long is not what is proven here
        self._pulse = Pulse()
        self.lease = Lease(self.queue, Holder("worker", 1_000, "127.0.0.1", 5060), self._pulse)
        rescue = Rescue(self.changes, clock)

        async def add_legs(parent: Call, legs: Any) -> list[Call]:
            return await self.queue.add_legs(self.lease.worker_id, parent, legs)

        parts = PoolParts(
            database=self.wire,
            queue=self.queue,
            lease=self.lease,
            running=Running(self.phone, self.changes, clock, add_legs, no_sources(clock), lambda target: "127.0.0.1"),
            rescue=rescue,
            clock=clock,  # type: ignore[arg-type] # settles as the steady one does
            max_calls=1_000,
            max_wait=MAX_WAIT,
        )
        self.pool = Pool(parts)
        goodbyes = self.changes.goodbyes
        self._sweep = Sweep(self.queue, self.lease, rescue, max_wait=MAX_WAIT, phone=self.phone, goodbyes=goodbyes)

    @property
    def id(self) -> int:
        return self.lease.worker_id

    @property
    def runs(self) -> list[str]:
        """The calls in its hands, whoever owns them."""
        return list(self.pool._dials)

    async def start(self) -> None:
        await self.do(self._start())

    async def _start(self) -> None:
        await self.changes.start()
        await self.lease.register()
        pool = self.pool
        self.begin(self.lease.keep(lambda: pool.running, lambda: pool.accepting, pool.forfeit))

    async def heartbeat(self) -> None:
        self._pulse.beat()
        await self.traffic.settle()

    async def beat(self) -> None:
        self._pulse.beat()

    async def claim(self) -> bool:
        """What `claim_dials` does once; whether the database answered."""
        return await _answered(self.pool._claim_once())

    async def obey(self) -> bool:
        return await _answered(self.pool._obey_once())

    async def sweep(self) -> bool:
        return await _answered(self._sweep._once())

    async def leave(self) -> None:
        """SIGTERM with no grace."""
        await self.pool.drain(0)
        await self.lease.give_up()


class Courier(Process):
    """A dispatcher: what it has claimed and sent, and has not written down yet."""

    def __init__(self, name: str, database: Database, traffic: Traffic) -> None:
        super().__init__(name, database, traffic)
        self.outbox = Outbox(self.wire, Sealer("a key for tests"))
        self.outbox._swept = math.inf  # sweeps when the test says so
        self.hand: list[tuple[Delivery, str]] = []


async def _answered(work: Coroutine[Any, Any, Any]) -> bool:
    try:
        await work
    except Unavailable:
        return False
    return True
