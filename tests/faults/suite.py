"""The list of faults by name, and how one is run. Injects none itself."""

import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.stage import Plan, Server, Stage, stage
from tests.faults.verdict import Row, Told, judge

Inject = Callable[[Stage, int], Awaitable[Told]]  # the number is how many calls

_FINAL_WITHIN = 90.0  # seconds: dial timeout + 60
_DELIVERED_WITHIN = 90.0
_PLAN = Plan()  # nothing out of the ordinary


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    inject: Inject
    calls: int
    plan: Plan
    settings: dict[str, str]
    long: bool  # only in the full form, or when it is asked for by name
    full: tuple[int, int]  # calls, and how often the fault is injected, in the full form
    what: str


FAULTS: dict[str, Fault] = {}


def fault(
    name: str,
    *,
    calls: int = 20,
    plan: Plan = _PLAN,
    full: tuple[int, int] | None = None,
    long: bool = False,
    **settings: str,
) -> Callable[[Inject], Inject]:
    """Register an injector; its docstring's first line says what it does."""

    def register(inject: Inject) -> Inject:
        what = (inject.__doc__ or "").strip().splitlines()[0]
        FAULTS[name] = Fault(name, inject, calls, plan, settings, long, full or (calls, plan.times), what)
        return inject

    return register


async def run(
    one: Fault, server: Server, folder: Path, calls: int | None = None, *, full: bool = False, slack: float = 1.0
) -> Row:
    """Inject it, let the dust settle, judge. With `slack` the end after a kill may take so many times longer."""
    started = time.monotonic()
    plan = replace(one.plan, times=one.full[1]) if full else one.plan
    try:
        async with stage(server, folder / one.name, plan, **one.settings) as scene:
            try:
                told = await one.inject(scene, calls or (one.full[0] if full else one.calls))
            except Exception:
                _keep(scene, one.name)
                raise
            await scene.until_final(_FINAL_WITHIN)
            if not told.never:
                await scene.until_delivered(_DELIVERED_WITHIN)
            await _settled(scene)
            row = await judge(one.name, scene, replace(told, within=told.within * slack))
            if not row.passed:
                _keep(scene, one.name)
    except Exception as error:
        row = Row(one.name, problems=[f"{type(error).__name__}: {error}"])
    row.took_s = round(time.monotonic() - started, 1)
    return row


async def run_all(names: list[str], calls: int | None, show: Callable[[Row], None], *, full: bool = False) -> list[Row]:
    """One after the other, on one PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="dial-faults-"))
    server = Server(folder)
    rows = []
    try:
        server.start()
        for name in names:
            row = await run(FAULTS[name], server, folder, calls, full=full)
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
    for log in scene.folder.glob("*.log"):
        shutil.copy(log, kept / log.name)


__all__ = ["FAULTS", "Fault", "fault", "run", "run_all"]
