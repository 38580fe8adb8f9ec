"""Whether a database needs anything before it can be used; quick to load, for it is asked at every start."""

from functools import cache
from pathlib import Path

import psycopg

# Beside `app`, installed or in a checkout; a package of that name in the current directory is somebody else's.
FOLDER = Path(__file__).parents[2] / "migrations"

STANDING = "SELECT (SELECT version_num FROM alembic_version), EXISTS (SELECT FROM account WHERE sid = %s)"


def is_set_up(url: str, account_sid: str) -> bool:
    """Whether the schema is this version's and that account is there; False too when it cannot be asked."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute(STANDING, (account_sid,)).fetchone() == (head(), True)
    except psycopg.Error:
        return False


@cache
def head() -> str:
    """The revision that this version of the program needs: the newest file's number."""
    return max(file.name.partition("_")[0] for file in (FOLDER / "versions").glob("[0-9]*_*.py"))
