"""Bridged calls through the running product: what the bridge adds to the way of a packet, loses, and costs."""

import asyncio
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import cpu
from bench.pairs import HELD_UP
from bench.report import machine, show
from tests.kit.service import ROOT, Customer, Service, running_service

ADDED_P99 = 5.0  # ms that a bridge may add
_AT_ONCE = 10  # calls in set-up


async def run(pairs: int, seconds: float, *, record: bool, as_json: bool) -> int:
    """1 when, while the telephones were on time, a packet was lost or changed or the bridge added more than it may."""
    on, low = machine(), random.randrange(20_000, 28_000, 2)
    ports = f"{low}-{low + 5 * pairs}"
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), DIAL_RTP_PORTS=ports) as service:
        async with service.customer() as customer:
            told = await _measured(service, customer, pairs, seconds, record=record)
    bridged, direct, quiet = told["bridged"], told["direct"], told["quiet"]
    added = {name: quiet[name] - direct["p50"] for name in ("p50", "p99", "p999", "max")}
    share = told["worker"] / seconds
    sections = {
        "Telephones": {
            **{f"late, {name}, ms": late for name, late in told["late"].items()},
            f"seconds in which none was {HELD_UP:g} ms late": told["quiet seconds"],
            "their process, cores": told["cores"],
            "others on this machine, cores": told["others"] / seconds,
        },
        "Packets, all · in those seconds": {
            name: f"{bridged[name]:,} · {quiet[name]:,}" for name in ("sent", "lost", "odd", "again")
        },
        "From sendto to arrival, ms: p50 · p99 · p99.9 · max": {
            "directly, same process": _row(direct),
            "over the bridge": _row(bridged),
            "over the bridge, in those seconds": _row(quiet),
            "added in those (less the direct p50)": _row(added),
        },
        "Worker": {
            "cores": share,
            "of a core per bridged call, %": share / pairs * 100,
            "us per packet": told["worker"] / bridged["sent"] * 1e6,
        },
    }
    show(f"{pairs} bridged calls{', recorded' if record else ''}, {seconds:g} s", on, sections, as_json=as_json)
    wrong = quiet["lost"] or quiet["odd"] or quiet["again"] or not quiet["sent"]
    return int(bool(wrong) or added["p99"] >= ADDED_P99)


def _row(values: dict[str, float]) -> str:
    return " · ".join(f"{values[name]:.3f}" for name in ("p50", "p99", "p999", "max"))


async def _measured(
    service: Service, customer: Customer, pairs: int, seconds: float, *, record: bool
) -> dict[str, Any]:
    talking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pairs", str(pairs), cwd=ROOT, env=dict(os.environ),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if talking.stdin is None or talking.stdout is None:
            raise OSError("the telephones have no voice")
        names = json.loads(await talking.stdout.readline())
        request = {"caller": names["ann"], "sip": names["bob"]}
        if record:
            request["record"] = "record-from-answer-dual"
        turn = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(_bridge(customer, request, turn) for _ in range(pairs)))
        await asyncio.sleep(1)  # the first packets tell everybody where everybody is
        workers = service.pids("worker")
        spent, busy = cpu.seconds(workers), cpu.machine()
        talking.stdin.write(f"measure {seconds}\n".encode())
        await asyncio.sleep(seconds)
        spent, busy = cpu.seconds(workers) - spent, cpu.machine() - busy
        told = dict(json.loads(await talking.stdout.readline()))
        talking.stdin.close()
        await talking.wait()
    finally:
        if talking.returncode is None:
            talking.kill()
    return told | {"worker": spent, "others": busy - spent - told["cores"] * seconds}


async def _bridge(customer: Customer, request: dict[str, str], turn: asyncio.Semaphore) -> None:
    async with turn:
        call = await customer.dial(dict(request))
        await customer.wait_for(call["legs"][0]["sid"], "in-progress", seconds=30)
