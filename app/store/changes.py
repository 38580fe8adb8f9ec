"""Writes what happened to calls, many calls in one commit: status, facts, event and owed delivery together."""

import asyncio

from app.calls.change import Change
from app.store.database import Database
from app.store.seal import Sealer


class Changes:
    """One per process that owns calls."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        raise NotImplementedError

    async def stop(self) -> None:
        """Returns when everything queued is durable."""
        raise NotImplementedError

    def write(self, change: Change) -> asyncio.Future[None]:
        """Done when durable; Fenced when the epoch is lost or the status table refuses; never Unavailable."""
        raise NotImplementedError
