"""Our numbers and the documents that answer them; knows nothing of how a number is dialled."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.callback import HttpMethod
from app.calls.errors import NotFound, NumberTaken
from app.calls.number import Number
from app.calls.sid import AccountSid
from app.store.database import Database
from app.store.rows import callback_columns, callback_of, real_url, sealed_url, to_json
from app.store.seal import Sealer
from app.store.statement import statement

CHANNEL = "number"  # notified of each change

# Times are the database's. A row that is there already is not touched, whoever's it is.
ADD = statement("""
WITH added AS (
    INSERT INTO number (number, account_sid, url, url_sealed, method, fallback_url, fallback_sealed, fallback_method,
                        callback_url, callback_sealed, callback_method, callback_events, friendly_name)
    SELECT number, account_sid, url, url_sealed, method, fallback_url, fallback_sealed, fallback_method,
           callback_url, callback_sealed, callback_method, callback_events, friendly_name
    FROM json_to_record(CAST(:row AS json)) AS n(
        number text, account_sid text, url text, url_sealed bytea, method text, fallback_url text,
        fallback_sealed bytea, fallback_method text, callback_url text, callback_sealed bytea, callback_method text,
        callback_events text[], friendly_name text)
    ON CONFLICT (number) DO NOTHING RETURNING *
)
SELECT added.*, pg_notify('number', '') FROM added
""")
CHANGE = statement("""
UPDATE number SET
    url = n.url, url_sealed = n.url_sealed, method = n.method, fallback_url = n.fallback_url,
    fallback_sealed = n.fallback_sealed, fallback_method = n.fallback_method, callback_url = n.callback_url,
    callback_sealed = n.callback_sealed, callback_method = n.callback_method, callback_events = n.callback_events,
    friendly_name = n.friendly_name, updated_at = now()
FROM json_to_record(CAST(:row AS json)) AS n(
    number text, url text, url_sealed bytea, method text, fallback_url text, fallback_sealed bytea,
    fallback_method text, callback_url text, callback_sealed bytea, callback_method text, callback_events text[],
    friendly_name text)
WHERE number.number = :number RETURNING number.*, pg_notify('number', '')
""")
REMOVE = statement("""
WITH gone AS (DELETE FROM number WHERE number = :number AND account_sid = :account RETURNING 1)
SELECT pg_notify('number', '') FROM gone
""")
GET = statement("SELECT * FROM number WHERE number = :number AND account_sid = :account")
HOLD = statement("SELECT * FROM number WHERE number = :number AND account_sid = :account FOR UPDATE")
ALL = statement("SELECT * FROM number")
PAGE = statement("""
SELECT * FROM number
WHERE account_sid = :account
  AND (CAST(:time AS timestamptz) IS NULL OR (created_at, number) < (:time, CAST(:number AS text)))
ORDER BY created_at DESC, number DESC LIMIT :limit
""")


class Numbers:
    """Raises Unavailable from every method."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def add(self, number: Number) -> Number:
        """As stored; its times are made here. Raises NumberTaken."""

        async def work(connection: AsyncConnection) -> Number | None:
            row = (await connection.execute(ADD, {"row": self._row(number)})).mappings().one_or_none()
            return None if row is None else self._number(row)

        added = await self._database.run(work, one=True)
        if added is None:
            raise NumberTaken(number.number)
        return added

    async def get(self, account: AccountSid, number: str) -> Number:
        """Raises NotFound, also for another account's."""

        async def work(connection: AsyncConnection) -> Number:
            return await self._one(connection, GET, account, number)

        return await self._database.run(work, one=True)

    async def change(self, account: AccountSid, number: str, to: Callable[[Number], Number]) -> Number:
        """Stored as what `to` makes of it, which may be asked twice. Raises NotFound."""

        async def work(connection: AsyncConnection) -> Number:
            standing = await self._one(connection, HOLD, account, number)
            parameters = {"number": number, "row": self._row(to(standing))}
            return self._number((await connection.execute(CHANGE, parameters)).mappings().one())

        return await self._database.run(work)

    async def remove(self, account: AccountSid, number: str) -> None:
        """Raises NotFound."""

        async def work(connection: AsyncConnection) -> bool:
            gone = await connection.execute(REMOVE, {"number": number, "account": account})
            return gone.one_or_none() is not None

        if not await self._database.run(work, one=True):
            raise NotFound(number)

    async def page(self, account: AccountSid, *, size: int, after: tuple[datetime, str] | None) -> list[Number]:
        """Newest first by (created_at, number), up to size + 1."""
        time, number = after or (None, None)
        parameters = {"account": account, "limit": size + 1, "time": time, "number": number}

        async def work(connection: AsyncConnection) -> list[Number]:
            return [self._number(row) for row in (await connection.execute(PAGE, parameters)).mappings()]

        return await self._database.run(work, one=True)

    async def all(self) -> dict[str, Number]:
        """Every account's, by number: what a worker answers."""

        async def work(connection: AsyncConnection) -> dict[str, Number]:
            return {row["number"]: self._number(row) for row in (await connection.execute(ALL)).mappings()}

        return await self._database.run(work, one=True)

    async def _one(self, connection: AsyncConnection, sql: Any, account: AccountSid, number: str) -> Number:
        key = {"account": account, "number": number}
        row = (await connection.execute(sql, key)).mappings().one_or_none()
        if row is None:
            raise NotFound(number)
        return self._number(row)

    def _row(self, number: Number) -> str:
        url, url_sealed = sealed_url(number.url, self._sealer)
        row: dict[str, Any] = {
            "number": number.number,
            "account_sid": number.account_sid,
            "url": url,
            "url_sealed": url_sealed,
            "method": number.method,
            "fallback_method": number.fallback_method,
            "friendly_name": number.friendly_name,
            **callback_columns(number.status_callback, self._sealer),
        }
        if number.fallback_url is not None:
            row["fallback_url"], row["fallback_sealed"] = sealed_url(number.fallback_url, self._sealer)
        return to_json(row)

    def _number(self, row: RowMapping | Mapping[str, Any]) -> Number:
        fallback = row["fallback_url"]
        return Number(
            number=row["number"],
            account_sid=row["account_sid"],
            url=real_url(row["url"], row["url_sealed"], self._sealer),
            method=cast(HttpMethod, row["method"]),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            fallback_url=None if fallback is None else real_url(fallback, row["fallback_sealed"], self._sealer),
            fallback_method=cast(HttpMethod, row["fallback_method"]),
            status_callback=callback_of(row, self._sealer),
            friendly_name=row["friendly_name"],
        )
