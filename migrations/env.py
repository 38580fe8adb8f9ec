"""What alembic runs: on the connection that `app.store.migrate` hands over, else on DIAL_DATABASE_URL."""

import os
import re

from alembic import context
from sqlalchemy import Connection

from app.store.database import sync_engine
from app.store.tables import metadata

_PARTITION = re.compile(r"_(default|p[0-9]{8})$")


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    """Partitions come and go by themselves; only the tables that they belong to are compared."""
    return kind != "table" or name is None or not _PARTITION.search(name)


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=metadata, include_name=_is_ours, compare_server_default=True
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    engine = sync_engine(os.environ["DIAL_DATABASE_URL"])
    with engine.connect() as connection:
        _run(connection)
        connection.commit()
    engine.dispose()
