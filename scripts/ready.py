"""Starts ./run, says after how many seconds it was ready, and stops it. Knows no more than a user does."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PATIENCE = 120  # seconds


def main() -> int:
    url = f"http://127.0.0.1:{os.environ.get('DIAL_HTTP_PORT', '8080')}/readyz"
    started = time.monotonic()
    run = subprocess.Popen(
        [Path(__file__).parents[1] / "run"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    signal.alarm(PATIENCE)
    assert run.stdout is not None
    for line in run.stdout:
        if "Dial-to-SIP is ready" in line:
            break
        sys.stderr.write(line)
    else:
        return 1
    ready = time.monotonic() - started
    with urllib.request.urlopen(url, timeout=5) as answer:
        status = answer.status
    stopping = time.monotonic()
    run.send_signal(signal.SIGTERM)
    run.communicate()
    stopped = time.monotonic() - stopping
    print(
        f"ready after {ready:.1f} s, /readyz says {status}, stopped after {stopped:.1f} s with status {run.returncode}"
    )
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
