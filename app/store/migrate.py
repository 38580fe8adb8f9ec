"""Brings a database to the schema of this version; the schema itself is in `migrations`."""

import importlib.util
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database, sync_engine

# alembic is imported where it migrates: the roles that only ask whether the schema is right start 0.1 s sooner.

LOCK = "SELECT pg_advisory_xact_lock(hashtext('dial-to-sip migrate'))"
CURRENT = "SELECT version_num FROM alembic_version"
HAS_VERSION = "SELECT to_regclass('alembic_version') IS NOT NULL"


def upgrade(url: str) -> None:
    """To the head. Two that start at once wait for each other; all steps are one transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(LOCK))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


@cache
def head() -> str:
    """The revision that this version of the program needs: the newest file's number."""
    return max(file.name.partition("_")[0] for file in (_folder() / "versions").glob("[0-9]*_*.py"))


def current(url: str) -> str | None:
    """The revision of the database; None for an empty one."""
    engine = sync_engine(url)
    try:
        with engine.connect() as connection:
            if not connection.execute(text(HAS_VERSION)).scalar():
                return None
            return str(connection.execute(text(CURRENT)).scalar())
    finally:
        engine.dispose()


async def ready(database: Database) -> bool:
    """Whether the database has at least this version's schema. Raises Unavailable.

    Migrations only add before they take away, so an older program goes on while a newer one has migrated.
    """

    async def work(connection: AsyncConnection) -> str | None:
        if not (await connection.execute(text(HAS_VERSION))).scalar():
            return None
        return (await connection.execute(text(CURRENT))).scalar()

    revision = await database.run(work)
    return revision is not None and revision >= head()


def _folder() -> Path:
    spec = importlib.util.find_spec("migrations")  # beside `app`, installed or in a checkout
    if spec is None or spec.origin is None:
        raise RuntimeError("the package migrations is not installed")
    return Path(spec.origin).parent
