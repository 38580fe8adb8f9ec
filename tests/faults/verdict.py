"""The invariants I1-I6, computed from the database, the callee's log and the receiver's log. Injects nothing."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.stage import Entry, Stage

ORDER = ["initiated", "ringing", "answered", "completed"]
STATUS_OF = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}
WITHIN = 15.0  # seconds after its worker's death until a call is ended on the wire and in its record

# Lines that a kill must not cause, whatever dies.
_ALARMS = ("task.failed", "store.poison", "Traceback", "webhook.claim_failed", "webhook.ledger_failed")


@dataclass(frozen=True, slots=True)
class Told:
    """What the injector says about its fault."""

    killed_at: float | None = None  # wall clock; None: nothing died that holds calls
    killed: dict[str, float] = field(default_factory=dict)  # the same for single calls, when there were several kills
    within: float = WITHIN  # seconds
    never: tuple[str, ...] = ()  # paths that never answer well: what is owed to them need not be accepted
    proof: bool = False  # whether the counts that the promise is held to are wanted in words
    ordered: bool = True  # whether callbacks must come in order (their endpoint answers)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One line of the table."""

    fault: str
    calls: int = 0  # legs and parents
    finals: int = 0
    owed: int = 0  # deliveries
    accepted: int = 0  # at least once
    twice: int = 0  # more than once
    missing: int = 0
    dead: int = 0  # given up after all attempts, kept
    holes: int = 0  # calls whose SequenceNumbers have one
    reinvited: int = 0  # legs with a second INVITE
    up: int = 0  # dialogs left at the callee
    lost: int = 0  # calls that ended worker-lost
    final_s: float = 0.0  # longest from the kill to the end of a record
    wire_s: float = 0.0  # longest from the kill to the end at the callee
    left: int = 0  # RTP sockets, held rows, leases
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


async def judge(fault: str, stage: Stage, told: Told) -> Row:
    row = Row(fault, problems=list(told.problems), notes=list(told.notes))
    calls = await stage.rows(
        "SELECT sid, parent_sid, status, reason, worker_id, run_at, callback_events,"
        " extract(epoch FROM created_at)::float8 AS created, extract(epoch FROM end_time)::float8 AS ended FROM calls"
    )
    _judge_records(row, stage, calls)
    await _judge_events(row, stage, calls)
    await _judge_deliveries(row, stage, told)
    _judge_wire(row, stage, calls, told)
    await _judge_leftovers(row, stage, calls, told)
    if told.proof:
        row.notes.append(await _in_words(row, stage, calls))
    for alarm in _ALARMS:
        if count := sum(alarm in line for line in [*stage.said_before, *stage.service.lines]):
            row.problems.append(f"log: {alarm} ×{count}")
    return row


def _judge_records(row: Row, stage: Stage, calls: list[Entry]) -> None:
    """I1."""
    row.calls = len(calls)
    row.finals = sum(call["ended"] is not None for call in calls)
    row.lost = sum(call["reason"] == "worker-lost" for call in calls)
    if row.finals < row.calls:
        row.problems.append(f"I1: {row.calls - row.finals} calls without an end")
    if forgotten := set(stage.placed) - {call["sid"] for call in calls}:
        row.problems.append(f"I1: {len(forgotten)} calls of a 202 are not stored")


async def _judge_events(row: Row, stage: Stage, calls: list[Entry]) -> None:
    """I3, and that every event that was asked for is owed (I4)."""
    events = await stage.rows("SELECT call_sid, array_agg(type ORDER BY seq) AS types FROM call_event GROUP BY 1")
    of_call = {entry["call_sid"]: entry["types"] for entry in events}
    crooked = missing = 0
    owed = {
        entry["call_sid"]: entry["n"]
        for entry in await stage.rows(
            "SELECT call_sid, count(*) AS n FROM (SELECT call_sid, sequence FROM webhook_outbox"
            " UNION ALL SELECT call_sid, sequence FROM webhook_delivery) d WHERE sequence >= 0 GROUP BY 1"
        )
    }
    for call in calls:
        types = of_call.get(call["sid"], [])
        places = [ORDER.index(one) for one in types]
        if places != sorted(set(places)) or (call["ended"] is not None and types[-1:] != ["completed"]):
            crooked += 1
        wanted = sum(one in (call["callback_events"] or []) for one in types)
        missing += wanted - owed.get(call["sid"], 0)
    if crooked:
        row.problems.append(f"I3: {crooked} calls whose events are not in order or not ended by one completed")
    if missing:
        row.problems.append(f"I4: {missing} events were stored without the delivery they owe")


