"""What a role process owes the supervisor that started it: word when it is ready, and not to outlive it."""

import ctypes
import os
import select
import signal
import sys

READY_FD = "DIAL_READY_FD"  # the write end of the supervisor's pipe
PREDECESSOR = "DIAL_PREDECESSOR"  # what the process before this one, which the supervisor saw die, had announced
_PR_SET_PDEATHSIG = 1  # prctl(2)


def announce_ready(name: str = "") -> None:
    """Tell the supervisor, if there is one, that this process serves now and by which `name` others know it."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is not None:
        os.write(int(descriptor), f"{name}\n".encode())
        os.close(int(descriptor))


def predecessor() -> str:
    """The name of the process whose place this one took after its death; empty when there was none."""
    return os.environ.pop(PREDECESSOR, "")


def die_with_supervisor() -> None:
    """Linux: be killed when the supervisor is, for it takes the embedded database along."""
    if READY_FD not in os.environ or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    still_there = select.poll()
    still_there.register(int(os.environ[READY_FD]), 0)
    if still_there.poll(0):  # nobody has the other end: it died before the line above, while we were loading
        raise SystemExit("the supervisor is gone")
