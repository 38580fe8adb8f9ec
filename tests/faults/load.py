"""Places dial requests, at once or at a steady rate, and remembers what became of them. Injects nothing."""

import asyncio
import base64
import json
import re
import secrets
import time
from collections import Counter
from typing import Any

import httpx

from tests.faults.stage import Stage

SOON = 2.0  # seconds to a 503
_AT_ONCE = 10


async def place(stage: Stage, count: int, *scripts: str, **dial: Any) -> list[str]:
    """`count` requests with one leg per script, ten at a time; the sids of the 202s."""
    sids = []
    for start in range(0, count, _AT_ONCE):
        some = range(min(_AT_ONCE, count - start))
        answers = await asyncio.gather(*(stage.dial(stage.request(*scripts, **dial)) for _ in some))
        sids += [sid for sid in answers if sid]
    return sids


async def surely(
    stage: Stage, request: dict[str, Any], seconds: float = 30, *, auth: tuple[str, str] | None = None
) -> str | None:
    """As a good client does: one key, repeated until it is taken; the sid."""
    key = secrets.token_hex(8)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if sid := await stage.dial(request, key, auth):
            return sid
        await asyncio.sleep(0.3)
    return None


async def placed(stage: Stage, count: int, *scripts: str, **dial: Any) -> list[str]:
    """As `place`, but every one of them is taken, for a worker has just been killed; raises TimeoutError."""
    sids = await asyncio.gather(*(surely(stage, stage.request(*scripts, **dial)) for _ in range(count)))
    taken = [sid for sid in sids if sid]
    if len(taken) < count:
        raise TimeoutError(f"only {len(taken)} of {count} requests were taken within 30 s")
    return taken


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


async def at_once(stage: Stage, count: int, request: dict[str, Any]) -> None:
    """`count` of the same request in the same moment, each on a connection of its own, all of them open before.

    Not by httpx, whose pool takes longer for a thousand than the product.
    """
    port, body = int(stage.settings["DIAL_HTTP_PORT"]), json.dumps(request).encode()
    login = base64.b64encode(":".join(stage.auth).encode()).decode()
    head = f"POST /v1/dials HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\n"
    data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    ends = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        started = time.monotonic()
        writer.write(data)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        length = re.search(rb"(?i)content-length: (\d+)", answer)
        content = await reader.readexactly(int(length[1]) if length else 0)
        stage.latencies.append((status, time.monotonic() - started))
        if status == 202:
            call = json.loads(content)
            stage.placed[call["sid"]] = call
        else:
            stage.refused.append(status)
        writer.close()

    await asyncio.gather(*(ask(*pair) for pair in ends))


class Health:
    """Asks /healthz again and again until left; `p99` in milliseconds."""

    def __init__(self, stage: Stage, every: float = 0.02) -> None:
        self._stage = stage
        self._every = every
        self._seconds: list[float] = []
        self._wrong: Counter[int] = Counter()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Health":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def p99(self) -> float:
        return sorted(self._seconds)[len(self._seconds) * 99 // 100] * 1000 if self._seconds else 0.0

    def problems(self, most: float = 100.0) -> list[str]:
        found = [f"/healthz p99 {self.p99:.0f} ms"] if self.p99 >= most else []
        return found + ([f"/healthz answered {dict(self._wrong)}"] if self._wrong else [])

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=5) as http:  # its own: it must not wait for the load's connections
            while True:
                started = time.monotonic()
                try:
                    status = (await http.get(f"{self._stage.service.url}/healthz")).status_code
                except httpx.TransportError:
                    status = 0
                self._seconds.append(time.monotonic() - started)
                if status != 200:
                    self._wrong[status] += 1
                await asyncio.sleep(self._every)


async def statuses(stage: Stage, **wanted: str) -> list[str]:
    """Legs whose status is not that of the first word of their script; hyphens in a word are underscores there."""
    rows = await stage.rows(
        "SELECT substring(to_uri FROM 'sip:([^@-]+)') AS script, status, reason, count(*) AS n FROM calls"
        " WHERE parent_sid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1"
    )
    wrong = [row for row in rows if row["script"] in wanted and row["status"] not in wanted[row["script"]].split("|")]
    return [f"{row['n']} {row['script']} ended {row['status']}/{row['reason']}" for row in wrong]


async def refused_soon(stage: Stage, path: str) -> list[str]:
    """A problem unless a GET is answered 503, in time, and with when to come again."""
    started = time.monotonic()
    answer = await stage.http.get(f"{stage.service.url}{path}", auth=stage.auth)
    took = time.monotonic() - started
    soon = answer.status_code == 503 and answer.headers.get("Retry-After", "").isdigit() and took <= SOON
    return [] if soon else [f"GET {path} was answered {answer.status_code} after {took:.1f} s"]


def answers(stage: Stage) -> str:
    """How often each status was answered, and how long the slowest answer took."""
    counts = Counter(status for status, _ in stage.latencies)
    slowest = max((seconds for _, seconds in stage.latencies), default=0)
    why = ", ".join(f"{error}×{count}" for error, count in Counter(stage.unanswered).items())
    said = ", ".join(f"{status or f'none ({why})'}×{count}" for status, count in sorted(counts.items()))
    return f"answers {said}, slowest {slowest:.1f} s"


def wrong_answers(stage: Stage, *, within: float = SOON, nobody: bool = False) -> list[str]:
    """Anything but a 202 or a 503, and a 503 that took longer than `within` seconds or has no Retry-After."""
    problems = [f"{stage.never_again} × 503 without Retry-After"] if stage.never_again else []
    odd = Counter(status for status, _ in stage.latencies if status not in ((202, 503, 0) if nobody else (202, 503)))
    if odd:
        problems.append(f"answers other than 202 and 503: {dict(odd)}")
    slow = [seconds for status, seconds in stage.latencies if status == 503 and seconds > within]
    if slow:
        problems.append(f"{len(slow)} × 503 after more than {within} s, the slowest {max(slow):.1f} s")
    return problems