async def _judge_deliveries(row: Row, stage: Stage, told: Told) -> None:
    """I4 and I5."""
    stored = await stage.rows(
        "SELECT message_id, call_sid, sequence, url, 'owed' AS state FROM webhook_outbox"
        " UNION ALL SELECT message_id, call_sid, sequence, url, state FROM webhook_delivery"
    )
    accepted: dict[str, list[Entry]] = defaultdict(list)
    seen: dict[str, list[Entry]] = defaultdict(list)
    for entry in stage.receiver.entries():
        if "id" not in entry:  # a document was fetched
            continue
        seen[entry["id"]].append(entry)
        if 200 <= entry["status"] < 300:
            accepted[entry["id"]].append(entry)
    ids = {one["message_id"] for one in stored}
    row.owed, row.accepted = len(ids), len(ids & accepted.keys())
    row.twice = sum(len(entries) > 1 for entries in accepted.values())
    row.dead = sum(one["state"] == "dead" for one in stored)
    row.missing = sum(one["message_id"] not in accepted and not _goes_to(one, told.never) for one in stored)
    of_call: dict[str, list[Entry]] = defaultdict(list)
    for one in stored:
        if one["sequence"] >= 0:  # a recording's callback is in no order
            of_call[one["call_sid"]].append(one)
    row.holes = sum(sorted(one["sequence"] for one in ones) != list(range(len(ones))) for ones in of_call.values())
    changed = sum(len({str(entry["form"]) for entry in entries}) > 1 for entries in seen.values())
    _report(row, row.missing, "I4: deliveries never accepted")
    _report(row, row.holes, "I4: calls whose SequenceNumbers have holes or repeats")
    _report(row, changed, "I4: repeats with another body")
    _report(row, len(seen.keys() - ids), "I5: messages that the database does not have")
    if told.ordered:
        _report(row, _out_of_order(of_call, accepted), "I4: calls whose callbacks came out of order")


async def _in_words(row: Row, stage: Stage, calls: list[Entry]) -> str:
    ended = await stage.rows(
        "SELECT call_sid, count(*) AS n, array_agg(message_id) AS ids FROM call_event LEFT JOIN webhook_delivery d"
        " USING (call_sid) WHERE type = 'completed' AND d.body LIKE '%%CallDuration=%%' GROUP BY 1"
    )
    accepted = {entry["id"] for entry in stage.receiver.entries() if 200 <= entry.get("status", 0) < 300}
    told = sum(accepted.issuperset(one["ids"]) for one in ended)
    once = sum(one["n"] == 1 for one in ended)
    legs = sum(call["parent_sid"] is not None for call in calls)
    return (
        f"{row.calls} records, {legs} of them legs: {row.finals} with one final status, {once} with `completed` stored"
        f" once, {told} with it delivered; {row.holes} with a hole in their SequenceNumbers, {row.up} left up at the"
        f" callee, the last one {row.wire_s} s after its worker died"
    )


def _out_of_order(of_call: dict[str, list[Entry]], accepted: dict[str, list[Entry]]) -> int:
    """By the first acceptance of each; the log is written in the order of arrival."""
    count = 0
    for ones in of_call.values():
        times = [
            accepted[one["message_id"]][0]["at"]
            for one in sorted(ones, key=_sequence)
            if accepted.get(one["message_id"])
        ]
        count += times != sorted(times)
    return count


