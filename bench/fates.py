"""Many calls of mixed fates, then a comparison with what there was before them: ends, callbacks, and what is left."""

import tempfile
from pathlib import Path
from typing import Any

from bench import cpu
from bench.report import machine, show
from tests.kit import ordeal
from tests.kit.fates import FATES
from tests.kit.leftovers import POOLS
from tests.kit.service import running_service

_SHOWN = 20  # complaints


async def run(calls: int, rate: float, *, log: Path | None, as_json: bool) -> int:
    """1 when a call ended as it must not, when a callback is missing, or when anything is left."""
    on = machine()
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder), **ordeal.SETTINGS) as service:
        workers = service.pids("worker")
        spent = cpu.seconds(workers)
        found = await ordeal.run(service, calls, rate)
        spent = cpu.seconds(workers) - spent
    if log is not None:
        log.write_text("".join(service.lines))
    before, after = found.before, found.after
    kinds = sorted({*before.counts, *after.counts})
    sections: dict[str, dict[str, Any]] = {
        "Calls": {
            "fates": len(FATES),
            "calls, with one of each to warm up": found.calls,
            "records of parents and legs": found.records,
            "calls per second": calls / found.played,
            "worker, CPU ms per call": spent * 1000 / found.calls,
            "ended otherwise than they must": len(found.wrong),
            **{f"telephones late, {name}, ms": late for name, late in found.late.items()},
        },
        "Ends": dict(found.ends.most_common()),
        "Callbacks": {"owed and delivered": found.callbacks, "arrived again": found.again},
        "Left, before and after": {
            f"{role}: {kind}": f"{before.counts.get((role, kind), 0)} → {after.counts.get((role, kind), 0)}"
            + (f"   (a pool: at most {POOLS[kind]})" if kind in POOLS else "")
            for role, kind in kinds
        },
        "Memory, MiB": {
            role: f"{before.resident[role] / 1024:.1f} → {after.resident[role] / 1024:.1f}" for role in before.resident
        },
        "Wrong": {
            **{f"{role}: {kind}": f"{was} → {now}" for (role, kind), (was, now) in found.left.items()},
            **{str(number): wrong for number, wrong in enumerate(found.wrong[:_SHOWN], 1)},
        },
    }
    show(f"{calls} calls of mixed fates", on, sections, as_json=as_json)
    return int(bool(found.wrong or found.left))
