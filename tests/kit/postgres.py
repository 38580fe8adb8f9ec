"""A real PostgreSQL for tests: one server per session, one migrated template, one database per test."""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from app.store import migrate
from app.store.database import Database
from app.store.embedded import EmbeddedPostgres
from app.store.seal import Sealer

_TEMPLATE = "migrated"
_KEEPER_POLL = 0.5


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's URL; its own database is empty. Parallel test processes share one server."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield _shared(base.parent)
        return
    server = EmbeddedPostgres(base / "postgres", durable=False)
    url = server.start()
    _bound_logins(url)
    _make_template(url)
    try:
        yield url
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database without a schema."""
    with _database(postgres_url, "template0") as url:
        yield url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A migrated database that belongs to this test alone."""
    with _database(postgres_url, _TEMPLATE) as url:
        yield url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, name="test")
    yield database
    await database.close()


@pytest.fixture
def sealer() -> Sealer:
    return Sealer("a key for tests")


@contextlib.contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield server.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _make_template(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    migrate.upgrade(server.rpartition("/")[0] + f"/{_TEMPLATE}")


def _shared(folder: Path) -> str:
    """The first test process starts a keeper: the server must outlive that process, but not the whole session."""
    with (folder / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder / "postgres.url"
        if not kept.exists():
            command = [sys.executable, "-m", "tests.kit.postgres", str(folder), str(os.getppid())]
            subprocess.Popen(command, cwd=Path(__file__).parents[2], start_new_session=True)
            deadline = time.monotonic() + 60
            while not kept.exists():
                if time.monotonic() > deadline:
                    raise RuntimeError("the test database did not start")
                time.sleep(0.05)  # another process writes the file
        return kept.read_text()


def _bound_logins(server: str) -> None:
    """A client that dies while it logs in holds up every CREATE and DROP DATABASE for this long; 60 s by default."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET authentication_timeout = '10s'")
        connection.execute("SELECT pg_reload_conf()")


def _keep(folder: Path, session: int) -> None:
    """Run the server until process `session` is gone."""
    server = EmbeddedPostgres(folder / "postgres", durable=False)
    url = server.start()
    _make_template(url)
    ready = folder / "postgres.url.new"
    ready.write_text(url)
    ready.rename(folder / "postgres.url")
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.kill(session, 0)
            time.sleep(_KEEPER_POLL)
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), int(sys.argv[2]))
