"""Brings a database to the schema of this version; the schema itself is in `migrations`."""

from app.store.database import Database


def upgrade(url: str) -> None:
    raise NotImplementedError


def head() -> str:
    raise NotImplementedError


def current(url: str) -> str | None:
    raise NotImplementedError


async def ready(database: Database) -> bool:
    """Whether the database is at this version's schema. Raises Unavailable."""
    raise NotImplementedError
