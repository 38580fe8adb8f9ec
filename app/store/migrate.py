"""Brings a database to the schema of this version; the schema itself is in `migrations`."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.database import Database, sync_engine
from app.store.failure import AWAY, is_transient, unavailable
from app.store.standing import FOLDER, head

if TYPE_CHECKING:
    from alembic.config import Config

# alembic is imported where it migrates: the roles that only ask whether the schema is right start 0.1 s sooner.

LOCK = "SELECT pg_advisory_xact_lock(hashtext('dial-to-sip migrate'))"
CURRENT = "SELECT version_num FROM alembic_version"
HAS_VERSION = "SELECT to_regclass('alembic_version') IS NOT NULL"


def upgrade(url: str) -> None:
    """To the head. Two that start at once wait for each other; all steps are one transaction. Raises Unavailable."""
    from alembic import command

    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(LOCK))
            command.upgrade(alembic_config(connection), "head")
    except AWAY as error:
        if is_transient(error):
            raise unavailable(error) from error
        raise
    finally:
        engine.dispose()


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


def alembic_config(connection: Connection) -> "Config":
    """What alembic's commands need to work on `connection`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
