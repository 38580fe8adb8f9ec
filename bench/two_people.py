"""Two people through the running product: what is left of many calls, what a bridge adds, what a recording keeps.

python -m bench.two_people fates [--calls 1000] [--rate 8] [--json]         what 1,000 calls of mixed fates leave
python -m bench.two_people bridge [--pairs 100] [--seconds 30] [--record]   delay, loss and CPU of bridged calls
python -m bench.two_people recording [--minutes 10] [--skew 100,-100]       channels of a long recording
"""

import argparse
import asyncio

from bench import recorded


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.two_people", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("recording")
    recording.add_argument("--minutes", type=float, default=10)
    recording.add_argument("--every", type=float, default=30, help="seconds between two marks")
    recording.add_argument("--skew", default="0,0", help="how fast the clocks of caller and callee are, ppm")
    for command in (recording,):
        command.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    skew = [float(part) for part in asked.skew.split(",")]
    return asyncio.run(recorded.run(asked.minutes, asked.every, skew, as_json=asked.json))


if __name__ == "__main__":
    raise SystemExit(main())
