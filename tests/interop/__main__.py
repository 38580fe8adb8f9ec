"""`python -m tests.interop [-k TEXT] [--write FILE] [--show SCENARIO]`: the proofs outside pytest, their page."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.interop import sipp_peer
from tests.interop.lab import lab_of
from tests.interop.ledger import failures, run
from tests.interop.script import expand
from tests.kit.service import running_service


async def main(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        async with lab_of(service) as lab:
            proofs = [proof for proof in sipp_peer.proofs() if options.k in proof.name]
            results = await run(proofs, lab)
    for result in results:
        print(f"{'FAIL' if result.problem else 'ok  '} {result.took:5.1f} s  {result.proof.name}")
    print(failures(results))
    Path("/tmp/interop-service.log").write_text("".join(service.lines))
    return any(result.problem for result in results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("-k", default="", help="only proofs whose name holds this")
    parser.add_argument("--write", type=Path, help="write the page of what was found to this file")
    parser.add_argument("--show", help="print the plain SIPp scenario of a file and do nothing else")
    given = parser.parse_args()
    if given.show:
        print(expand((sipp_peer.FOLDER / f"{given.show}.xml").read_text()))
    else:
        sys.exit(asyncio.run(main(given)))
