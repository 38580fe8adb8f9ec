"""The stage on which calls run without a wire."""

from collections.abc import AsyncIterator

import pytest

from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.dialing.stage import Stage, staged


@pytest.fixture
async def stage(database: Database, sealer: Sealer) -> AsyncIterator[Stage]:
    async with staged(database, sealer) as ready:
        yield ready
