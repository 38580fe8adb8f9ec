"""``python -m tests.faults [NAME…] [--calls N] [--json]``: inject faults into the real product, print what came."""

import argparse
import asyncio
import json
import sys

from tests.faults import api_faults, database_faults, process_faults, random_kills, webhook_faults, worker_kills
from tests.faults.suite import FAULTS, heading, line, run_all

MODULES = (worker_kills, api_faults, webhook_faults, database_faults, process_faults, random_kills)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which faults; all but the long ones when none is named"
    )
    parser.add_argument("--calls", type=int, help="how many calls each fault is given")
    parser.add_argument("--json", action="store_true", help="rows as JSON lines instead of a table")
    parser.add_argument("--list", action="store_true", help="say what there is")
    arguments = parser.parse_args()
    if arguments.list:
        for one in FAULTS.values():
            print(f"{one.name:<28}{'long  ' if one.long else '      '}{one.what}")
        return 0
    if unknown := set(arguments.names) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; --list says what there is")
    names = arguments.names or [one.name for one in FAULTS.values() if not one.long]
    if not arguments.json:
        print(heading(), flush=True)
    show = (
        (lambda row: print(json.dumps(row.as_json()), flush=True))
        if arguments.json
        else (lambda row: print(line(row), flush=True))
    )
    rows = asyncio.run(run_all(names, arguments.calls, show))
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
