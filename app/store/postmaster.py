"""The server process of the embedded PostgreSQL: how it starts, that it dies with us, how it ends. Knows no SQL."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from pwd import struct_passwd

_PR_SET_PDEATHSIG = 1  # prctl(2)

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # a bare chroot or container may have no /dev/shm
    "huge_pages": "off",
    "io_method": "sync",  # the data fits in memory: I/O workers would only wait
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements may carry a customer's data
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def run(command: list[str], *, account: struct_passwd | None, cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    """Run one of PostgreSQL's programs to its end, as `account`. Raises OSError when it cannot be executed."""
    return subprocess.run(  # noqa: S603 - our own binary and arguments
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        cwd=cwd,
        env=_environment(),
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def spawn(
    binaries: Path, data: Path, *, port: int, durable: bool, account: struct_passwd | None, log: Path
) -> "subprocess.Popen[bytes]":
    """Start the server; the calling thread must live as long as the server shall."""
    settings = {**_SETTINGS, "port": str(port), **({} if durable else _NOT_DURABLE)}
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own binary and arguments
            [str(binaries / "postgres"), "-D", str(data), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=data.parent,
            env=_environment(),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # Ctrl-C in the terminal is for us: the server ends after the last call did
            preexec_fn=_die_with(os.getpid()),
        )


def wait_ready(process: "subprocess.Popen[bytes]", data: Path, *, seconds: float) -> bool:
    """Wait until the server says in its pid file that it is ready, as pg_ctl does; False when it ended instead."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        lines = _pid_file(data)
        if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
            return True
        if time.monotonic() > deadline:
            raise TimeoutError(f"PostgreSQL was not ready after {seconds:.0f} s")
        time.sleep(0.01)  # it tells that it is ready in a file, and in no other way
    return False


def end(pid: int, ended: Callable[[], bool]) -> None:
    """Fast shutdown; else immediate shutdown (recovered at the next start); else the end of the process."""
    for number, patience in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        if ended():
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while not ended() and time.monotonic() < deadline:
            time.sleep(0.01)  # it need not be a child of ours, so its end is no signal to us


def end_leftover(data: Path) -> None:
    """End a server that outlived its owner; make a stale pid file harmless although its number is in use again."""
    lines = _pid_file(data)
    if len(lines) < 2 or not lines[0].strip().isdigit():
        return
    pid = int(lines[0])
    if _serves(pid, data):
        end(pid, lambda: not _serves(pid, data))
    else:
        # PostgreSQL takes its parent's number for a stale one and still checks the shared memory that the file names;
        # without the file it would not see a backend of the dead server that is just about to end.
        (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")


def _environment() -> dict[str, str]:
    """No PG* variable and no locale of the caller reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _die_with(owner: int) -> Callable[[], None] | None:
    """For the child, after it changed its user: a fast shutdown as soon as its owner is gone (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
        if os.getppid() != owner:  # it died before the line above
            os._exit(1)

    return ask


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _serves(pid: int, data: Path) -> bool:
    """Whether process `pid` is a server of this data directory (a pid may have been given to somebody else)."""
    if Path("/proc/self/cmdline").exists():
        try:
            return str(data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S603, S607
    return str(data) in listed.stdout.decode(errors="replace")
