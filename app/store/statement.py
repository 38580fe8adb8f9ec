"""Turns the SQL constants of this package into statements, with the fragments that several of them share."""

from sqlalchemy import TextClause, text

from app.calls.status import NEXT
from app.store.tables import calls

# A row of the outbox that still holds back the later ones of its call: not delivered, first retry not yet failed.
# A second attempt whose lease is open is that first retry, under way.
_HOLDS = "(o.attempt < 2 OR (o.attempt = 2 AND o.lease_until IS NOT NULL))"

# The events of a call are in order among themselves, and so is what is not numbered (`UNNUMBERED`): another callback.
_SAME_ORDER = "(o.sequence < 0) = (b.sequence < 0)"

_NOT_OF_CALL = {"placed_no", "run_at", "claim_token", "dialed_at"}
_CALL_COLUMNS = tuple(column.name for column in calls.columns if column.name not in _NOT_OF_CALL)

_DELIVERY = "id, message_id, account_sid, call_sid, sequence, method, url, body, created_at, expires_at"

_FRAGMENTS = {
    "CALL": ", ".join(f"c.{name}" for name in _CALL_COLUMNS) + ", d.rcml, d.metadata, d.idempotency_key",
    "CALLS": "calls c LEFT JOIN call_document d ON d.call_sid = c.sid",
    "HOLDS": _HOLDS,
    "SAME_ORDER": _SAME_ORDER,
    # Its number is not enough: another database has a worker of that number, too.
    "WORKER_NAME": "id || '@' || CAST(EXTRACT(epoch FROM started_at) * 1000000 AS bigint)",
    # The same columns of an owed delivery and of one in the history.
    "OWED": f"{_DELIVERY}, 'owed' AS state, CAST(NULL AS timestamptz) AS finished_at, next_at",
    "PAST": f"{_DELIVERY}, state, finished_at, CAST(NULL AS timestamptz) AS next_at",
    # The status table of the domain as pairs, so that the database refuses what the table does not allow.
    "MOVES": ", ".join(f"('{now}', '{then}')" for now, following in NEXT.items() for then in sorted(following)),
}


def statement(sql: str) -> TextClause:
    """`sql` with the fragments above filled in for their names in braces; nothing else is ever put into SQL."""
    for name, fragment in _FRAGMENTS.items():
        sql = sql.replace("{" + name + "}", fragment)
    return text(sql)
