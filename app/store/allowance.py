"""What one account may place: calls a second and calls at once, exact over all processes. Knows no HTTP.

Asked in the transaction that places, behind a lock on the account: whoever counts sees all that was placed before.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.errors import TooManyCalls
from app.store.rows import to_json
from app.store.statement import statement

_RATE_WAIT = 1  # seconds until the window of the rate has moved on
_ENDED_WAIT = 5  # seconds after which another of the account's calls may have ended

LOCK = statement("""
SELECT FROM account WHERE sid = ANY(CAST(:accounts AS text[])) ORDER BY sid FOR NO KEY UPDATE
""")

# `created_at` is the time at which its transaction began, and so is this now(): of all rows within one second of each
# other, the one whose turn came last has counted the others.
PLACED = statement("""
SELECT account_sid,
       (SELECT count(*) FROM calls c WHERE c.account_sid = a.account_sid AND c.end_time IS NULL
          AND c.parent_sid IS NULL) AS unended,
       (SELECT count(*) FROM calls c WHERE c.account_sid = a.account_sid AND c.created_at > now() - interval '1 second'
          AND c.direction = 'outbound-api') AS lately
FROM unnest(CAST(:accounts AS text[])) AS a(account_sid)
""")

# Places nothing new: its rows are there (the COMMIT's answer was lost), or its key stands for an earlier request.
REPEATED = statement("""
SELECT r.root FROM json_to_recordset(CAST(:requests AS json)) AS r(root text, account_sid text, key text)
WHERE EXISTS (SELECT FROM calls c WHERE c.sid = r.root)
   OR EXISTS (SELECT FROM idempotency i WHERE i.account_sid = r.account_sid AND i.key = r.key
              AND i.created_at >= now() - interval '24 hours')
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that is to be placed."""

    root: str
    account_sid: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Of each account; 0 is as many as it likes."""

    rate: int = 0  # dial requests in any second
    calls: int = 0  # that are not over: calls to callers and inbound ones count, their legs do not

    @property
    def bounded(self) -> bool:
        return bool(self.rate or self.calls)

    async def refuse(self, connection: AsyncConnection, requests: Sequence[Wanted]) -> dict[str, TooManyCalls]:
        """What may not be placed now, by root, in the order given. Locks the accounts until the transaction ends."""
        accounts = sorted({request.account_sid for request in requests})
        await connection.execute(LOCK, {"accounts": accounts})
        asked = to_json([{"root": r.root, "account_sid": r.account_sid, "key": r.key} for r in requests])
        repeated = set((await connection.execute(REPEATED, {"requests": asked})).scalars())
        unended, lately = Counter[str](), Counter[str]()
        for row in await connection.execute(PLACED, {"accounts": accounts}):
            unended[row.account_sid], lately[row.account_sid] = row.unended, row.lately
        refused: dict[str, TooManyCalls] = {}
        for request in requests:
            account = request.account_sid
            if request.root in repeated:
                continue
            if self.rate and lately[account] >= self.rate:
                detail = f"the account may place {self.rate} calls a second (DIAL_ACCOUNT_RATE)"
                refused[request.root] = TooManyCalls(detail, _RATE_WAIT)
            elif self.calls and unended[account] >= self.calls:
                detail = f"the account may have {self.calls} calls at once (DIAL_ACCOUNT_CALLS)"
                refused[request.root] = TooManyCalls(detail, _ENDED_WAIT)
            else:
                unended[account] += 1
                lately[account] += 1
        return refused
