"""Deliveries per second and CPU each of one dispatcher with everything on, and the way from commit to arrival.

python bench/deliveries.py [count]      an embedded PostgreSQL, durable; 20 destinations; about twenty seconds
"""

import asyncio
import ipaddress
import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from http_out import Answering, receive

from app.calls.address import AddressPolicy
from app.calls.call import Direction, NewCall
from app.calls.change import Change, Owed
from app.calls.event import Event
from app.calls.sid import AccountSid, new_call_sid, new_message_id
from app.calls.status import Status
from app.runtime import log, loop
from app.store import migrate
from app.store.accounts import Accounts
from app.store.changes import Changes
from app.store.database import Database
from app.store.embedded import EmbeddedPostgres
from app.store.outbox import Outbox
from app.store.placing import Placing
from app.store.seal import Sealer
from app.webhooks.dispatch import Dispatcher

DESTINATIONS = 20
POLICY = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))
BODY = "CallSid=CA" + "0" * 32 + "&From=sip%3Aa%40b&To=sip%3Ac%40d&CallStatus=ringing&" + "x" * 300


class Owing:
    def __init__(self, database: Database, sealer: Sealer, account: AccountSid) -> None:
        self.placing = Placing(database, sealer)
        self.changes = Changes(database, sealer)
        self.account = account

    async def owe(self, url: str) -> float:
        """When it was committed, on the monotonic clock."""
        call = NewCall(new_call_sid(), self.account, Direction.OUTBOUND_API, "sip:a@h", "sip:b@h")
        await self.placing.place([call], idempotency=None)
        owed = Owed(new_message_id(), "POST", url, BODY, 0)
        now = datetime.now(UTC)
        await self.changes.write(Change(call.sid, 0, 1, now, Status.INITIATED, event=Event.INITIATED, owed=owed))
        return time.monotonic()


class Noting(Answering):
    arrived: asyncio.Queue[float] = asyncio.Queue()

    def data_received(self, data: bytes) -> None:
        self.arrived.put_nowait(time.monotonic())
        super().data_received(data)


async def backlog(owing: Owing, database: Database, dispatcher: Dispatcher, port: int, count: int) -> None:
    urls = [f"http://127.0.0.{n + 1}:{port}/events" for n in range(DESTINATIONS)]
    for start in range(0, count, 500):
        await asyncio.gather(*(owing.owe(urls[n % DESTINATIONS]) for n in range(start, min(count, start + 500))))
    wall, cpu = time.monotonic(), time.process_time()
    running = asyncio.create_task(dispatcher.run())
    async with database.engine.connect() as connection:
        while (await connection.exec_driver_sql("SELECT count(*) FROM webhook_delivery")).scalar_one() < count:
            await connection.rollback()
            await asyncio.sleep(0.05)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"backlog of {count}: {count / wall:,.0f} deliveries/s, {cpu * 1000 / count:.3f} ms CPU each in this process")
    await idle(owing)
    await dispatcher.stop(5)
    await running


async def idle(owing: Owing) -> None:
    server = await asyncio.get_running_loop().create_server(Noting, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    took = []
    for _ in range(200):
        committed = await owing.owe(url)
        took.append((await Noting.arrived.get() - committed) * 1000)
        await asyncio.sleep(0.01)
    took.sort()
    print(f"commit to arrival, idle: p50 {took[100]:.1f} ms, p99 {took[197]:.1f} ms")
    server.close()


async def main(url: str, port: int, count: int) -> int:
    log.configure("error", "console", "bench")
    database, sealer = Database(url), Sealer("bench")
    account = await Accounts(database, sealer).create()
    owing = Owing(database, sealer, account.sid)
    await owing.placing.start()
    await owing.changes.start()
    dispatcher = Dispatcher(Outbox(database, sealer), database, policy=POLICY, retries=(5.0,))
    await backlog(owing, database, dispatcher, port, count)
    await owing.placing.stop()
    await owing.changes.stop()
    await database.close()
    return 0


if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=receive, args=(theirs, "0.0.0.0"), daemon=True)
    process.start()
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedPostgres(Path(folder))
        address = embedded.start()
        try:
            migrate.upgrade(address)
            loop.run(main(address, ours.recv(), int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
        finally:
            embedded.stop()
            process.terminate()
