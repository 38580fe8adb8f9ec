"""Takes calls from processes whose lease has lapsed: back to the queue, or over to a rescuer. Hangs up nothing."""

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import Call
from app.calls.sid import CallSid
from app.store.rows import call_of
from app.store.seal import Sealer
from app.store.statement import statement

NOBODY = 0  # the worker of calls whose claim was committed but never heard of; no heartbeat row has this id

ONE_RESCUER = statement("SELECT pg_try_advisory_xact_lock(hashtext('dial-to-sip rescue'))")
SERVER_START = statement("SELECT pg_postmaster_start_time()")
# What the supervisor saw die needs no watching.
DECLARE = statement("""
UPDATE worker SET taken = true, accepting = false, lease_until = now()
WHERE id = :id AND {WORKER_NAME} = :name AND NOT taken
""")
# Who holds calls is found by hopping from one worker_id of the index to the next. A lease that has just lapsed is left
# for a moment to the process that takes the dead one's place: it is bound where the peers' answers go.
DEAD = statement("""
WITH RECURSIVE holder(id) AS (
    (SELECT worker_id FROM calls WHERE worker_id IS NOT NULL ORDER BY worker_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.worker_id FROM calls c WHERE c.worker_id > h.id ORDER BY c.worker_id LIMIT 1)
    FROM holder h WHERE h.id IS NOT NULL
), late AS (
    UPDATE worker SET taken = true, accepting = false
    WHERE taken OR (CAST(:watched AS boolean) AND lease_until < now() - make_interval(secs => :grace)) RETURNING id
)
SELECT id FROM late
UNION
SELECT h.id FROM holder h WHERE h.id IS NOT NULL AND NOT EXISTS (SELECT FROM worker w WHERE w.id = h.id)
""")
ROOTS = statement("""
SELECT DISTINCT COALESCE(parent_sid, sid) AS root FROM calls WHERE worker_id = ANY(CAST(:dead AS bigint[]))
ORDER BY root LIMIT :limit
""")
# Who was taken for dead may be writing still. Its parents are locked first, so that it adds no more legs, then all of
# their legs, so that none becomes a dialled one: what is read after that stays true until the epoch has been raised.
HOLD_PARENTS = statement("SELECT FROM calls WHERE sid = ANY(CAST(:roots AS text[])) ORDER BY sid FOR UPDATE")
HOLD_LEGS = statement("SELECT FROM calls WHERE parent_sid = ANY(CAST(:roots AS text[])) ORDER BY sid FOR UPDATE")
FAMILIES = statement("""
SELECT root, min(held.worker_id) AS worker_id,
       bool_or(EXISTS (SELECT FROM calls f WHERE (f.sid = root OR f.parent_sid = root) AND f.dialed_at IS NOT NULL))
       OR bool_or(EXISTS (SELECT FROM calls f WHERE f.sid = root AND f.end_time IS NOT NULL)) AS dialed
FROM (SELECT COALESCE(parent_sid, sid) AS root, worker_id FROM calls
      WHERE worker_id = ANY(CAST(:dead AS bigint[]))
        AND (sid = ANY(CAST(:roots AS text[])) OR parent_sid = ANY(CAST(:roots AS text[])))) AS held
GROUP BY root ORDER BY root
""")
# The epoch is raised here too: what the dead one may still write must not turn a queued call into a dialled one.
HAND_BACK = statement("""
WITH back AS (
    UPDATE calls SET worker_id = NULL, epoch = epoch + 1, run_at = CASE WHEN parent_sid IS NULL THEN now() END
    WHERE (sid = ANY(CAST(:roots AS text[])) OR parent_sid = ANY(CAST(:roots AS text[]))) AND end_time IS NULL
    RETURNING 1
)
SELECT (SELECT pg_notify('dial', '') FROM (SELECT FROM back LIMIT 1) AS any_row)
""")
TAKE_OVER = statement("""
UPDATE calls SET worker_id = :worker, epoch = epoch + 1, claim_token = :token
WHERE (sid = ANY(CAST(:roots AS text[])) OR parent_sid = ANY(CAST(:roots AS text[]))) AND end_time IS NULL
""")
FAMILY = statement("""
SELECT {CALL} FROM {CALLS}
WHERE c.sid = ANY(CAST(:roots AS text[])) OR c.parent_sid = ANY(CAST(:roots AS text[]))
ORDER BY c.leg_index NULLS FIRST
""")
ADDRESSES = statement("SELECT id, sip_host, sip_port FROM worker WHERE id = ANY(CAST(:dead AS bigint[]))")
BURY = statement("""
DELETE FROM worker w WHERE w.taken AND w.id = ANY(CAST(:dead AS bigint[]))
    AND NOT EXISTS (SELECT FROM calls c WHERE c.worker_id = w.id)
""")


