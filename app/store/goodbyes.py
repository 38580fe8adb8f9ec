"""Which calls have ended in the records while their peers may still be up, so that somebody tells them if we die.

Knows no SIP: whether a peer has heard is asked of its `Goodbye`.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.ports import Goodbye
from app.calls.sid import CallSid
from app.store.database import Database
from app.store.rows import to_json
from app.store.statement import statement

# Only what is still this process's, under any of the numbers that it has had: another one may have taken it over.
SETTLE = statement("""
WITH news AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:news AS json)) AS n(worker_id bigint, call_sid text, dialog jsonb)
), moved AS (
    UPDATE goodbye g SET dialog = n.dialog FROM news n
    WHERE g.worker_id = n.worker_id AND g.call_sid = n.call_sid
)
DELETE FROM goodbye WHERE worker_id = ANY(CAST(:workers AS bigint[])) AND call_sid = ANY(CAST(:heard AS text[]))
""")

_Key = tuple[int, CallSid]  # whose it is, and of which call


class Goodbyes:
    """One per process that owns calls. A row is written with the end of its call (`app.store.changes`)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open: dict[_Key, Goodbye] = {}
        self._told: set[_Key] = set()  # whose newer dialog is stored

    def keep(self, sid: CallSid, worker_id: int, goodbye: Goodbye) -> None:
        """Its row is there, with this worker's number; `settle` removes it once the peer has heard."""
        self._open[worker_id, sid] = goodbye

    async def settle(self) -> None:
        """Call about every second: one statement, and none when there is nothing new. Raises Unavailable."""
        heard = [key for key, goodbye in self._open.items() if goodbye.heard]
        news = [key for key, goodbye in self._open.items() if not goodbye.heard and goodbye.dialog is not None]
        news = [key for key in news if key not in self._told]
        if not heard and not news:
            return
        parameters = {
            "workers": list({worker for worker, _ in heard}),
            "heard": [sid for _, sid in heard],
            "news": to_json([self._row(key) for key in news]),
        }

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(SETTLE, parameters)

        await self._database.run(work, one=True)
        self._told.update(news)
        self._told.difference_update(heard)
        for key in heard:
            del self._open[key]

    def _row(self, key: _Key) -> dict[str, object]:
        return {"worker_id": key[0], "call_sid": key[1], "dialog": self._open[key].dialog}
