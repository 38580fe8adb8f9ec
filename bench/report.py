"""How a measurement is printed: the machine, then lines of name and value, or all of it as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def quantile(values: Sequence[float], part: float) -> float:
    """The value that `part` of all are not above; 0 when there is none."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def machine() -> dict[str, Any]:
    """Asked before a measurement, so that the load is that of others."""
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024**2
    load = os.getloadavg()[0]
    return {
        "cores": os.cpu_count(),
        "memoryGiB": memory,
        "python": platform.python_version(),
        "loadAverageBefore": round(load, 2),
    }


def show(title: str, on: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]], *, as_json: bool) -> None:
    """`sections`: a heading → name → value; numbers are rounded here and nowhere else."""
    if as_json:
        print(json.dumps({"measurement": title, "machine": on, **sections}, indent=2))
        return
    before = f"load average before {on['loadAverageBefore']}"
    print(f"{title}: {on['cores']} cores, {on['memoryGiB']} GiB, Python {on['python']}, {before}")
    for heading, values in sections.items():
        print(f"\n{heading}")
        for name, value in values.items():
            print(f"  {name:<38} {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