@dataclass(frozen=True, slots=True)
class LostDial:
    """A family of calls whose worker died after an INVITE may have left. Its unended calls have a new epoch.

    Where the dead one was bound is its last address as a worker ("" and 0 when not known); the socket of a leg that
    had been rescued before is in its dialog facts.
    """

    parent: Call
    legs: list[Call]  # ended ones included, by leg_index
    worker_id: int  # the dead one
    sip_host: str
    sip_port: int


class Vigil:
    """Whether we have watched for a whole lease without a gap: else everybody looks dead after an outage."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self.grace = lease / 2  # seconds that a lapsed lease is left to whoever knows better
        self._server: datetime | None = None
        self._since = self._last = time.monotonic()

    def look(self, server_start: datetime) -> bool:
        """Call with each look at the leases; more than half a lease between two of them is a gap."""
        now = time.monotonic()
        if server_start != self._server or now - self._last > self._lease / 2:
            self._server, self._since = server_start, now
        self._last = now
        return now - self._since >= self._lease


@dataclass(frozen=True, slots=True)
class Rescuer:
    worker_id: int
    token: int
    predecessor: str = ""  # the name of the worker whose place this one took, known to be dead


async def take_lost(
    connection: AsyncConnection, rescuer: Rescuer, vigil: Vigil, *, limit: int, sealer: Sealer
) -> list[LostDial]:
    """One look, by one process at a time; nothing when another one is looking."""
    watched = vigil.look((await connection.execute(SERVER_START)).scalar_one())
    if not (await connection.execute(ONE_RESCUER)).scalar_one():
        return []
    if rescuer.predecessor:
        name = rescuer.predecessor
        await connection.execute(DECLARE, {"id": int(name.partition("@")[0]), "name": name})
    dead = list((await connection.execute(DEAD, {"watched": watched, "grace": vigil.grace})).scalars())
    if not dead:
        return []
    roots = list((await connection.execute(ROOTS, {"dead": dead, "limit": limit})).scalars())
    await connection.execute(HOLD_PARENTS, {"roots": roots})
    await connection.execute(HOLD_LEGS, {"roots": roots})
    families = (await connection.execute(FAMILIES, {"dead": dead, "roots": roots})).all()
    if back := [family.root for family in families if not family.dialed]:
        await connection.execute(HAND_BACK, {"roots": back})
    over = {family.root: family.worker_id for family in families if family.dialed}
    lost = await _take_over(connection, rescuer, over, sealer)
    await connection.execute(BURY, {"dead": dead})
    return lost


async def _take_over(
    connection: AsyncConnection, rescuer: Rescuer, holders: dict[CallSid, int], sealer: Sealer
) -> list[LostDial]:
    if not holders:
        return []
    roots = list(holders)
    await connection.execute(TAKE_OVER, {"roots": roots, "worker": rescuer.worker_id, "token": rescuer.token})
    rows = (await connection.execute(FAMILY, {"roots": roots})).mappings()
    addresses = {
        row.id: (row.sip_host, row.sip_port)
        for row in await connection.execute(ADDRESSES, {"dead": list(holders.values())})
    }
    families: dict[CallSid, list[Call]] = {root: [] for root in roots}
    for call in (call_of(row, sealer) for row in rows):
        families[call.parent_sid or call.sid].append(call)
    return [
        LostDial(calls[0], calls[1:], holders[root], *addresses.get(holders[root], ("", 0)))
        for root, calls in families.items()
    ]
