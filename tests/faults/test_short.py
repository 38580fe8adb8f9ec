"""The short form of the fault suite, for CI; ``python -m tests.faults`` is the long one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import between_faults, poison_faults, random_kills, secret_faults  # noqa: F401 - register their faults
from tests.faults.stage import Server
from tests.faults.suite import FAULTS, run
from tests.faults.table import heading, line
from tests.faults.verdict import Row

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("faults"), synced=False)
    try:
        one.start()
        yield one
    finally:
        one.close()


def passed(row: Row) -> None:
    assert row.passed, f"\n{heading()}\n{line(row)}"


async def test_nothing_is_lost_when_every_process_dies_at_once(server: Server, tmp_path: Path) -> None:
    # Whoever takes a dead one's place has to be started: 2 s of CPU, 25 s beside eight programs that want all of it.
    row = await run(FAULTS["everything-at-once"], server, tmp_path, slack=6)
    passed(row)
    assert row.calls == 26
    assert row.lost > 0


async def test_a_commit_that_nobody_hears_of_is_one_call_all_the_same(server: Server, tmp_path: Path) -> None:
    row = await run(FAULTS["commit-unanswered"], server, tmp_path, 4)
    passed(row)
    assert row.calls == 8


async def test_deliveries_that_nobody_can_send_die_and_hold_nobody_up(server: Server, tmp_path: Path) -> None:
    row = await run(FAULTS["poison-deliveries"], server, tmp_path, 10)
    passed(row)
    assert row.dead == 8


async def test_no_secret_is_in_anything_that_comes_out_or_is_kept(server: Server, tmp_path: Path) -> None:
    row = await run(FAULTS["secrets"], server, tmp_path, 2)
    passed(row)
    assert row.calls == 8
