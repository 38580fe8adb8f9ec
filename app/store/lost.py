"""Takes calls from processes whose lease has lapsed: back to the queue, or over to a rescuer. Hangs up nothing."""

import time
from dataclasses import dataclass, replace
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
UNION
SELECT g.worker_id FROM goodbye g WHERE NOT EXISTS (SELECT FROM worker w WHERE w.id = g.worker_id)
""")
ROOTS = statement("""
SELECT COALESCE(parent_sid, sid) AS root FROM calls WHERE worker_id = ANY(CAST(:dead AS bigint[]))
UNION
SELECT COALESCE(c.parent_sid, c.sid) FROM goodbye g JOIN calls c ON c.sid = g.call_sid
WHERE g.worker_id = ANY(CAST(:dead AS bigint[]))
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
FROM (SELECT COALESCE(c.parent_sid, c.sid) AS root, COALESCE(g.worker_id, c.worker_id) AS worker_id
      FROM calls c LEFT JOIN goodbye g ON g.call_sid = c.sid AND g.worker_id = ANY(CAST(:dead AS bigint[]))
      WHERE (c.worker_id = ANY(CAST(:dead AS bigint[])) OR g.worker_id IS NOT NULL)
        AND (c.sid = ANY(CAST(:roots AS text[])) OR c.parent_sid = ANY(CAST(:roots AS text[])))) AS held
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
# Ended calls whose peers the dead one may not have reached.
TAKE_GOODBYES = statement("""
UPDATE goodbye g SET worker_id = :worker, claim_token = :token FROM calls c
WHERE g.worker_id = ANY(CAST(:dead AS bigint[])) AND c.sid = g.call_sid
  AND (c.sid = ANY(CAST(:roots AS text[])) OR c.parent_sid = ANY(CAST(:roots AS text[])))
RETURNING g.call_sid, g.dialog
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
    """A family of calls whose worker died after an INVITE may have left. Its unended calls have a new epoch; of its
    ended ones those that are `unheard` may still be up at their peers.

    Where the dead one was bound is its last address as a worker ("" and 0 when not known); the socket of a leg that
    had been rescued before is in its dialog facts.
    """

    parent: Call
    legs: list[Call]  # ended ones included, by leg_index
    worker_id: int  # the dead one
    sip_host: str
    sip_port: int
    unheard: frozenset[CallSid] = frozenset()


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
    lost = await _take_over(connection, rescuer, over, dead, sealer=sealer)
    await connection.execute(BURY, {"dead": dead})
    return lost


async def _take_over(
    connection: AsyncConnection, rescuer: Rescuer, holders: dict[CallSid, int], dead: list[int], *, sealer: Sealer
) -> list[LostDial]:
    if not holders:
        return []
    roots = list(holders)
    taker = {"roots": roots, "worker": rescuer.worker_id, "token": rescuer.token}
    await connection.execute(TAKE_OVER, taker)
    unheard = {row.call_sid: row.dialog for row in await connection.execute(TAKE_GOODBYES, {**taker, "dead": dead})}
    rows = (await connection.execute(FAMILY, {"roots": roots})).mappings()
    addresses = {
        row.id: (row.sip_host, row.sip_port)
        for row in await connection.execute(ADDRESSES, {"dead": list(holders.values())})
    }
    families: dict[CallSid, list[Call]] = {root: [] for root in roots}
    for call in (call_of(row, sealer) for row in rows):
        newest = replace(call, dialog=unheard.get(call.sid) or call.dialog)
        families[call.parent_sid or call.sid].append(newest)
    return [
        LostDial(
            parent, legs, holders[root], *addresses.get(holders[root], ("", 0)),
            unheard=frozenset(call.sid for call in (parent, *legs) if call.sid in unheard),
        )
        for root, (parent, *legs) in families.items()
    ]  # fmt: skip
