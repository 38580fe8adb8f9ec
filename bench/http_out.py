"""Attempts per second and CPU per attempt, stock httpx against the webhook transport: `bench/http_out.py [seconds]`.

One receiver process on loopback, 50 requests in flight, both in turns so that a noisy machine hurts them alike. CPU per
attempt is the figure to compare; wall-clock rates on shared machines swing by a factor of two.
"""

import asyncio
import base64
import ipaddress
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.calls.address import AddressPolicy
from app.calls.sid import AccountSid, CallSid, MessageId
from app.store.accounts import SigningSecrets
from app.store.outbox import Delivery
from app.webhooks.attempt import Attempt
from app.webhooks.backoff import Backoff
from app.webhooks.guard import Guard
from app.webhooks.transport import Transport

IN_FLIGHT = 50
ROUNDS = 2
BODY = "CallSid=CA" + "0" * 32 + "&From=sip%3Aa%40b&To=sip%3Ac%40d&CallStatus=ringing&" + "x" * 300
SECRETS = SigningSecrets("token", ("whsec_" + base64.b64encode(b"s" * 32).decode(),))

Send = Callable[[], Awaitable[object]]


class Answering(asyncio.Protocol):
    """Counts on a request arriving in one piece, as it does on loopback."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]  # a TCP transport


def receive(pipe: Connection, host: str = "127.0.0.1") -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, host, 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


async def measure(send: Send, seconds: float) -> tuple[float, float]:
    """Requests per second and CPU milliseconds per request."""
    end = time.monotonic() + seconds
    done = 0

    async def one() -> None:
        nonlocal done
        while time.monotonic() < end:
            await send()
            done += 1

    wall, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return done / wall, cpu * 1000 / done


def delivery(url: str) -> Delivery:
    now = datetime.now(UTC)
    return Delivery(
        id=1,
        message_id=MessageId("msg_1"),
        destination_id=1,
        origin=url,
        account_sid=AccountSid("AC1"),
        call_sid=CallSid("CA1"),
        sequence=0,
        method="POST",
        url=url,
        body=BODY,
        attempt=1,
        created_at=now,
        expires_at=now + timedelta(days=1),
        lease_token=1,
        claimed_at=now,
    )


async def compare(url: str, seconds: float) -> None:
    policy = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))
    transport = Transport(Guard(policy))
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    stock = httpx.AsyncClient(limits=limits)
    client = httpx.AsyncClient(transport=transport)
    attempt = Attempt(transport, Backoff((5,)))
    owed = delivery(url)
    content = BODY.encode()
    ways: dict[str, Send] = {
        "stock httpx.AsyncClient": lambda: stock.post(url, content=content),
        "httpx.AsyncClient on the transport": lambda: client.post(url, content=content),
        "httpx.Request to the transport": lambda: transport.handle_async_request(
            httpx.Request("POST", url, content=content)
        ),
        "a whole attempt, both signatures": lambda: attempt(owed, SECRETS),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, send in ways.items():
            rate, cpu = await measure(send, seconds)
            best[name] = (max(rate, best.get(name, (0.0, 0.0))[0]), min(cpu, best.get(name, (0.0, 1e9))[1]))
    base = best["stock httpx.AsyncClient"][1]
    for name, (rate, cpu) in best.items():
        print(f"{name:36} {rate:8,.0f}/s  {cpu:6.3f} ms CPU  {base / cpu:5.1f} x less CPU than stock")
    await transport.aclose()
    await stock.aclose()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.5
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=receive, args=(theirs,), daemon=True)
    process.start()
    uvloop.run(compare(f"http://127.0.0.1:{ours.recv()}/events", seconds))
    process.terminate()


if __name__ == "__main__":
    main()
