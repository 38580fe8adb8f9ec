"""A program for a crew that does what it is told, bad things included."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import BinaryIO

from app.media.hand import CannotDo, Fence, Order, serve

FENCE = Fence(memory=256 * 1024 * 1024, cpu=0, file=1024 * 1024)


def job(order: Order, content: BinaryIO, sound: BinaryIO) -> None:
    what = order["do"]
    if what == "echo":
        sound.write(content.read())
    elif what == "refuse":
        raise CannotDo("not this one")
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "die once":
        if not Path(order["mark"]).exists():
            Path(order["mark"]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        sound.write(b"survived")
    elif what == "raise":
        raise RuntimeError("a mistake")
    elif what == "hang":
        signal.pause()
    elif what == "spin":
        while True:
            pass
    elif what == "eat":
        bytearray(1024 * 1024 * 1024)
    elif what == "flood":
        for _ in range(100):
            sound.write(bytes(64 * 1024))
    elif what == "noise":
        os.write(1, b"{}\n")
        sys.stderr.write("noise\n")
    elif what == "look":
        numbers = [fd for fd in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{fd}").exists() and int(fd) > 2]
        opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in numbers]
        sound.write(json.dumps({"environment": sorted(os.environ), "open": opened, "nice": os.nice(0)}).encode())
    elif what == "slow":
        time.sleep(order["seconds"])  # a busy moment of a real program
        sound.write(order["name"].encode())


if __name__ == "__main__":
    serve(job, FENCE)
