"""Two people through the running product: what is left of many calls, what a bridge adds, what a recording keeps.

python -m bench.two_people fates [--calls 1000] [--rate 8] [--json]         what 1,000 calls of mixed fates leave
python -m bench.two_people bridge [--pairs 100] [--seconds 30] [--record]   delay, loss and CPU of bridged calls
python -m bench.two_people recording [--minutes 10] [--skew 100,-100]       channels of a long recording
"""

import argparse
import asyncio
import os
from pathlib import Path

from bench import bridged, fates, recorded


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.two_people", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    mixed = commands.add_parser("fates")
    mixed.add_argument("--calls", type=int, default=1000)
    mixed.add_argument("--rate", type=float, default=8, help="calls per second")
    bridge = commands.add_parser("bridge")
    bridge.add_argument("--pairs", type=int, default=100)
    bridge.add_argument("--seconds", type=float, default=30)
    bridge.add_argument("--record", action="store_true")
    recording = commands.add_parser("recording")
    recording.add_argument("--minutes", type=float, default=10)
    recording.add_argument("--every", type=float, default=30, help="seconds between two marks")
    recording.add_argument("--skew", default="0,0", help="how fast the clocks of caller and callee are, ppm")
    recording.add_argument("--keep", type=Path, help="file for the recording; what the telephones say goes beside it")
    mixed.add_argument("--log", type=Path, help="file for what the product says")
    for command in (mixed, bridge, recording):
        command.add_argument("--nice", type=int, default=0, help="priority of all of it; below 0 needs root")
        command.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.nice(asked.nice)  # what is started from here on has it too
    if asked.command == "fates":
        return asyncio.run(fates.run(asked.calls, asked.rate, log=asked.log, as_json=asked.json))
    if asked.command == "bridge":
        return asyncio.run(bridged.run(asked.pairs, asked.seconds, record=asked.record, as_json=asked.json))
    skew = [float(part) for part in asked.skew.split(",")]
    return asyncio.run(recorded.run(asked.minutes, asked.every, skew, keep=asked.keep, as_json=asked.json))


if __name__ == "__main__":
    raise SystemExit(main())
