"""The short form of the fault suite, for CI; ``python -m tests.faults`` is the long one."""

from pathlib import Path

import pytest

from tests.faults import random_kills  # noqa: F401 - registers its faults
from tests.faults.stage import Server
from tests.faults.suite import FAULTS, run
from tests.faults.table import heading, line


@pytest.mark.timeout(180)
async def test_nothing_is_lost_when_every_process_dies_at_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        server.start()
        row = await run(FAULTS["everything-at-once"], server, tmp_path)
    finally:
        server.close()
    assert row.passed, f"\n{heading()}\n{line(row)}"
    assert row.calls == 26
    assert row.lost > 0
