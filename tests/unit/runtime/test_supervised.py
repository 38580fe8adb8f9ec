"""What a role owes its supervisor, seen from a process that has one."""

import os
import subprocess
import sys

from app.runtime.supervised import PREDECESSOR, READY_FD, announce_ready, predecessor

_ROLE = "from app.runtime.supervised import die_with_supervisor as f; f(); print('serves')"


def role(*, orphaned: bool) -> "subprocess.CompletedProcess[str]":
    reading, writing = os.pipe()
    if orphaned:
        os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-c", _ROLE],
            env={**os.environ, READY_FD: str(writing)},
            pass_fds=(writing,),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
        if not orphaned:
            os.close(reading)


def test_a_role_with_a_supervisor_goes_on() -> None:
    assert role(orphaned=False).stdout == "serves\n"


def test_a_role_whose_supervisor_died_while_it_was_loading_ends() -> None:
    ended = role(orphaned=True)
    assert (ended.returncode, ended.stdout) == (1, "")


def test_a_role_says_its_name_and_is_told_its_predecessors() -> None:
    reading, writing = os.pipe()
    os.environ[READY_FD] = str(writing)
    os.environ[PREDECESSOR] = "7@12"
    announce_ready("8@34")
    assert os.read(reading, 64) == b"8@34\n"
    assert (predecessor(), predecessor()) == ("7@12", "")
    os.close(reading)
