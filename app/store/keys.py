"""Whether an Idempotency-Key has been used; who takes it is decided where calls are placed."""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.sid import AccountSid
from app.store.database import Database
from app.store.statement import statement

USED = statement("""
SELECT EXISTS (SELECT FROM idempotency WHERE account_sid = :account AND key = :key
               AND created_at >= now() - interval '24 hours')
""")


async def is_used(database: Database, account: AccountSid, key: str) -> bool:
    """Raises Unavailable."""

    async def work(connection: AsyncConnection) -> bool:
        return bool((await connection.execute(USED, {"account": account, "key": key})).scalar())

    return await database.run(work, seconds=2.0)
