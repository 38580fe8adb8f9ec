"""``python -m tests.fuzz --datagrams N``: fire N bad datagrams at a real worker while calls run, print what came."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Report, run
from tests.fuzz.service_target import ServiceTarget
from tests.kit.receiver import receiver
from tests.kit.service import Service, running_service


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--datagrams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=4475)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), DIAL_INBOUND_RATE="0") as service:
        report = asyncio.run(_campaign(service, arguments.datagrams, arguments.seed))
    print("\n".join(report.lines()))
    return 0 if report.is_sound else 1


async def _campaign(service: Service, datagrams: int, seed: int) -> Report:
    async with service.customer() as customer, receiver() as application:
        return await run(ServiceTarget(customer, application), datagrams=datagrams, seed=seed, host=own_host())


def own_host() -> str:
    """A loopback address that no other process on this machine uses."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 16) % 64}.{(pid >> 8) % 256}.{pid % 254 + 1}"


if __name__ == "__main__":
    sys.exit(main())
