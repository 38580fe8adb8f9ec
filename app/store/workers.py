"""The heartbeat rows of processes and what they say about free capacity; knows no call."""

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database
from app.store.statement import statement

LEASE = 6.0  # seconds, by the database's clock; renewed every 2
_CAPACITY_SECONDS = 0.1  # every dial request asks; the answer need not be newer than this
_SMOOTHING = 0.5  # weight of the newest heartbeat in the rate

REGISTER = statement("""
INSERT INTO worker (role, capacity, sip_host, sip_port, lease_until)
VALUES (:role, :capacity, :sip_host, :sip_port, now() + make_interval(secs => :lease)) RETURNING id
""")
# A row that was taken for dead stays so: its calls are somebody else's by now.
HEARTBEAT = statement("""
UPDATE worker SET running = :running, accepting = :accepting, rate = :rate,
                  lease_until = now() + make_interval(secs => :lease)
WHERE id = :id AND NOT taken RETURNING clock_timestamp() AS now
""")
NAME = statement("SELECT {WORKER_NAME} AS name FROM worker WHERE id = :id")
LEAVE = statement("UPDATE worker SET accepting = false, lease_until = now() WHERE id = :id")
FORGET = statement("DELETE FROM worker WHERE id = :id AND NOT EXISTS (SELECT FROM calls WHERE worker_id = :id)")
CAPACITY = statement("""
SELECT count(*) AS workers, COALESCE(sum(GREATEST(capacity - running, 0)), 0) AS free, COALESCE(sum(rate), 0) AS rate,
       (SELECT count(*) FROM (SELECT FROM calls WHERE run_at IS NOT NULL LIMIT 10000) AS due) AS waiting
FROM worker WHERE role = 'worker' AND accepting AND NOT taken AND lease_until > now()
""")


@dataclass(frozen=True, slots=True)
class Capacity:
    workers: int  # alive and accepting
    free: int  # slots
    waiting: int  # unclaimed parents, counted up to 10,000
    rate: float  # claims per second, lately, over all workers


@dataclass(slots=True)
class _Rate:
    """Claims per second of one worker, smoothed over its heartbeats."""

    since: float
    claims: int = 0
    rate: float = 0.0

    def beat(self, now: float) -> float:
        if now > self.since:
            self.rate += _SMOOTHING * (self.claims / (now - self.since) - self.rate)
            self.since, self.claims = now, 0
        return self.rate


class Workers:
    """Raises Unavailable from every method but `claimed`."""

    def __init__(self, database: Database, lease: float) -> None:
        self._database = database
        self._lease = lease
        self._rates: dict[int, _Rate] = {}
        self._capacity: tuple[float, Capacity] | None = None

    async def register(self, *, role: str, capacity: int, sip_host: str, sip_port: int) -> int:
        row = {"role": role, "capacity": capacity, "sip_host": sip_host, "sip_port": sip_port, "lease": self._lease}

        async def work(connection: AsyncConnection) -> int:
            return int((await connection.execute(REGISTER, row)).scalar_one())

        worker_id = await self._database.run(work)
        self._rates[worker_id] = _Rate(time.monotonic())
        return worker_id

    async def name(self, worker_id: int) -> str:
        async def work(connection: AsyncConnection) -> str:
            return str((await connection.execute(NAME, {"id": worker_id})).scalar_one())

        return await self._database.run(work, one=True)

    async def heartbeat(self, worker_id: int, *, running: int, accepting: bool) -> datetime | None:
        rate = self._rates.setdefault(worker_id, _Rate(time.monotonic())).beat(time.monotonic())
        row = {"id": worker_id, "running": running, "accepting": accepting, "rate": rate, "lease": self._lease}

        async def work(connection: AsyncConnection) -> datetime | None:
            return (await connection.execute(HEARTBEAT, row)).scalar_one_or_none()

        return await self._database.run(work, one=True)

    async def unregister(self, worker_id: int) -> None:
        """Calls that it still holds are taken over by a survivor as soon as one looks."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(LEAVE, {"id": worker_id})
            await connection.execute(FORGET, {"id": worker_id})

        await self._database.run(work)
        self._rates.pop(worker_id, None)

    def claimed(self, worker_id: int, count: int) -> None:
        """Count towards the rate that the next heartbeat stores."""
        self._rates.setdefault(worker_id, _Rate(time.monotonic())).claims += count

    async def capacity(self) -> Capacity:
        now = time.monotonic()
        if self._capacity is not None and now - self._capacity[0] < _CAPACITY_SECONDS:
            return self._capacity[1]

        async def work(connection: AsyncConnection) -> Capacity:
            row = (await connection.execute(CAPACITY)).one()
            return Capacity(row.workers, int(row.free), row.waiting, float(row.rate))

        capacity = await self._database.run(work, seconds=2.0, one=True)
        self._capacity = (now, capacity)
        return capacity
