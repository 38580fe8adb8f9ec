"""How many changes, placements and deliveries per second the store does on this machine; about ten seconds.

python bench/store.py [postgresql://…]      without an address: an embedded PostgreSQL, durable
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.calls.call import Direction, NewCall
from app.calls.callback import Callback
from app.calls.change import Change, Facts, Owed
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid, new_account_sid, new_call_sid, new_message_id
from app.calls.status import Status
from app.runtime import loop
from app.store import migrate
from app.store.changes import Changes
from app.store.database import Database
from app.store.embedded import EmbeddedPostgres
from app.store.outbox import Outbox, Result
from app.store.placing import Placing
from app.store.queue import DialQueue
from app.store.seal import Sealer

CALLERS = 100
SECONDS = float(os.environ.get("SECONDS", "2.5"))
BODY = "CallSid=CA0123456789abcdef0123456789abcdef&" + "&".join(f"Parameter{n}=value{n}" for n in range(18))
ACCOUNT = new_account_sid()
STEPS = (
    (Status.INITIATED, Event.INITIATED),
    (Status.RINGING, Event.RINGING),
    (Status.IN_PROGRESS, Event.ANSWERED),
    (Status.COMPLETED, Event.COMPLETED),
)
DIALOG = {"via": "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK0123456789abcdef", "call_id": "0123456789abcdef@host"}


def new_call(account: AccountSid = ACCOUNT, parent: CallSid | None = None) -> NewCall:
    return NewCall(
        new_call_sid(),
        account,
        Direction.OUTBOUND_DIAL if parent else Direction.OUTBOUND_API,
        "sip:bob@127.0.0.1",
        "sip:alice@127.0.0.1:5080",
        parent_sid=parent,
        leg_index=0 if parent else None,
        callback=Callback("http://127.0.0.1:9000/events"),
        document=None if parent else b'{"verbs":[]}' * 20,
        rcml=None if parent else "<Response/>",
    )


class Meter:
    """Wall time and the CPU time of this process and of PostgreSQL: on a busy machine only CPU can be compared."""

    server: int | None = None  # process id of the embedded server

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.started = time.monotonic()
        self._cpu, self._server_cpu = time.process_time(), self._of_server()

    @property
    def running(self) -> bool:
        return time.monotonic() - self.started < SECONDS

    def report(self, name: str, count: int) -> None:
        took = time.monotonic() - self.started
        here = (time.process_time() - self._cpu) / max(1, count) * 1e6
        there = (self._of_server() - self._server_cpu) / max(1, count) * 1e6
        line = f"{name:<28} {count / took:>9,.0f}/s   CPU each: {here:4.0f} us here, {there:4.0f} us PostgreSQL"
        if self.latencies:
            self.latencies.sort()
            p50, p99 = (self.latencies[int(len(self.latencies) * part)] for part in (0.5, 0.99))
            line += f"   p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
        print(line, flush=True)

    def _of_server(self) -> float:
        """Seconds of CPU of the server and its children, those that have ended included."""
        if self.server is None:
            return float("nan")
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.server:
                    ticks += int(fields[11]) + int(fields[12])
                elif stat.parent.name == str(self.server):
                    ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")


async def placements(database: Database, sealer: Sealer) -> list[CallSid]:
    placing = Placing(database, sealer)
    await placing.start()
    legs: list[CallSid] = []
    meter = Meter()

    async def caller() -> None:
        while meter.running:
            now = time.monotonic()
            parent = new_call()
            leg = new_call(parent=parent.sid)
            await placing.place([parent, leg], idempotency=None)
            meter.latencies.append(time.monotonic() - now)
            legs.append(leg.sid)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    meter.report("placements (parent + leg)", len(meter.latencies))
    await placing.stop()
    return legs


async def transitions(database: Database, sealer: Sealer, legs: list[CallSid]) -> None:
    changes = Changes(database, sealer)
    await changes.start()
    queue = list(legs)
    meter = Meter()

    async def caller() -> None:
        while queue and meter.running:
            sid = queue.pop()
            for seq, (status, event) in enumerate(STEPS, 1):
                begun = time.monotonic()
                at = datetime.now(UTC)
                owed = Owed(new_message_id(), "POST", "http://127.0.0.1:9000/events", BODY, seq - 1)
                facts = Facts(start_time=at, dialog=DIALOG if seq == 1 else None)
                await changes.write(Change(sid, 0, seq, at, status, facts, event, None, owed))
                meter.latencies.append(time.monotonic() - begun)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    meter.report(f"changes ({CALLERS} callers)", len(meter.latencies))
    await changes.stop()


async def deliveries(database: Database, sealer: Sealer) -> None:
    outbox = Outbox(database, sealer)
    count = 0
    meter = Meter()
    while meter.running:
        claimed = await outbox.claim(room=200, per_destination=200, busy={})
        if not claimed:
            break
        now = datetime.now(UTC)
        count += len(await outbox.finish([Result(d, "delivered", None, 204, 3, None, b"", now) for d in claimed]))
    meter.report("deliveries claimed + finished", count)


async def dials(database: Database, sealer: Sealer) -> None:
    queue = DialQueue(database, sealer)
    worker = await queue.register(role="worker", capacity=1000, sip_host="127.0.0.1", sip_port=5060)
    count = 0
    meter = Meter()
    while meter.running:
        claimed = await queue.claim(worker, limit=100, max_wait=600)
        if not claimed:
            break
        count += len(claimed)
    meter.report("dials claimed", count)


async def main(url: str) -> int:
    database, sealer = Database(url), Sealer("bench")
    legs = await placements(database, sealer)
    await transitions(database, sealer, legs)
    await deliveries(database, sealer)
    await dials(database, sealer)
    await database.close()
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        embedded = None if len(sys.argv) > 1 else EmbeddedPostgres(Path(folder))
        address = embedded.start() if embedded else sys.argv[1]
        try:
            migrate.upgrade(address)
            Meter.server = embedded.pid if embedded else None
            loop.run(main(address))
        finally:
            if embedded:
                embedded.stop()
                shutil.rmtree(embedded.home, ignore_errors=True)
