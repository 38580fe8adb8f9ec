"""The outbox: what a delivery and a durable transition cost, and how soon what is committed arrives.

python -m bench.outbox [--deliveries 10000] [--callers 100] [--seconds 5] [--rounds 2] [--json]      about two minutes
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from app.runtime import log, loop
from app.runtime.supervised import READY_FD
from app.store import migrate
from app.store.accounts import Accounts
from app.store.database import Database
from app.store.embedded import EmbeddedPostgres
from app.store.seal import Sealer
from bench import cpu
from bench.owing import Destinations, Writer, Written
from bench.report import machine, quantile, show

_ROOT = Path(__file__).parents[1]
_KEY = "bench"
_DESTINATIONS = 100
_RATES = (50.0, 500.0)  # deliveries/s at which the way from commit to arrival is measured, beside one at a time
_ONE_AT_A_TIME = 10.0  # deliveries/s: each finds a dispatcher that does nothing
_STANDING_STILL = 5.0  # seconds
_ANCHOR_JOBS = 2000
_INSTALL_SECONDS = 180
_END_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds up to now."""

    here: float  # this process: the writer
    role: float
    backends: Mapping[str, float]  # PostgreSQL's, by the application that they serve; "server": its own processes

    def since(self, before: "Spent") -> "Spent":
        names = self.backends.keys() | before.backends.keys()
        backends = {name: self.backends.get(name, 0.0) - before.backends.get(name, 0.0) for name in names}
        return Spent(self.here - before.here, self.role - before.role, backends)

    def of(self, application: str) -> float:
        return self.backends.get(application, 0.0)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements need."""

    embedded: EmbeddedPostgres
    url: str
    destinations: Destinations
    writer: Writer
    asking: psycopg.Connection[tuple[Any, ...]]

    def spent(self, role: int | None) -> Spent:
        names = dict(self.asking.execute("SELECT pid, application_name FROM pg_stat_activity").fetchall())
        server = self.embedded.pid or 0
        backends: defaultdict[str, float] = defaultdict(float)
        for pid in (server, *cpu.children(server)):
            backends[str(names.get(pid) or "server")] += cpu.seconds([pid])
        return Spent(time.process_time(), cpu.seconds([role]) if role else 0.0, backends)


@asynccontextmanager
async def dispatcher(url: str) -> AsyncIterator[int]:
    """The role `webhooks` as a process of its own; its pid, as soon as it says that it is ready."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "webhooks",
        cwd=_ROOT, pass_fds=[writing],
        env={**os.environ, "DIAL_DATABASE_URL": url, "DIAL_SECRET_KEY": _KEY, "DIAL_HTTP_ALLOW": "127.0.0.0/8",
             "DIAL_LOG_LEVEL": "warning", "DIAL_MAX_WAIT": "100000", READY_FD: str(writing)},
    )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as ready:
            if not await asyncio.to_thread(ready.readline):
                sys.exit("the role webhooks did not start")
            yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def backlog(bench: Bench, *, deliveries: int, events: int, callers: int) -> dict[str, dict[str, float]]:
    """Written while nobody delivers, then delivered by a dispatcher that has just started."""
    sids = await bench.writer.place(deliveries // events)
    before, began = bench.spent(None), time.perf_counter()
    written = await bench.writer.owe_all(sids, events, bench.destinations.urls, callers)
    wall, spent = time.perf_counter() - began, bench.spent(None).since(before)
    took = [one.took for one in written]
    transitions = {
        "per second": len(written) / wall,
        "CPU ms each, writer": spent.here * 1000 / len(written),
        "CPU ms each, PostgreSQL": (spent.of("dial bench") + spent.of("server")) * 1000 / len(written),
        "p50, ms": quantile(took, 0.5) * 1000,
        "p99, ms": quantile(took, 0.99) * 1000,
    }
    async with dispatcher(bench.url) as role:
        before, began = bench.spent(role), time.perf_counter()
        await _until_arrived(bench, len(written))
        await _until_finished(bench)
        wall, spent = time.perf_counter() - began, bench.spent(role).since(before)
    _missing_none(written, bench.destinations.take())
    each = spent.role * 1000 / len(written)
    return {
        "transitions": transitions,
        "deliveries": {
            "per second": len(written) / wall,
            "CPU ms each, dispatcher": each,
            "CPU ms each, PostgreSQL for it": spent.of("dial webhooks") * 1000 / len(written),
            "CPU ms each, PostgreSQL's own processes": spent.of("server") * 1000 / len(written),
            "per second and dispatcher core": 1000 / each,
        },
    }


async def at_rate(bench: Bench, role: int, rate: float, seconds: float) -> dict[str, float]:
    sids = await bench.writer.place(int(rate * seconds))
    await asyncio.sleep(1)  # what placing left to do is done
    before, began = bench.spent(role), time.perf_counter()
    written = await bench.writer.owe_at_rate(sids, bench.destinations.urls, rate)
    await _until_arrived(bench, len(written))
    await _until_finished(bench)
    wall, spent = time.perf_counter() - began, bench.spent(role).since(before)
    arrived = bench.destinations.take()
    _missing_none(written, arrived)
    way = [arrived[one.key] - one.at for one in written]
    return {
        "per second": len(written) / wall,
        "CPU ms each, dispatcher": spent.role * 1000 / len(written),
        "CPU ms each, PostgreSQL for it": spent.of("dial webhooks") * 1000 / len(written),
        "CPU ms each, writer": spent.here * 1000 / len(written),
        "CPU ms each, PostgreSQL for the writer": spent.of("dial bench") * 1000 / len(written),
        "commit to arrival, p50, ms": quantile(way, 0.5) * 1000,
        "commit to arrival, p99, ms": quantile(way, 0.99) * 1000,
    }


async def standing_still(bench: Bench, role: int) -> dict[str, float]:
    before = bench.spent(role)
    await asyncio.sleep(_STANDING_STILL)
    spent = bench.spent(role).since(before)
    return {
        "CPU ms per second, dispatcher": spent.role * 1000 / _STANDING_STILL,
        "CPU ms per second, PostgreSQL for it": spent.of("dial webhooks") * 1000 / _STANDING_STILL,
    }


async def _until_arrived(bench: Bench, count: int) -> None:
    end = time.monotonic() + _END_SECONDS
    while bench.destinations.count() < count:
        if time.monotonic() > end:
            sys.exit(f"{bench.destinations.count()} of {count} deliveries arrived")
        await asyncio.sleep(0.02)


async def _until_finished(bench: Bench) -> None:
    while bench.asking.execute("SELECT 1 FROM webhook_outbox LIMIT 1").fetchone():
        await asyncio.sleep(0.02)


def _missing_none(written: Sequence[Written], arrived: Mapping[tuple[str, int], float]) -> None:
    if missing := {one.key for one in written} - arrived.keys():
        sys.exit(f"{len(missing)} of {len(written)} deliveries never arrived")


def anchor_python(folder: Path) -> str | None:
    """An environment of its own for procrastinate; None where it cannot be had."""
    python = folder / "bin" / "python"
    commands = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "-q", "procrastinate", "psycopg[binary]", "httpx", "uvloop"],
    )
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return str(python)


