"""What the processes of the product use, read from /proc and from their metrics. Starts and judges none."""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.stage import Stage

_TASKS = re.compile(r'^dial_loop_tasks\{pid="(\d+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    at: float  # monotonic
    mebibytes: float  # resident
    descriptors: int
    threads: int
    tasks: int

    def __str__(self) -> str:
        return f"{self.descriptors} descriptors {self.threads} threads {self.tasks} tasks {self.mebibytes:.0f} MiB"


async def samples(stage: Stage) -> dict[str, Sample]:
    """One of each process, by its role."""
    answer = await stage.http.get(f"{stage.service.url}/metrics", auth=stage.auth)
    tasks = {int(pid): int(float(count)) for pid, count in _TASKS.findall(answer.text)}
    pids = {"supervisor": stage.service.process.pid}
    for role in ("api", "worker", "webhooks"):
        pids |= {f"{role}{nr or ''}": pid for nr, pid in enumerate(stage.pids(role))}
    return {name: _sample(pid, tasks.get(pid, 0)) for name, pid in pids.items()}


def slope(kept: Sequence[Sample]) -> float:
    """MiB per minute: the line of least squares."""
    if len(kept) < 2:
        return 0.0
    minutes = [one.at / 60 for one in kept]
    middle, mean = sum(minutes) / len(kept), sum(one.mebibytes for one in kept) / len(kept)
    above = sum((at - middle) * (one.mebibytes - mean) for at, one in zip(minutes, kept, strict=True))
    return above / sum((at - middle) ** 2 for at in minutes)


@contextmanager
def closed_by(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Ended at the end, whatever happened."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _sample(pid: int, tasks: int) -> Sample:
    folder = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    resident, threads = int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
    return Sample(time.monotonic(), resident, len(list((folder / "fd").iterdir())), threads, tasks)
