"""Places dial requests, at once or at a steady rate, and remembers what became of them. Injects nothing."""

import asyncio
import secrets
import time
from collections import Counter
from typing import Any

from tests.faults.stage import Stage

_AT_ONCE = 10


async def place(stage: Stage, count: int, *scripts: str, **dial: Any) -> list[str]:
    """`count` requests with one leg per script, ten at a time; the sids of the 202s."""
    sids = []
    for start in range(0, count, _AT_ONCE):
        some = range(min(_AT_ONCE, count - start))
        answers = await asyncio.gather(*(stage.dial(stage.request(*scripts, **dial)) for _ in some))
        sids += [sid for sid in answers if sid]
    return sids


async def surely(stage: Stage, request: dict[str, Any], seconds: float = 30) -> str | None:
    """As a good client does: one key, repeated until it is taken; the sid."""
    key = secrets.token_hex(8)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sid := await stage.dial(request, key):
            return sid
        await asyncio.sleep(0.3)
    return None


class Steady:
    """`per_second` requests until stopped, each with its own script from the list in turn."""

    def __init__(self, stage: Stage, per_second: float, *scripts: str, **dial: Any) -> None:
        self._stage = stage
        self._every = 1 / per_second
        self._scripts = scripts
        self._dial = dial
        self._requests: set[asyncio.Task[Any]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Steady":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._requests:
            await asyncio.wait(self._requests)

    async def _run(self) -> None:
        number = 0
        while True:
            script = self._scripts[number % len(self._scripts)]
            task = asyncio.create_task(self._stage.dial(self._stage.request(script, **self._dial)))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
            number += 1
            await asyncio.sleep(self._every)


def answers(stage: Stage) -> str:
    """How often each status was answered, and how long the slowest answer took."""
    counts = Counter(status for status, _ in stage.latencies)
    slowest = max((seconds for _, seconds in stage.latencies), default=0)
    said = ", ".join(f"{status or 'none'}×{count}" for status, count in sorted(counts.items()))
    return f"answers {said}, slowest {slowest:.1f} s"


def wrong_answers(stage: Stage, *, within: float, nobody: bool = False) -> list[str]:
    """Anything but a 202 or a 503, and a 503 that took longer than `within` seconds."""
    problems = []
    odd = Counter(status for status, _ in stage.latencies if status not in ((202, 503, 0) if nobody else (202, 503)))
    if odd:
        problems.append(f"answers other than 202 and 503: {dict(odd)}")
    slow = [seconds for status, seconds in stage.latencies if status == 503 and seconds > within]
    if slow:
        problems.append(f"{len(slow)} × 503 after more than {within} s, the slowest {max(slow):.1f} s")
    return problems
