"""The whole road under a steady rate: POST /v1/dials → PostgreSQL → SIP call to SIPp → four callbacks.

python -m bench.road [--rate 50] [--seconds 30] [--hold 0] [--workers 1] [--json]      about a minute
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.demo.ports import choose
from app.demo.product import NotStarted, Product
from app.runtime import loop
from bench import cpu, sipp
from bench.report import machine, quantile, show
from bench.traffic import Client, Placed, Receiver

_SCENARIO = Path(__file__).with_name("callee.xml")
_CALLBACKS = 4  # of a leg that is answered
_WARM_UP = (20.0, 2.0)  # calls/s, seconds: connections, caches, prepared statements
_STILL_FOR = 5.0  # seconds without a callback after which nothing more is waited for
_SAMPLE = 300  # calls whose events are read to compare them with their callbacks


@dataclass(frozen=True, slots=True)
class Load:
    rate: float
    seconds: float
    hold: float  # seconds between the ACK and the callee's BYE
    workers: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One run, as its ends saw it."""

    placed: list[Placed]
    first_arrivals: Mapping[tuple[str, int], float]
    requests: int  # at the receiver, repeated ones included
    legs: list[Mapping[str, Any]]  # as the API shows them at the end
    invited_at: Mapping[str, float]
    events_at: Mapping[tuple[str, int], float]  # of the sample
    wall: float  # seconds from the first request to the last callback
    cpu: Mapping[str, float]  # role → seconds
    others: float  # cores that had nothing to do with it


async def run(load: Load) -> Seen:
    directory = Path(tempfile.mkdtemp(prefix="dial-to-sip-bench-"))
    product = Product(directory, choose(), _settings(load))
    try:
        with sipp.callee("-sf", str(_SCENARIO), "-d", str(int(load.hold * 1000))) as callee:
            await product.start()
            return await _measure(load, product, callee)
    except NotStarted as error:
        sys.exit(f"{error}\n" + "\n".join(product.last_lines()))
    finally:
        await product.stop()
        product.remove_data()
        shutil.rmtree(directory, ignore_errors=True)


def _settings(load: Load) -> dict[str, str]:
    return {
        "DIAL_RTP_PORTS": "20000-29999",
        "DIAL_WEBHOOK_RETRIES": "5,30",
        "DIAL_MAX_CALLS": "1000",
        "DIAL_WORKERS": str(load.workers),
    }


