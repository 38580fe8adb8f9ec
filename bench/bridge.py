"""A bridge beside a relay written in C (bench/bridge.c, compiled here): CPU per packet, delay, loss; recorded too.

    python -m bench.bridge [--calls 100] [--seconds 10] [--rounds 2] [--port 20000] [--json]

Each relay is a process of its own under the same load, one after the other, in several rounds of which the cheapest
counts: CPU time per packet grows when others use the machine. The load's own CPU is not counted.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.calls.audio import TakeOrder
from app.media.pyvoip import PayloadType
from app.media.recorder import WavRecorder
from app.media.rtp import RtpPool
from app.runtime import log
from app.runtime.loop import run
from bench import cpu, report

HERE = Path(__file__).parent
C_RELAY, BRIDGE, RECORDED = "C relay", "bridge", "bridge, recorded"
_WARM = 1.5  # seconds until everybody knows everybody
_RATE = 50  # packets a second from each leg


async def serve(kind: str, calls: int, first: int) -> int:
    """The process under test: bridged calls on the ports that the load talks to, until it is killed."""
    log.configure("warning", "console", "bench")
    end = first + 4 * calls
    pool = RtpPool("127.0.0.1", range(first, end), timeout=30)
    legs = sorted((pool.open() for _ in range(2 * calls)), key=lambda leg: leg.local_port)
    recorder = WavRecorder(Path.cwd(), pool.ticker)
    for number, leg in enumerate(legs):
        leg.connect({0: PayloadType.PCMU}, "127.0.0.1", end + number, send=True, receive=True).start()
    print("ready", flush=True)
    for number in range(0, len(legs), 2):
        legs[number].bridge(legs[number + 1])
        if kind == RECORDED:
            recorder.begin(TakeOrder(f"RE{number}", channels=2), caller=legs[number], callee=legs[number + 1])
            await asyncio.sleep(0.8 / calls)  # calls do not begin together
    await asyncio.Event().wait()
    return 0


def measure(kind: str, program: Path, calls: int, seconds: float, first: int) -> dict[str, Any]:
    """One relay under load."""
    own, sizes = [str(program), "relay", str(calls), str(first)], ["--calls", str(calls), "--port", str(first)]
    command = own if kind == C_RELAY else [sys.executable, "-m", "bench.bridge", "--serve", kind, *sizes]
    paths = os.environ | {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=program.parent, env=paths) as relay:
        try:
            if relay.stdout is None or b"ready" not in relay.stdout.readline():
                sys.exit(f"{kind} did not start")
            load = [str(program), "load", str(calls), str(first), str(int(seconds + 2 * _WARM))]
            with subprocess.Popen(load, stdout=subprocess.PIPE) as talking:
                time.sleep(_WARM)
                spent, began, others = cpu.seconds([relay.pid]), time.monotonic(), cpu.machine()
                time.sleep(seconds)
                spent, elapsed = cpu.seconds([relay.pid]) - spent, time.monotonic() - began
                others = cpu.machine() - others - spent
                figures = json.loads(talking.communicate()[0])
        finally:
            relay.kill()
    packets = elapsed * 2 * calls * _RATE
    return figures | {
        "lost": figures["due"] - figures["heard"],
        "us_per_packet": spent / packets * 1e6,
        "calls_per_core": calls / (spent / elapsed) if spent else 0,
        "load and others, cores": others / elapsed,
    }


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--calls", type=int, default=100)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--port", type=int, default=20_000, help="the first of six times as many ports as calls")
    options.add_argument("--json", action="store_true")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.serve:
        return run(serve(asked.serve, asked.calls, asked.port))
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        sys.exit("a C compiler is missing: apt-get install gcc")
    machine, found = report.machine(), {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bridge"
        subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / "bridge.c")], check=True)
        for number in range(asked.rounds):
            for kind in (C_RELAY, BRIDGE, RECORDED):
                figures = measure(kind, program, asked.calls, asked.seconds, asked.port)
                if number == 0 or figures["us_per_packet"] < found[kind]["us_per_packet"]:
                    found[kind] = figures
                for recording in Path(folder).glob("*.part"):
                    recording.unlink()
    plain = found[BRIDGE]["us_per_packet"]
    found["ratios of CPU per packet"] = {
        "bridge / C relay": plain / found[C_RELAY]["us_per_packet"],
        "recorded / not": found[RECORDED]["us_per_packet"] / plain,
    }
    report.show(f"{asked.calls} bridged calls, {asked.seconds:g} s", machine, found, as_json=asked.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
