"""``python -m tests.faults [NAME…] [--full] [--write FILE]``: inject faults into the real product, print what came."""

import argparse
import asyncio
import importlib
import json
import sys
from pathlib import Path

from tests.faults.suite import FAULTS, run_all
from tests.faults.table import heading, line, write
from tests.faults.verdict import Row

MODULES = (
    "api_faults", "worker_kills", "talking_kills", "goodbye_kills", "webhook_faults", "database_faults", "pool_faults",
    "between_faults", "disk_faults", "poison_faults", "clock_faults", "network_faults", "process_faults",
    "limit_faults", "schema_faults", "secret_faults", "inbound_faults", "recording_faults", "random_kills",
)  # fmt: skip


def main() -> int:
    for module in MODULES:
        importlib.import_module(f"tests.faults.{module}")
    arguments = _arguments()
    if arguments.list:
        for one in FAULTS.values():
            print(f"{one.name:<28}{'long  ' if one.long else '      '}{one.what}")
        return 0
    names = arguments.names or [one.name for one in FAULTS.values() if arguments.full or not one.long]

    def show(row: Row) -> None:
        print(json.dumps(row.as_json()) if arguments.json else line(row), flush=True)
        if arguments.write:
            write(arguments.write, [row])

    if not arguments.json:
        print(heading(), flush=True)
    rows = asyncio.run(run_all(names, arguments.calls, show, full=arguments.full))
    return 0 if all(row.passed for row in rows) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which faults; all but the long ones when none is named"
    )
    parser.add_argument("--full", action="store_true", help="all of them, as often and as long as the promise says")
    parser.add_argument("--calls", type=int, help="how many calls each fault is given")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the rows into this document")
    parser.add_argument("--json", action="store_true", help="rows as JSON lines instead of a table")
    parser.add_argument("--list", action="store_true", help="say what there is")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; --list says what there is")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
