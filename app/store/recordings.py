"""The rows of recordings, each change with the delivery that it owes; knows nothing of files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import RowMapping, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.callback import HttpMethod
from app.calls.change import Owed
from app.calls.errors import NotFound, RecordingRuns
from app.calls.recording import Recording, RecordingNotice, RecordingOrder, RecordingState
from app.calls.sid import AccountSid, CallSid, RecordingSid
from app.store.database import Database
from app.store.destinations import Destinations
from app.store.recording_statements import (
    BEGIN,
    DELETE,
    DOOMED,
    EXPIRE,
    FIND,
    FINISH,
    FORSAKEN,
    GET,
    GONE,
    OF_CALL,
    OF_CALLS,
    PAGE,
    STANDING,
)
from app.store.rows import origin_of, real_url, sealed_url, to_json
from app.store.seal import Sealer


@dataclass(frozen=True, slots=True)
class Kept:
    """How a recording ended and where its audio is; `location` None: there is none (absent)."""

    state: RecordingState
    duration: float = 0.0  # seconds
    size: int | None = None  # bytes
    location: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRecording:
    recording: Recording
    location: str | None
    notice: RecordingNotice | None
    deleted: bool
    orphaned: bool  # nobody records it any more: its call has ended, or is in other hands than when it began


class RecordingRows:
    """Raises Unavailable from every method. What has been deleted is not shown to an account again."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._destinations = Destinations(database)

    async def begin(self, order: RecordingOrder, owed: Owed | None) -> None:
        """Once however often it is asked."""
        recording = self._columns(order)
        parameters = {
            "recording": to_json(recording),
            "owed": await self._owed(owed, order.call.account_sid, order.call.sid),
        }
        await self._execute(BEGIN, parameters)

    async def finish(self, recording: Recording, kept: Kept, owed: Owed | None) -> bool:
        """False, and nothing written or owed, when it was not in progress any more."""
        parameters = {
            "sid": recording.sid,
            "state": kept.state,
            "duration": kept.duration,
            "size": kept.size,
            "location": kept.location,
            "call": recording.call_sid,
            "owed": await self._owed(owed, recording.account_sid, recording.call_sid),
        }
        return bool(await self._execute(FINISH, parameters))

    async def get(self, account: AccountSid, sid: str) -> StoredRecording:
        """Raises NotFound, also for another account's and for a deleted one."""
        return self._one(await self._execute(GET, {"account": account, "sid": sid}), sid)

    async def find(self, sid: str) -> StoredRecording:
        """Whoever's it is: for a link that proves itself. Raises NotFound."""
        return self._one(await self._execute(FIND, {"sid": sid}), sid)

    async def of_call(self, account: AccountSid, call: CallSid) -> list[Recording]:
        """A call's own, and of a parent its legs' too, as they began; of a leg also that of its Dial."""
        rows = await self._execute(OF_CALL, {"account": account, "call": call})
        return [self._stored(row).recording for row in rows]

    async def of_calls(self, calls: Sequence[CallSid]) -> dict[CallSid, list[RecordingSid]]:
        """The sids of those that have any, as they began."""
        found: dict[CallSid, list[RecordingSid]] = {}
        if calls:
            for row in await self._execute(OF_CALLS, {"calls": list(calls)}):
                found.setdefault(row["call_sid"], []).append(row["sid"])
        return found

    async def page(self, account: AccountSid, *, size: int, after: tuple[datetime, str] | None) -> list[Recording]:
        """Newest first by (started_at, sid), up to size + 1."""
        time, sid = after or (None, None)
        rows = await self._execute(PAGE, {"account": account, "limit": size + 1, "time": time, "sid": sid})
        return [self._stored(row).recording for row in rows]

    async def standing(self, sids: Sequence[RecordingSid]) -> dict[RecordingSid, StoredRecording]:
        """Of those that exist, deleted ones included."""
        stored = [self._stored(row) for row in await self._execute(STANDING, {"sids": list(sids)})]
        return {one.recording.sid: one for one in stored}

    async def forsaken(self, *, seconds: float, limit: int) -> list[StoredRecording]:
        """Still in progress although their call ended `seconds` ago: the machine that held the file is gone."""
        rows = await self._execute(FORSAKEN, {"seconds": seconds, "limit": limit})
        return [self._stored(row) for row in rows]

    async def delete(self, account: AccountSid, sid: str) -> None:
        """Not there for anybody any more; its audio is doomed. Raises NotFound and RecordingRuns."""
        if not await self._execute(DELETE, {"account": account, "sid": sid}):
            await self.get(account, sid)
            raise RecordingRuns(sid)

    async def expire(self, *, days: float, limit: int) -> int:
        """Delete what ended more than `days` ago. How many, `limit` at most."""
        return len(await self._execute(EXPIRE, {"days": days, "limit": limit}))

    async def doomed(self, *, after: RecordingSid, limit: int) -> list[tuple[RecordingSid, str]]:
        """Deleted ones whose audio is still at its location, by sid, from behind `after`."""
        found = await self._execute(DOOMED, {"after": after, "limit": limit})
        return [(row["sid"], row["location"]) for row in found]

    async def gone(self, sid: RecordingSid) -> None:
        """Its audio has been deleted."""
        await self._execute(GONE, {"sid": sid})

    async def _execute(self, sql: TextClause, parameters: Mapping[str, Any]) -> Sequence[RowMapping]:
        async def work(connection: AsyncConnection) -> Sequence[RowMapping]:
            result = await connection.execute(sql, parameters)
            return result.mappings().all() if result.returns_rows else []

        return await self._database.run(work, one=True)

    async def _owed(self, owed: Owed | None, account: AccountSid, call: CallSid) -> str:
        """As one row of JSON; an empty object when nothing is owed."""
        if owed is None:
            return "{}"
        origin = origin_of(owed.url)
        await self._destinations.learn([origin])
        url, sealed = sealed_url(owed.url, self._sealer)
        row = {
            "message_id": owed.message_id,
            "destination_id": self._destinations.id_of(origin),
            "account_sid": account,
            "call_sid": call,
            "sequence": owed.sequence,
            "method": owed.method,
            "url": url,
            "url_sealed": sealed,
            "body": owed.body,
        }
        return to_json(row)

    def _columns(self, order: RecordingOrder) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "sid": order.sid,
            "account_sid": order.call.account_sid,
            "call_sid": order.call.sid,
            "epoch": order.call.epoch,
            "source": order.source,
            "channels": order.channels,
            "started_at": order.started_at,
        }
        if (notice := order.notice) is not None:
            columns["notice_url"], columns["notice_sealed"] = sealed_url(notice.url, self._sealer)
            columns |= {"notice_method": notice.method, "notice_events": sorted(notice.events)}
        return columns

    def _one(self, rows: Sequence[RowMapping], sid: str) -> StoredRecording:
        if not rows:
            raise NotFound(sid)
        return self._stored(rows[0])

    def _stored(self, row: RowMapping) -> StoredRecording:
        recording = Recording(
            sid=row["sid"],
            account_sid=row["account_sid"],
            call_sid=row["call_sid"],
            source=row["source"],
            channels=row["channels"],
            state=RecordingState(row["state"]),
            started_at=row["started_at"],
            duration=row["duration"],
            size=row["size"],
            ended_at=row["ended_at"],
        )
        deleted = row["deleted_at"] is not None
        return StoredRecording(recording, row["location"], self._notice(row), deleted, bool(row["orphaned"]))

    def _notice(self, row: RowMapping) -> RecordingNotice | None:
        if row["notice_url"] is None:
            return None
        url = real_url(row["notice_url"], row["notice_sealed"], self._sealer)
        return RecordingNotice(url, cast(HttpMethod, row["notice_method"]), frozenset(row["notice_events"]))