async def _measure(load: Load, product: Product, callee: sipp.Sipp) -> Seen:
    receiver = Receiver()
    server = await receiver.start()
    client = Client(product.ports.http, product.credentials)
    target = {"uri": f"sip:alice@{sipp.HOST}:{callee.port}", "statusCallback": receiver.url}
    body = json.dumps({"timeout": 30, "sip": [target]}).encode()
    try:
        await client.place_at_rate(body, rate=_WARM_UP[0], seconds=_WARM_UP[1])
        await _until_still(receiver)
        receiver.arrivals.clear()
        before, busy, began = _cpu(product, callee), cpu.machine(), time.time()
        placed = await client.place_at_rate(body, rate=load.rate, seconds=load.seconds)
        await _until_still(receiver, expected=_CALLBACKS * sum(one.status == 202 for one in placed))
        after, busy, ended = _cpu(product, callee), cpu.machine() - busy, time.time()
        spent = {role: after[role] - before[role] for role in after}
        last = max((at for at, _ in receiver.arrivals), default=began)
        sids = [one.body["sid"] for one in placed if one.status == 202]
        legs = await _legs(client, set(sids))
        return Seen(
            placed,
            receiver.first_arrivals(),
            len(receiver.arrivals),
            legs,
            _invited_at(callee.log_lines()),
            await _events_at(client, [leg["sid"] for leg in legs[:: max(1, len(legs) // _SAMPLE)]]),
            last - began,
            spent,
            max(0.0, busy - sum(spent.values())) / (ended - began),
        )
    finally:
        client.close()
        server.close()


async def _until_still(receiver: Receiver, expected: int | None = None) -> None:
    """Until `expected` callbacks came, or none for a while."""
    count, since = -1, time.monotonic()
    while expected is None or count < expected:
        if len(receiver.arrivals) != count:
            count, since = len(receiver.arrivals), time.monotonic()
        elif time.monotonic() - since > _STILL_FOR:
            return
        await asyncio.sleep(0.05)


def _cpu(product: Product, callee: sipp.Sipp) -> dict[str, float]:
    """CPU seconds so far by role; PostgreSQL's are those of the server and of everything it forked."""
    spent = defaultdict(float, {"this client and receiver": time.process_time(), "SIPp": cpu.seconds([callee.pid])})
    for pid in cpu.children(product.pid):
        command = cpu.command(pid)
        if Path(command[0]).name == "postgres":
            spent["postgres"] += cpu.seconds([pid, *cpu.children(pid)])
        elif len(command) > 1:
            spent[command[-2]] += cpu.seconds([pid])
    return dict(spent)


async def _legs(client: Client, parents: set[str]) -> list[Mapping[str, Any]]:
    legs: list[Mapping[str, Any]] = []
    page = "/v1/calls?direction=outbound-dial&pageSize=1000"
    while page:
        answer = await client.get(page)
        legs += [call for call in answer["calls"] if call["parentCallSid"] in parents]
        page = answer["nextPageUri"]
    return legs


def _invited_at(lines: Sequence[str]) -> dict[str, float]:
    """Leg → wall clock of its first INVITE at the callee."""
    invited: dict[str, float] = {}
    for line in lines:
        sid, *_, at = line.split()
        invited.setdefault(sid, float(at))
    return invited


async def _events_at(client: Client, sids: Sequence[str]) -> dict[tuple[str, int], float]:
    """(leg, SequenceNumber) → when the event happened, by the record."""
    at: dict[tuple[str, int], float] = {}
    for sid in sids:
        events = (await client.get(f"/v1/calls/{sid}/events"))["events"]
        for number, event in enumerate(events):
            at[sid, number] = datetime.fromisoformat(event["at"]).timestamp()
    return at


def sections(load: Load, seen: Seen) -> dict[str, dict[str, Any]]:
    accepted = [one for one in seen.placed if one.status == 202]
    refused = Counter(one.status for one in seen.placed if one.status != 202)
    ends = Counter(f"{leg['status']}/{leg['reason']}" for leg in seen.legs)
    completed = ends["completed/callee-hangup"]
    expected = _CALLBACKS * completed
    # First the 202 names the leg, so that a request can be found again at the callee.
    asked = {one.body["legs"][0]["sid"]: one.asked_at for one in accepted}
    to_invite = [seen.invited_at[sid] - at for sid, at in asked.items() if sid in seen.invited_at]
    to_callback = [seen.first_arrivals[key] - at for key, at in seen.events_at.items() if key in seen.first_arrivals]
    per_call = {f"{role}, CPU ms per call": spent * 1000 / max(1, len(accepted)) for role, spent in seen.cpu.items()}
    ours = sum(spent for role, spent in seen.cpu.items() if role in ("api", "worker", "webhooks", "postgres"))
    return {
        "Load": {
            "asked, calls per second": load.rate,
            "for, seconds": load.seconds,
            "talk time, seconds": load.hold,
            "worker processes": load.workers,
        },
        "Calls": {
            "requests": len(seen.placed),
            "202": len(accepted),
            "other answers": ", ".join(f"{status or 'none'}: {n}" for status, n in refused.items()) or "-",
            "completed": completed,
            "ended otherwise": ", ".join(f"{end}: {n}" for end, n in ends.items() if end != "completed/callee-hangup")
            or "-",
            "placed per second": len(accepted) / load.seconds,
            "completed per second": completed / seen.wall if seen.wall else 0.0,
        },
        "Time, ms": {
            **_quantiles("request to 202", [one.took for one in accepted]),
            **_quantiles("request to INVITE at the callee", to_invite),
            **_quantiles("event to callback at the receiver", to_callback),
        },
        "Callbacks": {
            "expected": expected,
            "arrived": len(seen.first_arrivals),
            "arrived again": seen.requests - len(seen.first_arrivals),
        },
        "CPU": {
            **per_call,
            "ours together, CPU ms per call": ours * 1000 / max(1, len(accepted)),
            "all of it, cores": sum(seen.cpu.values()) / max(seen.wall, 0.001),
            "others on this machine, cores": seen.others,
        },
    }


def _quantiles(name: str, values: Sequence[float]) -> dict[str, float]:
    return {f"{name}, p{part * 100:.0f}": quantile(values, part) * 1000 for part in (0.5, 0.99)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.road", description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="dial requests per second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--hold", type=float, default=0, help="seconds that each call talks")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load = Load(options.rate, options.seconds, options.hold, options.workers)
    seen: list[Seen] = []

    async def measure() -> int:
        seen.append(await run(load))
        return 0

    on = machine()
    loop.run(measure())
    show("The whole road", on, sections(load, seen[0]), as_json=options.json)


if __name__ == "__main__":
    main()
