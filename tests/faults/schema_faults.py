"""Changes the schema under load, with programs that are older than what they find."""

import asyncio
import re
import shlex
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from alembic import command

from app.store import migrate
from app.store.database import sync_engine
from tests.faults.load import Steady, answers, wrong_answers
from tests.faults.process_faults import beside
from tests.faults.stage import Plan, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told
from tests.kit.ports import free_port
from tests.kit.service import ROOT

_LONGEST_LOCK = 1.0  # seconds
_FILES = sorted((ROOT / "migrations" / "versions").glob("[0-9]*.py"))
_GIT = f"git -C {shlex.quote(str(ROOT))}"
_LOAD = ("r50-t500", "busy", "r100-t4000")


def _before(version: Path) -> tuple[str, ...]:
    """Runs the program as it was before it had this migration, from the history."""
    commit = f'$({_GIT} log -1 --diff-filter=A --format=%H -- "{version.relative_to(ROOT)}")^'
    return (
        "sh", "-c",
        f'set -e; mkdir -p "$DIAL_DATA_DIR/old"; {_GIT} archive {commit} | tar -x -C "$DIAL_DATA_DIR/old"; '
        'cd "$DIAL_DATA_DIR/old"; exec "$@"',
        "sh",
    )  # fmt: skip


@fault("schema-changes", calls=60, long=True, plan=Plan(wrapper=_before(_FILES[-1]), template="template0"))
async def schema_changes(stage: Stage, calls: int) -> Told:
    """Upgrade and downgrade of the newest migration under load, old and new processes together: no 500, short locks."""
    old, new = (_revision(one) for one in _FILES[-2:])
    port = free_port()
    counts: Counter[int] = Counter()
    async with _watched(stage, f"{old} and {new}") as seen, Steady(stage, 5, *_LOAD):
        await stage.pause(5)
        await seen.change("upgrade", new)
        with beside(stage, "worker"), beside(stage, "webhooks"), beside(stage, "api", DIAL_HTTP_PORT=str(port)):
            await _ready(port)
            counts = await _place_there(stage, port, calls)
            await stage.pause(5)
        await stage.pause(2)
        await seen.change("downgrade", old)
        await stage.pause(5)
        await seen.change("upgrade", new)
        await stage.pause(5)
    return seen.told([f"the new API answered {dict(counts)}"] if set(counts) - {202} else [])


@fault("schema-history", calls=0, long=True, plan=Plan(wrapper=_before(_FILES[1]), template="template0"))
async def schema_history(stage: Stage, calls: int) -> Told:
    """The oldest program under load while every migration goes up to the newest, down again and up: no 500."""
    revisions = [_revision(one) for one in _FILES]
    up = [("upgrade", revision) for revision in revisions[1:]]
    down = [("downgrade", revision) for revision in reversed(revisions[:-1])]
    async with _watched(stage, " to ".join((revisions[0], revisions[-1]))) as seen, Steady(stage, 5, *_LOAD):
        for direction, revision in [*up, *down, *up]:
            await stage.pause(4)
            await seen.change(direction, revision)
        await stage.pause(4)
    return seen.told()


@dataclass(slots=True)
class _Seen:
    """What a change of schema under load came to."""

    stage: Stage
    what: str
    locks: "_Locks"
    problems: list[str] = field(default_factory=list)
    steps: int = 0

    async def change(self, direction: str, revision: str) -> None:
        """Again while the locks cannot be had: a migration gives up rather than hold everybody up."""
        self.steps += 1
        for _ in range(20):
            try:
                return await asyncio.to_thread(_alembic, self.stage.database_url, direction, revision)
            except Exception as error:
                if "lock timeout" not in str(error):
                    return self.problems.append(f"{direction} to {revision}: {error}")
                await asyncio.sleep(0.5)
        return self.problems.append(f"{direction} to {revision}: the locks could not be had")

    def told(self, problems: Sequence[str] = ()) -> Told:
        waited = self.locks.seconds
        found = [*self.problems, *problems, *wrong_answers(self.stage)]
        found += [f"somebody waited {waited:.1f} s for a lock"] if waited >= _LONGEST_LOCK else []
        longest = f"the longest wait for a lock {waited * 1000:.0f} ms"
        notes = [answers(self.stage), f"{self.what}, {self.steps} steps, {longest}"]
        return Told(ordered=False, problems=found, notes=notes)


@asynccontextmanager
async def _watched(stage: Stage, what: str) -> AsyncIterator[_Seen]:
    locks = _Locks(stage.database_url)
    watching = asyncio.create_task(locks.watch())
    try:
        yield _Seen(stage, what, locks)
    finally:
        watching.cancel()


class _Locks:
    """The longest that anybody has waited for a lock of a table."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seconds = 0.0

    async def watch(self) -> None:
        sql = (
            "SELECT max(extract(epoch FROM clock_timestamp() - waitstart))::float8 FROM pg_locks"
            " WHERE NOT granted AND locktype = 'relation'"
        )
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while True:
                row = await (await connection.execute(sql)).fetchone()
                self.seconds = max(self.seconds, (row and row[0]) or 0.0)
                await asyncio.sleep(0.01)


def _revision(version: Path) -> str:
    found = re.search(r'^revision(?:: str)? = "(.+?)"', version.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{version} has no revision")
    return found[1]


def _alembic(url: str, direction: str, revision: str) -> None:
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            move = command.upgrade if direction == "upgrade" else command.downgrade
            move(migrate.alembic_config(connection), revision)
    finally:
        engine.dispose()


async def _ready(port: int) -> None:
    end = time.monotonic() + 60
    async with httpx.AsyncClient() as http:
        while time.monotonic() < end:
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError("the new API did not get ready")


async def _place_there(stage: Stage, port: int, calls: int) -> Counter[int]:
    counts: Counter[int] = Counter()
    for _ in range(calls):
        request: dict[str, Any] = stage.request("r50-t300")
        answer = await stage.http.post(f"http://127.0.0.1:{port}/v1/dials", json=request, auth=stage.auth)
        counts[answer.status_code] += 1
        if answer.status_code == 202:
            stage.placed[answer.json()["sid"]] = answer.json()
        await asyncio.sleep(0.1)
    return counts
