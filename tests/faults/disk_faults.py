"""Fills the disk under the product's own PostgreSQL."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.store.embedded import SYSTEM_HOME, EmbeddedPostgres
from tests.faults.api_faults import well_again
from tests.faults.load import Health, Steady, answers, place, wrong_answers
from tests.faults.stage import Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_SIZE = "96m"  # an empty cluster with its first WAL segments takes 70


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The embedded database lies on a disk of its own; needs root, who may mount one."""
    if os.geteuid() != 0:
        raise PermissionError("a disk that can be filled takes a mount, and that takes root")
    data = folder / "data"
    data.mkdir(mode=0o700)
    name = f"fault-{secrets.token_hex(4)}"
    (data / "postgres.name").write_text(name)
    home = SYSTEM_HOME / name
    home.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0711", "none", str(home)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
        home.rmdir()


@fault("disk-full", calls=10, plan=Plan(around=small_disk), DIAL_DATABASE_URL="")
async def disk_full(stage: Stage, calls: int) -> Told:
    """The disk of the product's PostgreSQL full for 20 s: no 202 without a row, 503, live calls talk on, well again."""
    await place(stage, calls, "r50")
    await stage.until(lambda: stage.callee.count("ACK") >= calls, 30, "ACK")
    ballast = EmbeddedPostgres(stage.folder / "data").home / "ballast"
    async with Steady(stage, 20, "r50-t200"), Health(stage) as health:
        await stage.pause(2)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            _fill(ballast)
            await stage.pause(0.2)
        ballast.unlink()
        started = time.monotonic()
        await well_again(stage)
        again = time.monotonic() - started
        await stage.pause(3)
    refused = sum(status == 503 for status, _ in stage.latencies)
    problems = [*wrong_answers(stage), *([] if refused else ["the disk was never full"])]
    problems += health.problems()
    await stage.hang_up_rest(0)
    died = sum("database.died" in line for line in stage.service.lines)
    notes = [answers(stage), f"PostgreSQL died {died} times, well again {again:.1f} s after there was room"]
    return Told(ordered=False, problems=problems, notes=notes)


def _fill(ballast: Path) -> None:
    """Until there is no room for another page."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
