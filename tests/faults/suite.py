"""The list of faults by name, how one is run, and the table that comes out. Injects none itself."""

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.stage import Server, Stage, stage
from tests.faults.verdict import Row, Told, judge

Inject = Callable[[Stage, int], Awaitable[Told]]  # the number is how many calls

_FINAL_WITHIN = 90.0  # seconds: dial timeout + 60
_DELIVERED_WITHIN = 90.0


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    inject: Inject
    calls: int
    workers: int
    settings: dict[str, str]
    long: bool  # only when it is asked for by name
    what: str


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, *, calls: int = 20, workers: int = 1, long: bool = False, **settings: str
) -> Callable[[Inject], Inject]:
    """Register an injector; its docstring's first line says what it does."""

    def register(inject: Inject) -> Inject:
        what = (inject.__doc__ or "").strip().splitlines()[0]
        FAULTS[name] = Fault(name, inject, calls, workers, settings, long, what)
        return inject

    return register


async def run(one: Fault, server: Server, folder: Path, calls: int | None = None) -> Row:
    """Inject it, let the dust settle, judge."""
    started = time.monotonic()
    try:
        async with stage(server, folder / one.name, workers=one.workers, **one.settings) as scene:
            told = await one.inject(scene, calls or one.calls)
            await scene.until_final(_FINAL_WITHIN)
            if not told.never:
                await scene.until_delivered(_DELIVERED_WITHIN)
            await _settled(scene)
            row = await judge(one.name, scene, told)
            if not row.passed:
                _keep(scene, one.name)
    except Exception as error:
        row = Row(one.name, problems=[f"{type(error).__name__}: {error}"])
    row.took_s = round(time.monotonic() - started, 1)
    return row


async def run_all(names: list[str], calls: int | None, show: Callable[[Row], None]) -> list[Row]:
    """One after the other, on one PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="dial-faults-"))
    server = Server(folder)
    rows = []
    try:
        server.start()
        for name in names:
            row = await run(FAULTS[name], server, folder, calls)
            rows.append(row)
            show(row)
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
    return rows


async def _settled(scene: Stage) -> None:
    """Hang-ups on the wire and closing sockets need a moment after the records are final."""
    from tests.faults.verdict import rtp_sockets

    def quiet() -> bool:
        entries = scene.callee.entries()
        invited = {entry["call"] for entry in entries if entry["what"] == "INVITE"}
        return not invited - {entry["call"] for entry in entries if entry["what"] == "ended"} and not rtp_sockets(scene)

    try:
        await scene.until(quiet, 15, "silence")
    except TimeoutError:
        return  # the verdict counts what is left


def _keep(scene: Stage, name: str) -> None:
    """The logs of a fault that did not pass, for whoever looks for the reason."""
    kept = Path(tempfile.gettempdir()) / "dial-faults-failed" / name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    (kept / "product.log").write_text("".join([*scene.said_before, *scene.service.lines]))
    for log in (scene.callee.log, scene.receiver.log):
        if log.exists():
            shutil.copy(log, kept / log.name)


COLUMNS = (
    ("calls", "calls"), ("finals", "finals"), ("lost", "lost"), ("owed", "owed"), ("accepted", "accepted"),
    ("twice", "twice"), ("missing", "missing"), ("dead", "dead"), ("holes", "holes"),
    ("re-INVITE", "reinvited"), ("up", "up"), ("final s", "final_s"), ("wire s", "wire_s"), ("left", "left"),
    ("took s", "took_s"),
)  # fmt: skip


def heading() -> str:
    return f"{'fault':<28}" + "".join(f"{title:>10}" for title, _ in COLUMNS) + "  verdict"


def line(row: Row) -> str:
    cells = "".join(f"{getattr(row, name):>10}" for _, name in COLUMNS)
    said = "passed" if row.passed else "FAILED: " + "; ".join(row.problems)
    notes = f"  ({'; '.join(row.notes)})" if row.notes else ""
    return f"{row.fault:<28}{cells}  {said}{notes}"


__all__ = ["FAULTS", "Fault", "fault", "heading", "line", "run", "run_all"]
