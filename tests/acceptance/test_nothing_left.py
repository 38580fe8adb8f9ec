"""Calls of every fate leave nothing behind; `python -m bench.two_people fates` is the long form."""

from pathlib import Path

from tests.kit import ordeal
from tests.kit.service import running_service


async def test_of_calls_of_every_fate_nothing_is_left(tmp_path: Path) -> None:
    with running_service(tmp_path, **ordeal.SETTINGS) as service:
        found = await ordeal.run(service, calls=60, rate=20)
    assert not found.wrong
    assert found.records > found.calls > 60  # parents and legs
    assert found.callbacks > found.records
    assert not found.left
