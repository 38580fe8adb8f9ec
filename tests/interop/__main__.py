"""`python -m tests.interop [-k TEXT] [--write FILE] [--show SCENARIO]`: the proofs outside pytest, their page."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.interop import page, sipp_peer
from tests.interop.everybody import call_everybody, turn_every_check, versions
from tests.interop.script import expand


def main(options: argparse.Namespace) -> int:
    if options.show:
        print(expand((sipp_peer.FOLDER / f"{options.show}.xml").read_text()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run((turn_every_check if options.bite else call_everybody)(Path(folder), only=options.k))
    for peer, results in found.items():
        for result in results:
            print(f"{'FAIL' if result.problem else 'ok  '} {result.took:5.1f} s  {peer}: {result.proof.name}")
            if result.problem:
                print(result.problem)
    if options.write and not options.k and not options.bite:
        options.write.write_text(page.written(found, versions()))
    return any(result.problem for results in found.values() for result in results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("-k", default="", help="only proofs whose peer or name holds this")
    parser.add_argument("--bite", action="store_true", help="turn each check around and see it fail")
    parser.add_argument("--write", type=Path, help="write the page of what was found to this file")
    parser.add_argument("--show", help="print the plain SIPp scenario of a file and do nothing else")
    sys.exit(main(parser.parse_args()))