def _goes_to(one: Entry, paths: tuple[str, ...]) -> bool:
    return any(str(one["url"]).endswith(f"/{path}") for path in paths)


def _sequence(one: Entry) -> int:
    return int(one["sequence"])


def _judge_wire(row: Row, stage: Stage, calls: list[Entry], told: Told) -> None:
    """I2, and that nobody is left up at the peer."""
    dialogs: dict[str, set[str]] = defaultdict(set)
    branches: Counter[str] = Counter()
    invited: dict[str, Entry] = {}
    ended: dict[str, Entry] = {}
    answered: set[str] = set()  # a callee that never said anything has nothing up, and may not be sent a CANCEL (§9.1)
    for entry in stage.callee.entries():
        if entry["what"] == "INVITE":
            dialogs[entry["sid"]].add(entry["call"])
            branches[entry["sid"]] += 1
            invited.setdefault(entry["call"], entry)
        elif entry["what"] in ("100", "180", "200"):
            answered.add(entry["call"])
        elif entry["what"] == "ended":
            ended[entry["call"]] = entry
    row.reinvited = sum(len(found) > 1 or branches[sid] > 1 for sid, found in dialogs.items())
    row.up = len(invited.keys() & answered - ended.keys())
    _report(row, row.reinvited, "I2: legs with a second INVITE")
    _report(row, row.up, "dialogs left up at the callee")
    _report(row, len(dialogs.keys() - {call["sid"] for call in calls}), "I5: INVITEs of legs that are not stored")
    lost = {call["sid"]: call["ended"] for call in calls if call["reason"] == "worker-lost" and call["ended"]}
    killed = {sid: at for sid in lost if (at := told.killed.get(sid, told.killed_at)) is not None}
    row.final_s = round(max((lost[sid] - at for sid, at in killed.items()), default=0.0), 1)
    unheard = told.killed | killed  # a record may have ended before its worker died, and its peer not have heard
    late = [
        ended[call]["at"] - unheard[entry["sid"]]
        for call, entry in invited.items()
        if entry["sid"] in unheard and call in ended and ended[call]["at"] > unheard[entry["sid"]]
    ]
    row.wire_s = round(max(late, default=0.0), 1)
    if row.final_s > told.within:
        row.problems.append(f"the last record ended {row.final_s} s after the kill")
    if row.wire_s > told.within:
        row.problems.append(f"the last dialog ended {row.wire_s} s after the kill")


async def _judge_leftovers(row: Row, stage: Stage, calls: list[Entry], told: Told) -> None:
    """I6: what can be seen from outside."""
    held = sum(call["worker_id"] is not None or call["run_at"] is not None for call in calls)
    leased = await stage.rows("SELECT url FROM webhook_outbox WHERE lease_until IS NOT NULL")
    leases = sum(not _goes_to(one, told.never) for one in leased)
    sockets = len(rtp_sockets(stage))
    row.left = held + leases + sockets
    _report(row, held, "I6: calls that a worker or the queue still holds")
    _report(row, leases, "I6: leases on deliveries")
    _report(row, sockets, "I6: RTP and RTCP sockets still bound")


def rtp_sockets(stage: Stage) -> list[int]:
    """UDP ports that workers have bound beside their SIP port. Other programs may use the same range: ask by inode."""
    inodes = {inode for pid in stage.pids("worker") for inode in _socket_inodes(pid)}
    sip = int(stage.settings["DIAL_SIP_PORT"])
    workers = int(stage.settings["DIAL_WORKERS"])
    ours = {sip + 2 * n for n in range(workers)}
    fields = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    bound = [int(one[1].rpartition(":")[2], 16) for one in fields if one[9] in inodes]
    return [port for port in bound if port not in ours]


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    for descriptor in (Path("/proc") / str(pid) / "fd").glob("*"):
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _report(row: Row, count: int, problem: str) -> None:
    if count:
        row.problems.append(f"{problem}: {count}")
