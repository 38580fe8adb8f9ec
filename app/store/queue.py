"""The queue of dial requests and the leases on them; knows no SIP and no HTTP."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.call import Call, NewCall
from app.calls.errors import Unavailable
from app.calls.sid import AccountSid, CallSid
from app.runtime import log
from app.store import held, replacements
from app.store.calls import GET
from app.store.database import Database
from app.store.lost import NOBODY, LostDial, Rescuer, Vigil, take_lost
from app.store.replacements import Replacement
from app.store.rows import call_of, unsealed
from app.store.seal import Sealer
from app.store.statement import statement
from app.store.workers import LEASE, Capacity, Workers

__all__ = ["Capacity", "ClaimedDial", "DialQueue", "LostDial", "Replacement", "Wanted"]

T = TypeVar("T")
_Claim = Callable[[AsyncConnection, int], Awaitable[list[T]]]

_log = log.get(__name__)

_ACCOUNTS = 200  # at most, looked at in one claim
_FOREVER = 1e9  # seconds
_DOUBT_SECONDS = 30.0  # longer than the server can still be busy with the COMMIT of a connection that was cut

# FIFO per account, accounts in turn: the first of each, then the second of each. Accounts are found by hopping through
# the index from :start to its end and on from its beginning, and take their turns in that order: by age, whoever has
# ten thousand waiting would get every place that becomes free alone. There are more candidates than are wanted because
# another worker may be locking some of them right now.
CHOOSE = statement("""
WITH RECURSIVE account(sid, lap, place) AS (
    SELECT CAST(:start AS text), -1, 0
    UNION ALL
    SELECT following.*, a.place + 1 FROM account a CROSS JOIN LATERAL (
        (SELECT c.account_sid, GREATEST(a.lap, 0) AS lap FROM calls c
         WHERE c.run_at IS NOT NULL AND c.account_sid > a.sid ORDER BY c.account_sid LIMIT 1)
        UNION ALL
        (SELECT c.account_sid, 1 FROM calls c WHERE c.run_at IS NOT NULL AND a.lap < 1 ORDER BY c.account_sid LIMIT 1)
        LIMIT 1
    ) following
    WHERE following.lap < 1 OR following.account_sid <= :start
), candidate AS MATERIALIZED (
    SELECT due.*, a.place FROM (SELECT sid, place FROM account WHERE lap >= 0 LIMIT :accounts) a CROSS JOIN LATERAL (
        SELECT c.sid, row_number() OVER (ORDER BY c.run_at, c.placed_no) AS turn
        FROM calls c
        WHERE c.account_sid = a.sid AND c.run_at >= now() - make_interval(secs => :oldest)
          AND c.run_at < now() - make_interval(secs => :youngest)
        ORDER BY c.run_at, c.placed_no LIMIT :depth) due
    ORDER BY due.turn, a.place LIMIT :depth
)
SELECT c.sid, c.account_sid, EXTRACT(epoch FROM now() - c.run_at) AS waited
FROM candidate k JOIN calls c ON c.sid = k.sid
WHERE c.sid = ANY(ARRAY(SELECT sid FROM candidate)) AND c.run_at IS NOT NULL
ORDER BY k.turn, k.place LIMIT :limit FOR UPDATE OF c SKIP LOCKED
""")
CHOOSE_ONE = statement("""
SELECT sid, account_sid, EXTRACT(epoch FROM now() - run_at) AS waited
FROM calls WHERE sid = :sid AND run_at IS NOT NULL FOR UPDATE
""")
OWN = statement("""
WITH parent AS (
    UPDATE calls SET worker_id = :worker, epoch = epoch + 1, claim_token = :token, run_at = NULL
    WHERE sid = ANY(CAST(:sids AS text[])) RETURNING *
), leg AS (
    UPDATE calls SET worker_id = CASE WHEN end_time IS NULL THEN CAST(:worker AS bigint) END, epoch = epoch + 1,
                     claim_token = :token
    WHERE parent_sid = ANY(CAST(:sids AS text[])) RETURNING *
)
SELECT {CALL}, d.sealed
FROM (SELECT * FROM parent UNION ALL SELECT * FROM leg) c LEFT JOIN call_document d ON d.call_sid = c.sid
ORDER BY c.leg_index NULLS FIRST
""")
DISOWN = statement("""
WITH goodbyes AS (
    UPDATE goodbye SET worker_id = :nobody WHERE worker_id = :worker AND claim_token = ANY(CAST(:tokens AS bigint[]))
)
UPDATE calls SET worker_id = :nobody WHERE worker_id = :worker AND claim_token = ANY(CAST(:tokens AS bigint[]))
""")
WANT = statement("""
WITH asked AS (
    UPDATE calls SET wanted = :wanted WHERE sid = :sid AND account_sid = :account AND end_time IS NULL RETURNING sid
)
SELECT pg_notify('command', sid) FROM asked
""")
WANTED = statement("SELECT sid FROM calls WHERE worker_id = :worker AND wanted IS NOT NULL")

WANTED_AND_DUE = statement("SELECT sid FROM calls WHERE run_at IS NOT NULL AND wanted IS NOT NULL LIMIT 100")


@dataclass(frozen=True, slots=True)
class ClaimedDial:
    parent: Call
    legs: list[Call]  # all that are stored, by leg_index; after a hand-back some may have ended
    document: bytes  # the plan's JSON, unsealed
    waited: float  # seconds since it became due
    replacement: bytes | None = None  # the newest document that the API gave it instead while it waited


@dataclass(frozen=True, slots=True)
class Wanted:
    call: Call  # as it is; `wanted` included unless it is final
    parent_sid: CallSid | None
    held: bool  # whether a worker holds it


class DialQueue:
    """Raises Unavailable from every method. `lease` is for tests."""

    def __init__(self, database: Database, sealer: Sealer, *, lease: float = LEASE) -> None:
        self._database = database
        self._sealer = sealer
        self._workers = Workers(database, lease)
        self._vigil = Vigil(lease)
        self._doubtful: dict[int, dict[int, float]] = {}  # by worker: tokens of claims and when they failed
        self._served = _anywhere()  # the account that had its turn last

    async def register(self, *, role: str, capacity: int, sip_host: str, sip_port: int) -> int:
        """A heartbeat row for this process; its lease begins now."""
        return await self._workers.register(role=role, capacity=capacity, sip_host=sip_host, sip_port=sip_port)

    async def name(self, worker_id: int) -> str:
        """What a successor may call this worker by in `lost`, once it is known to be dead."""
        return await self._workers.name(worker_id)

    async def heartbeat(self, worker_id: int, *, running: int, accepting: bool) -> datetime | None:
        """The database's time; None: the row is gone or taken; register again, what was held is somebody else's."""
        return await self._workers.heartbeat(worker_id, running=running, accepting=accepting)

    async def unregister(self, worker_id: int) -> None:
        """Calls that it still holds are taken over by a survivor as soon as one looks."""
        await self._workers.unregister(worker_id)

    async def capacity(self) -> Capacity:
        """At most 0.1 s old."""
        return await self._workers.capacity()

    async def claim(self, worker_id: int, *, limit: int, max_wait: float) -> list[ClaimedDial]:
        """Due parents with their legs, FIFO per account, accounts in turn; nothing that waited over `max_wait` s."""
        dials = await self._claim(worker_id, limit=limit, oldest=max_wait, youngest=-_FOREVER, start=self._served)
        self._served = dials[-1].parent.account_sid if dials else _anywhere()
        self._workers.claimed(worker_id, len(dials))
        return dials

    async def expired(self, worker_id: int, *, max_wait: float, limit: int = 100) -> list[ClaimedDial]:
        """Parents that waited longer than `max_wait` seconds, claimed so that they can be ended."""
        return await self._claim(worker_id, limit=limit, oldest=_FOREVER, youngest=max_wait, start=_anywhere())

    async def take(self, worker_id: int, sid: CallSid) -> ClaimedDial | None:
        """One unclaimed parent, claimed; None when it is not there to take."""

        async def choose(connection: AsyncConnection, token: int) -> list[ClaimedDial]:
            chosen = (await connection.execute(CHOOSE_ONE, {"sid": sid})).all()
            return await self._own(connection, chosen, worker_id=worker_id, token=token)

        dials = await self._surely(worker_id, choose)
        return dials[0] if dials else None

    async def add_legs(self, worker_id: int, parent: Call, legs: Sequence[NewCall]) -> list[Call]:
        """A later Dial's legs, held by `worker_id`, once however often it is asked. Raises Fenced when the parent is
        not this worker's any more, or is its own anew: it may have lost it and been given it again.
        """

        async def work(connection: AsyncConnection) -> list[Call]:
            return await held.add_legs(connection, worker_id, parent, legs, sealer=self._sealer)

        return await self._database.run(work)

    async def adopt(self, worker_id: int, call: NewCall, dialog: Mapping[str, Any]) -> Call:
        """A parent that came to this worker by itself, stored in its hands and as dialled: `dialog` ends it on the
        wire should the worker die. Raises Fenced.
        """

        async def work(connection: AsyncConnection) -> Call:
            return await held.adopt(connection, worker_id, call, dialog, sealer=self._sealer)

        return await self._database.run(work)

    async def lost(self, worker_id: int, limit: int = 100, *, predecessor: str = "") -> list[LostDial]:
        """Call about every second. Calls of lapsed leases: those that nobody dialled go back to the queue, the others,
        and those that ended unheard, come to `worker_id` and are returned. Nobody is judged until a whole lease has
        been watched without a gap, but `predecessor` (its name), known to be dead because this worker has its place,
        and whom others judged.
        """

        async def look(connection: AsyncConnection, token: int) -> list[LostDial]:
            rescuer = Rescuer(worker_id, token, predecessor)
            return await take_lost(connection, rescuer, self._vigil, limit=limit, sealer=self._sealer)

        return await self._surely(worker_id, look)

    async def want(self, account: AccountSid, sid: str, wanted: str) -> Wanted | None:
        """Store what the API asks of a call that has not ended, and wake whoever holds it; None: no such call."""
        key = {"account": account, "sid": sid}

        async def work(connection: AsyncConnection) -> Wanted | None:
            await connection.execute(WANT, {**key, "wanted": wanted})
            return await self._asked_of(connection, key)

        return await self._database.run(work)

    async def replace(self, account: AccountSid, sid: str, document: bytes) -> Wanted | None:
        """Store a parent's new document and wake whoever holds it; None: there is no such parent that has not ended."""
        key = {"account": account, "sid": sid}

        async def work(connection: AsyncConnection) -> Wanted | None:
            if not await replacements.replace(connection, key, document, self._sealer):
                return None
            return await self._asked_of(connection, key)

        return await self._database.run(work)

    async def replacements(self, worker_id: int) -> list[Replacement]:
        """The new documents of this worker's calls, the newest of each, once."""

        async def work(connection: AsyncConnection) -> list[Replacement]:
            return await replacements.take(connection, worker_id, self._sealer)

        return await self._database.run(work, one=True)

    async def _asked_of(self, connection: AsyncConnection, key: Mapping[str, str]) -> Wanted | None:
        row = (await connection.execute(GET, key)).mappings().one_or_none()
        if row is None:
            return None
        call = call_of(row, self._sealer)
        return Wanted(call, call.parent_sid, call.worker_id is not None)

    async def wanted(self, worker_id: int) -> list[CallSid]:
        """The calls of this worker that the API wants ended."""

        async def work(connection: AsyncConnection) -> list[CallSid]:
            rows = await connection.execute(WANTED, {"worker": worker_id})
            return [CallSid(row.sid) for row in rows]

        return await self._database.run(work, one=True)

    async def take_wanted(self, worker_id: int) -> list[ClaimedDial]:
        """Parents that the API ended while they waited, claimed so that they need not wait for a free slot.

        The database may go away between two of them: those that are claimed by then are returned, and must be ended.
        """

        async def work(connection: AsyncConnection) -> list[CallSid]:
            return [CallSid(row.sid) for row in await connection.execute(WANTED_AND_DUE)]

        taken: list[ClaimedDial] = []
        for sid in await self._database.run(work, one=True):
            try:
                dial = await self.take(worker_id, sid)
            except Unavailable as error:
                _log.warning("queue.take_wanted_stops", taken=len(taken), error=str(error))
                break
            if dial is not None:
                taken.append(dial)
        return taken

    async def _claim(
        self, worker_id: int, *, limit: int, oldest: float, youngest: float, start: str
    ) -> list[ClaimedDial]:
        if limit <= 0:
            return []
        depth = 2 * limit + 10
        accounts = min(depth, _ACCOUNTS)  # each has one candidate at least
        window = {"start": start, "limit": limit, "depth": depth, "accounts": accounts}
        window |= {"oldest": oldest, "youngest": youngest}

        async def choose(connection: AsyncConnection, token: int) -> list[ClaimedDial]:
            chosen = (await connection.execute(CHOOSE, window)).all()
            return await self._own(connection, chosen, worker_id=worker_id, token=token)

        return await self._surely(worker_id, choose)

    async def _own(
        self, connection: AsyncConnection, chosen: Sequence[Row[Any]], *, worker_id: int, token: int
    ) -> list[ClaimedDial]:
        if not chosen:
            return []
        sids = [row.sid for row in chosen]
        owner = {"worker": worker_id, "token": token, "sids": sids}
        parents: dict[CallSid, tuple[Call, bytes]] = {}
        legs: dict[CallSid, list[Call]] = {sid: [] for sid in sids}
        for row in (await connection.execute(OWN, owner)).mappings():
            call = call_of(row, self._sealer)
            if call.parent_sid is None:
                parents[call.sid] = (call, unsealed(row["sealed"], call.sid, self._sealer))
            else:
                legs[call.parent_sid].append(call)
        replaced = await replacements.take_of(connection, sids, self._sealer)
        return [
            ClaimedDial(
                parents[row.sid][0], legs[row.sid], parents[row.sid][1], float(row.waited), replaced.get(row.sid)
            )
            for row in chosen
        ]

    async def _surely(self, worker_id: int, claim: _Claim[T]) -> list[T]:
        """`claim` in a transaction. Claims whose COMMIT was never answered are disowned first: the next look for lost
        calls brings them back; without this they would stay with a worker that does not know of them.
        """
        doubtful = self._doubtful.setdefault(worker_id, {})
        tokens: list[int] = []

        async def work(connection: AsyncConnection) -> list[T]:
            if unsure := [*doubtful, *tokens]:
                await connection.execute(DISOWN, {"worker": worker_id, "nobody": NOBODY, "tokens": unsure})
            tokens.append(secrets.randbits(62))
            return await claim(connection, tokens[-1])

        try:
            found = await self._database.run(work)
        except BaseException:  # a cancelled claim too may have been committed
            doubtful.update(dict.fromkeys(tokens, time.monotonic()))
            raise
        for token, since in list(doubtful.items()):
            if time.monotonic() - since > _DOUBT_SECONDS:
                del doubtful[token]
        return found


def _anywhere() -> str:
    """Before or after any account, as chance has it."""
    return "AC" + secrets.token_hex(4)
