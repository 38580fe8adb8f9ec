"""Brings a database to the schema of this version; the schema itself is in `migrations`."""

import importlib.util
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database, sync_engine

LOCK = "SELECT pg_advisory_xact_lock(hashtext('dial-to-sip migrate'))"
CURRENT = "SELECT version_num FROM alembic_version"
HAS_VERSION = "SELECT to_regclass('alembic_version') IS NOT NULL"


def upgrade(url: str) -> None:
    """To the head. Two that start at once wait for each other; all steps are one transaction."""
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(LOCK))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


@cache
def head() -> str:
    """The revision that this version of the program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise RuntimeError("the migrations are not installed")
    return revision


def current(url: str) -> str | None:
    """The revision of the database; None for an empty one."""
    engine = sync_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
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


def _config() -> Config:
    spec = importlib.util.find_spec("migrations")  # beside `app`, installed or in a checkout
    if spec is None or spec.origin is None:
        raise RuntimeError("the package migrations is not installed")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    return config
