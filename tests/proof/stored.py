"""What the database says, read behind everybody's back, and what must be true of it at every moment."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from sqlalchemy import text

from app.calls.status import FINAL, NEXT, Status
from app.store.database import Database

_LOOK = text("""
SELECT (SELECT json_agg(c ORDER BY c.placed_no) FROM (
            SELECT placed_no, sid, parent_sid, leg_index, status, reason, worker_id, run_at IS NOT NULL AS due, epoch,
                   last_seq, callback_seq, end_time, wanted FROM calls) AS c) AS calls,
       (SELECT json_agg(e ORDER BY e.call_sid, e.seq) FROM (SELECT call_sid, seq, type FROM call_event) AS e) AS events,
       (SELECT json_agg(o ORDER BY o.id) FROM (
            SELECT id, message_id, call_sid, sequence, body, attempt, earlier, blocked, lease_token,
                   lease_until > now() AS leased FROM webhook_outbox) AS o) AS owed,
       (SELECT json_agg(d ORDER BY d.id) FROM (
            SELECT id, message_id, call_sid, sequence, body, state, attempts FROM webhook_delivery) AS d) AS past,
       (SELECT json_object_agg(call_sid, worker_id) FROM goodbye) AS goodbyes,
       ARRAY(SELECT id FROM worker WHERE NOT taken) AS workers
""")
_EMPTY = text("""
TRUNCATE calls, goodbye, call_document, call_event, idempotency, worker, webhook_destination, webhook_outbox,
         webhook_delivery, webhook_attempt
""")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    calls: dict[str, Row]
    events: dict[str, list[Row]]
    owed: dict[int, Row]
    past: dict[int, Row]
    goodbyes: dict[str, int]  # which worker has to make sure that the peer of that call hears of its end
    workers: set[int]  # that nobody has taken for dead

    def deliveries(self, sid: str) -> list[Row]:
        """Of one call, wherever they are, in the order of their numbers."""
        rows = [row for row in (*self.owed.values(), *self.past.values()) if row["call_sid"] == sid]
        return sorted(rows, key=lambda row: row["sequence"])

    def events_of(self, sid: str) -> list[str]:
        return [row["type"] for row in self.events.get(sid, [])]

    def legs(self, parent: str) -> list[Row]:
        rows = [row for row in self.calls.values() if row["parent_sid"] == parent]
        return sorted(rows, key=lambda row: row["leg_index"])


async def look(database: Database) -> Stored:
    async with database.engine.begin() as connection:
        row = (await connection.execute(_LOOK)).one()
    events: dict[str, list[Row]] = defaultdict(list)
    for event in row.events or ():
        events[event["call_sid"]].append(event)
    return Stored(
        calls={call["sid"]: call for call in row.calls or ()},
        events=events,
        owed={delivery["id"]: delivery for delivery in row.owed or ()},
        past={delivery["id"]: delivery for delivery in row.past or ()},
        goodbyes=row.goodbyes or {},
        workers=set(row.workers),
    )


async def empty(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(_EMPTY)


def _closure() -> dict[str, set[str]]:
    """What may come after a status in any number of moves, itself included."""
    after: dict[str, set[str]] = {}
    for start in Status:
        reached, new = {start}, {start}
        while new := {then for now in new for then in NEXT.get(now, ())} - reached:
            reached |= new
        after[start] = set(reached)
    return after


_AFTER = _closure()


def check(now: Stored) -> None:
    """What holds of any state, whoever did what."""
    assert not now.owed.keys() & now.past.keys(), "a delivery is owed and over at once"
    for sid in now.goodbyes:
        assert now.calls[sid]["status"] in FINAL, f"{sid}: a goodbye to a call that goes on"
    for sid, call in now.calls.items():
        events = now.events.get(sid, [])
        seqs = [event["seq"] for event in events]
        assert seqs == sorted(set(seqs)), f"{sid}: event numbers {seqs}"
        assert not seqs or seqs[-1] <= call["last_seq"]
        types = [event["type"] for event in events]
        assert len(types) == len(set(types)), f"{sid}: an event happened twice: {types}"
        assert ("completed" in types) == (call["status"] in FINAL), f"{sid}: {call['status']} with {types}"
        assert "completed" not in types[:-1], f"{sid}: something after completed: {types}"
        numbers = [delivery["sequence"] for delivery in now.deliveries(sid)]
        assert numbers == list(range(call["callback_seq"])), f"{sid}: numbers {numbers}"
        owed = [row for row in now.owed.values() if row["call_sid"] == sid]
        assert not owed or not owed[0]["blocked"], f"{sid}: nothing can ever deliver {owed[0]['sequence']}"
        if call["parent_sid"] is None and call["status"] in FINAL:
            assert all(leg["status"] in FINAL for leg in now.legs(sid)), f"{sid}: the parent ended before its legs"


def check_moves(before: Stored, now: Stored) -> None:
    """What holds from any state to any later one."""
    assert before.calls.keys() <= now.calls.keys(), "a call is gone"
    for sid, was in before.calls.items():
        call = now.calls[sid]
        assert call["status"] in _AFTER[was["status"]], f"{sid}: {was['status']} became {call['status']}"
        for counter in ("epoch", "last_seq", "callback_seq"):
            assert call[counter] >= was[counter], f"{sid}: {counter} went back"
        if was["status"] in FINAL:
            kept = ("status", "reason", "end_time", "last_seq", "callback_seq", "worker_id")
            assert {name: call[name] for name in kept} == {name: was[name] for name in kept}, f"{sid}: changed its end"
            assert before.events_of(sid) == now.events_of(sid), f"{sid}: an event after the end"
    then = {**now.owed, **now.past}
    for id, row in {**before.owed, **before.past}.items():
        assert id in then, f"delivery {id} is forgotten"
        kept = ("message_id", "call_sid", "sequence", "body")
        assert all(then[id][name] == row[name] for name in kept), f"delivery {id} changed"


def said(delivery: Row) -> tuple[str, int]:
    """CallStatus and SequenceNumber as a receiver reads them."""
    fields = parse_qs(delivery["body"])
    return fields["CallStatus"][0], int(fields["SequenceNumber"][0])
