"""The way to PostgreSQL: the pool, its time limits and what counts as "away". Knows no table."""

from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.listener import Listener


class Database:
    engine: AsyncEngine

    def __init__(self, url: str, *, pool_size: int = 10, name: str = "dial") -> None:
        raise NotImplementedError

    async def ping(self) -> None:
        """Raises Unavailable."""

    async def close(self) -> None:
        """Return every connection."""

    def listen(self, *channels: str) -> "Listener":
        """A connection of its own, outside the pool, that reconnects by itself."""
        raise NotImplementedError
