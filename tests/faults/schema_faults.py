"""Changes the schema under load, while the version before the newest migration and this one run side by side."""

import asyncio
import re
import shlex
import time
from collections import Counter
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
from tests.kit.service import ROOT, free_port

_LONGEST_LOCK = 1.0  # seconds
_VERSIONS = sorted((ROOT / "migrations" / "versions").glob("[0-9]*.py"))
_GIT = f"git -C {shlex.quote(str(ROOT))}"
_BEFORE = f'$({_GIT} log -1 --diff-filter=A --format=%H -- "{_VERSIONS[-1].relative_to(ROOT)}")^'
# The version whose newest migration is the one before ours, run from the history.
_OLD = (
    "sh", "-c",
    f'set -e; mkdir -p "$DIAL_DATA_DIR/old"; {_GIT} archive {_BEFORE} | tar -x -C "$DIAL_DATA_DIR/old"; '
    'cd "$DIAL_DATA_DIR/old"; exec "$@"',
    "sh",
)  # fmt: skip


@fault("schema-changes", calls=60, long=True, plan=Plan(wrapper=_OLD, template="template0"))
async def schema_changes(stage: Stage, calls: int) -> Told:
    """Upgrade and downgrade of the newest migration under load, old and new processes together: no 500, short locks."""
    new, old = _revision(_VERSIONS[-1]), _revision(_VERSIONS[-2])
    problems: list[str] = []
    longest = _Locks(stage.database_url)
    watching = asyncio.create_task(longest.watch())
    port = free_port()
    async with Steady(stage, 5, "r50-t500", "busy", "r100-t4000"):
        await stage.pause(5)
        problems += await _change(stage, "upgrade", new)
        with beside(stage, "worker"), beside(stage, "webhooks"), beside(stage, "api", DIAL_HTTP_PORT=str(port)):
            await _ready(port)
            counts = await _place_there(stage, port, calls)
            await stage.pause(5)
        await stage.pause(2)
        problems += await _change(stage, "downgrade", old)
        await stage.pause(5)
        problems += await _change(stage, "upgrade", new)
        await stage.pause(5)
    watching.cancel()
    problems += [f"the new API answered {dict(counts)}"] if set(counts) - {202} else []
    problems += wrong_answers(stage, within=2.5)
    problems += [f"somebody waited {longest.seconds:.1f} s for a lock"] if longest.seconds >= _LONGEST_LOCK else []
    notes = [answers(stage), f"{old} and {new}, the longest wait for a lock {longest.seconds * 1000:.0f} ms"]
    return Told(ordered=False, problems=problems, notes=notes)


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


async def _change(stage: Stage, direction: str, revision: str) -> list[str]:
    """Again while the locks cannot be had: a migration gives up rather than hold everybody up."""
    for _ in range(20):
        try:
            await asyncio.to_thread(_alembic, stage.database_url, direction, revision)
        except Exception as error:
            if "lock timeout" not in str(error):
                return [f"{direction} to {revision}: {error}"]
            await asyncio.sleep(0.5)
        else:
            return []
    return [f"{direction} to {revision}: the locks could not be had"]


def _alembic(url: str, direction: str, revision: str) -> None:
    if direction == "upgrade":
        migrate.upgrade(url)
        return
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            command.downgrade(migrate.alembic_config(connection), revision)
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
