"""The demo as a newcomer starts it: one command whose exit status says whether the whole road works."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVENTS = ["initiated", "ringing", "answered", "completed"]


def demo(*options: str, temporary: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app", "demo", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "TMPDIR": str(temporary),
            "DIAL_HTTP_PORT": "1",
            "DIAL_DATABASE_URL": "postgresql://nowhere",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
    )


def processes_that_name(folder: Path) -> list[int]:
    """Processes with `folder` in their environment or command line: what the demo started and did not stop."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if f"={folder}".encode() in said:
            found.append(int(process.name))
    return found


def test_the_demo_shows_the_whole_road_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = demo(temporary=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    shown = re.findall(r"^webhook +[0-9.]+  (\w+) .* answered 204, attempt 1, signature right$", done.stdout, re.M)
    assert shown == EVENTS
    for message in ("→ INVITE", "← 180 Ringing", "← 200 OK", "→ ACK", "← BYE", "→ 200 OK (BYE)"):
        assert re.search(rf"^sip +[0-9.]+  {re.escape(message)}$", done.stdout, re.M), done.stdout
    assert "record   status   completed" in done.stdout
    assert done.stdout.rstrip().splitlines()[-2] == "ok       The whole road works."
    assert list(tmp_path.iterdir()) == []
    assert processes_that_name(tmp_path) == []


def test_a_callee_that_refuses_breaks_the_road_and_is_named(tmp_path: Path) -> None:
    done = demo("--callee-answers", "486", temporary=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    sentence = "The call ended busy (reason busy; the callee answered 486 Busy Here)"
    assert sentence in done.stdout
    log = re.search(r"The product's log is (\S+)", done.stdout)
    assert log is not None
    assert Path(log[1]).read_text()
    assert [path.name for path in Path(log[1]).parent.iterdir()] == ["dial-to-sip.log"]


def test_a_receiver_that_refuses_breaks_the_road_and_is_named(tmp_path: Path) -> None:
    done = demo("--receiver-answers", "500", temporary=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The receiver answered 500 to the callback `initiated`: it was not delivered." in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_stops_what_it_started(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if "180 Ringing" in line:
                break
        process.send_signal(number)
        assert "stopped" in process.stdout.read()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    end = time.monotonic() + 10
    while processes_that_name(tmp_path):
        assert time.monotonic() < end
