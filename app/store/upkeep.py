"""Makes tomorrow's partitions, drops those that are old enough and forgets old keys. Run it about every hour."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.runtime import log
from app.store.database import Database
from app.store.failure import is_transient
from app.store.statement import statement
from app.store.tables import sip_message, webhook_attempt, webhook_delivery

_log = log.get(__name__)

RETENTION_DAYS = 30
TRACE_DAYS = 7  # a call's SIP messages are 5 to 10 KB: 100 calls/s make some 60 GB a day
AHEAD_DAYS = 3

ONE_AT_A_TIME = statement("SELECT pg_try_advisory_xact_lock(hashtext('dial-to-sip upkeep'))")
TODAY = statement("SELECT CAST(now() AT TIME ZONE 'UTC' AS date)")
PARTITIONS = statement("""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass(:parent) ORDER BY c.relname
""")
FORGET_KEYS = statement("""
DELETE FROM idempotency WHERE (account_sid, key) IN (
    SELECT account_sid, key FROM idempotency WHERE created_at < now() - interval '24 hours'
    ORDER BY account_sid, key LIMIT 10000 FOR UPDATE SKIP LOCKED)
""")
FORGET_REPLACEMENTS = statement("""
DELETE FROM call_replacement WHERE call_sid IN (
    SELECT r.call_sid FROM call_replacement r JOIN calls c ON c.sid = r.call_sid
    WHERE c.end_time IS NOT NULL ORDER BY r.call_sid LIMIT 10000)
""")
FORGET_SECRETS = statement("DELETE FROM webhook_secret WHERE expires_at < now()")

# A partition is made beside its parent and attached: CREATE ... PARTITION OF would lock out everybody for as long as
# the default partition is scanned. What the default partition caught for that day moves over in the same transaction.
_MAKE = (
    "SET LOCAL lock_timeout = '1s'",
    "CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)",
    "ALTER TABLE {name} ADD CONSTRAINT bounds CHECK ({column} >= '{first}' AND {column} < '{next}')",
    "LOCK TABLE {parent}_default IN ACCESS EXCLUSIVE MODE",  # nothing may slip in between the two steps that follow
    "WITH moved AS (DELETE FROM {parent}_default WHERE {column} >= '{first}' AND {column} < '{next}' RETURNING *) "
    "INSERT INTO {name} SELECT * FROM moved",
    "ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{first}') TO ('{next}')",
    "ALTER TABLE {name} DROP CONSTRAINT bounds",
)
_DROP = ("SET LOCAL lock_timeout = '1s'", "DROP TABLE {name}")

_COLUMNS = {webhook_delivery.name: "finished_at", webhook_attempt.name: "logged_at", sip_message.name: "logged_at"}
_NAME = re.compile(r"_p([0-9]{8})\Z")


@dataclass(frozen=True, slots=True)
class Partition:
    parent: str
    day: date

    @property
    def name(self) -> str:
        return f"{self.parent}_p{self.day:%Y%m%d}"

    def filled(self, sql: str) -> str:
        first, following = (f"{day:%Y-%m-%d} 00:00:00+00" for day in (self.day, self.day + timedelta(days=1)))
        names = {"name": self.name, "parent": self.parent, "column": _COLUMNS[self.parent]}
        return sql.format(**names, first=first, next=following)


class Upkeep:
    """Several processes may call it: one at a time does the work. Raises Unavailable."""

    def __init__(self, database: Database, *, retention_days: int = RETENTION_DAYS) -> None:
        self._database = database
        self._retention = dict.fromkeys(_COLUMNS, timedelta(days=retention_days))
        self._retention[sip_message.name] = timedelta(days=min(TRACE_DAYS, retention_days))

    async def run(self) -> None:
        today = await self._database.run(_today)
        wanted = {today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1)}
        for parent in _COLUMNS:
            there = await self._days(parent)
            await self._each(_MAKE, parent, wanted - there)
            # Whole days only: a row is kept for at least its retention.
            await self._each(_DROP, parent, {day for day in there if day < today - self._retention[parent]})
        await self._database.run(_forget)

    async def _days(self, parent: str) -> set[date]:
        async def work(connection: AsyncConnection) -> set[date]:
            names = (await connection.execute(PARTITIONS, {"parent": parent})).scalars()
            found = (_NAME.search(name) for name in names)
            return {datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date() for match in found if match}

        return await self._database.run(work)

    async def _each(self, steps: Iterable[str], parent: str, days: Iterable[date]) -> None:
        for partition in (Partition(parent, day) for day in sorted(days)):
            await self._change(steps, partition)

    async def _change(self, steps: Iterable[str], partition: Partition) -> None:
        async def work(connection: AsyncConnection) -> bool:
            if not (await connection.execute(ONE_AT_A_TIME)).scalar_one():
                return False
            for step in steps:
                await connection.execute(text(partition.filled(step)))
            return True

        try:
            if await self._database.run(work):
                _log.info("upkeep.partition", partition=partition.name, step=list(steps)[-1].split()[0].lower())
        except DBAPIError as error:
            if is_transient(error):
                raise
            # Another process has just done it: what is there already, or is gone already, is as wanted.
            _log.warning("upkeep.partition_left", partition=partition.name, error=str(error.orig).strip())


async def _today(connection: AsyncConnection) -> date:
    day: date = (await connection.execute(TODAY)).scalar_one()
    return day


async def _forget(connection: AsyncConnection) -> None:
    await connection.execute(FORGET_KEYS)
    await connection.execute(FORGET_REPLACEMENTS)
    await connection.execute(FORGET_SECRETS)