async def anchor(bench: Bench, python: str, urls: Sequence[str]) -> dict[str, float]:
    """The same requests as jobs of procrastinate, made before and not counted."""
    address = bench.url.rpartition("/")[0] + "/anchor"
    bench.asking.execute("DROP DATABASE IF EXISTS anchor WITH (FORCE)")
    bench.asking.execute("CREATE DATABASE anchor")
    from bench.owing import body

    bodies = [body(f"CA{number:032}", 0, "initiated") for number in range(_ANCHOR_JOBS)]
    process = await asyncio.create_subprocess_exec(
        python, str(_ROOT / "bench" / "anchor.py"), f"{address}?application_name=anchor", *urls,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a subprocess without pipes")
    process.stdin.write(json.dumps(bodies).encode() + b"\n")
    if not await process.stdout.readline():
        sys.exit("procrastinate did not start")
    before = bench.spent(None)
    process.stdin.write(b"\n")
    done = json.loads(await process.stdout.readline())
    spent = bench.spent(None).since(before)
    process.stdin.write(b"\n")
    await process.wait()
    if (arrived := len(bench.destinations.take())) != _ANCHOR_JOBS:
        sys.exit(f"procrastinate delivered {arrived} of {_ANCHOR_JOBS}")
    each, server = done["cpu"] * 1000 / _ANCHOR_JOBS, spent.of("server") * 1000 / _ANCHOR_JOBS
    return {
        "per second": _ANCHOR_JOBS / done["wall"],
        "CPU ms each, dispatcher": each,
        "CPU ms each, PostgreSQL for it": spent.of("anchor") * 1000 / _ANCHOR_JOBS,
        "CPU ms each, PostgreSQL's own processes": server,
        "per second and dispatcher core": 1000 / each,
    }


def cheapest(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure the best round: others on the machine only ever add."""
    return {name: (max if name.startswith("per second") else min)(each[name] for each in rounds) for name in rounds[0]}


def together(values: Mapping[str, float]) -> float:
    return sum(values[name] for name in values if name.startswith("CPU ms each, "))


async def measure(bench: Bench, options: argparse.Namespace, python: str | None) -> dict[str, dict[str, Any]]:
    single, ordered, anchors = [], [], []
    async with dispatcher(bench.url) as role:  # makes today's partitions
        await at_rate(bench, role, _RATES[0], 2)
    for _ in range(options.rounds):
        single.append(await backlog(bench, deliveries=options.deliveries, events=1, callers=options.callers))
        ordered.append(await backlog(bench, deliveries=options.deliveries, events=4, callers=options.callers))
        if python is not None:
            anchors.append(await anchor(bench, python, bench.destinations.urls[:1]))
    name = f"Durable transitions, {options.callers} callers"
    sections: dict[str, dict[str, Any]] = {
        name: cheapest([each["transitions"] for each in ordered]),
        f"Backlog of {options.deliveries}, one event of each call": cheapest([each["deliveries"] for each in single]),
        f"Backlog of {options.deliveries}, four events of each call in order": cheapest(
            [each["deliveries"] for each in ordered]
        ),
    }
    ours = cheapest([each["deliveries"] for each in single])
    if anchors:
        theirs = cheapest(anchors)
        sections["procrastinate, one destination"] = {
            **theirs,
            "CPU of ours ÷ its": f"1/{together(theirs) / together(ours):.1f}",
        }
    else:
        sections["procrastinate"] = {"not at hand": "it could not be installed"}
    async with dispatcher(bench.url) as role:
        await at_rate(bench, role, _RATES[0], 2)  # connections, prepared statements
        sections["Standing still"] = {**(await standing_still(bench, role))}
        for rate in (_ONE_AT_A_TIME, *_RATES):
            rounds = [await at_rate(bench, role, rate, options.seconds) for _ in range(options.rounds)]
            sections[f"At {rate:g} deliveries/s"] = {**cheapest(rounds)}
    return sections


async def run(
    options: argparse.Namespace, server: "Server", destinations: Destinations, found: dict[str, dict[str, Any]]
) -> int:
    database, sealer = Database(server.url, name="dial bench"), Sealer(_KEY)
    account = await Accounts(database, sealer).create()
    writer = Writer(database, sealer, account.sid)
    await writer.start()
    try:
        with psycopg.connect(server.url, autocommit=True, application_name="dial asking") as asking:
            bench = Bench(server.embedded, server.url, destinations, writer, asking)
            found |= await measure(bench, options, options.anchor)
    finally:
        await writer.stop()
        await database.close()
    return 0


class Server:
    """A durable PostgreSQL with our schema, gone when closed."""

    def __init__(self, folder: Path) -> None:
        self.embedded = EmbeddedPostgres(folder / "data")
        self.url = self.embedded.start()
        migrate.upgrade(self.url)

    def close(self) -> None:
        self.embedded.stop()
        subprocess.run(["rm", "-rf", str(self.embedded.home)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.outbox", description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000, help="of each backlog")
    parser.add_argument("--callers", type=int, default=100, help="who write transitions at once")
    parser.add_argument("--seconds", type=float, default=5, help="at each steady rate")
    parser.add_argument("--rounds", type=int, default=2, help="the cheapest of them is what is printed")
    parser.add_argument("--alone", action="store_true", help="without procrastinate")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log.configure("error", "console", "bench")
    found: dict[str, dict[str, Any]] = {}
    on = machine()
    destinations = Destinations(_DESTINATIONS)  # forked before there is a loop
    with tempfile.TemporaryDirectory() as folder, closing(Server(Path(folder))) as server, closing(destinations):
        options.anchor = None if options.alone else anchor_python(Path(folder) / "anchor")
        loop.run(run(options, server, destinations, found))
    show("The outbox", on, found, as_json=options.json)


if __name__ == "__main__":
    main()
