"""The SIP engine alone beside SIPp's own UAC: the same short calls at the same rate to the same kind of callee.

python -m bench.engine [--calls 3000] [--rate 200] [--json]      about 45 seconds
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import cpu, sipp
from bench.report import machine, show

_ROOT = Path(__file__).parents[1]
_AT_ONCE = 64  # calls in set-up when no rate is given, of either caller: what the engine itself lets in
_SIPP_FLAT_OUT = 100_000.0  # calls/s asked of SIPp: more than it can


def ours(calls: int, rate: float) -> dict[str, Any]:
    """SipPhone placing `calls`, as it counted itself and as the callee saw it."""
    busy = cpu.machine()
    with sipp.callee("-sn", "uas") as peer:
        command = [sys.executable, "-m", "bench.caller", str(peer.port), str(calls), str(rate), str(_AT_ONCE)]
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            sys.exit(done.stderr or done.stdout)
        counted = json.loads(done.stdout.splitlines()[-1])
        seen = peer.stop()
    others = cpu.machine() - busy - counted["lifetime_cpu"] - seen.cpu
    return {
        "calls": calls,
        "calls per second": calls / counted["wall"],
        "failed": calls - counted["answered"],
        "why": ", ".join(f"{reason} {count}" for reason, count in counted["failures"].items()) or "-",
        "calls the callee saw whole": min(calls, seen.succeeded),
        "CPU ms per call": counted["cpu"] * 1000 / calls,
        "order to answer, p50 ms": counted["setup_p50_ms"],
        "order to answer, p99 ms": counted["setup_p99_ms"],
        "callee's retransmissions": seen.retransmissions,
        "others on this machine, cores": max(0.0, others / seen.wall),
    }


def theirs(calls: int, rate: float) -> dict[str, Any]:
    """SIPp's UAC placing `calls`; its CPU includes its start (about 10 ms)."""
    with sipp.callee("-sn", "uas") as peer:
        counted = sipp.call(peer.port, calls=calls, rate=rate or _SIPP_FLAT_OUT, at_once=1000 if rate else _AT_ONCE)
        seen = peer.stop()
    return {
        "calls": calls,
        "calls per second": calls / counted.wall,
        "failed": calls - counted.succeeded,
        "calls the callee saw whole": seen.succeeded,
        "CPU ms per call": counted.cpu * 1000 / calls,
        "callee's retransmissions": seen.retransmissions,
    }


def compare(calls: int, rate: float) -> dict[str, dict[str, Any]]:
    how = f"at {rate:.0f} calls/s" if rate else "as fast as it goes"
    we, they = ours(calls, rate), theirs(calls, rate)
    ratio = we["CPU ms per call"] / they["CPU ms per call"]
    return {
        f"Dial-to-SIP's engine, {how}": we,
        f"SIPp's UAC, {how}": they,
        f"Ratio, {how}": {"CPU per call, ours ÷ SIPp's": ratio},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=200, help="calls per second of the paced part")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    on = machine()
    sections = compare(options.calls, options.rate) | compare(options.calls, 0)
    show("Engine alone", on, sections, as_json=options.json)


if __name__ == "__main__":
    main()
