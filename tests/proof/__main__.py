"""`python -m tests.proof [EXAMPLES [STEPS]]`: the same machine as in the tests, with other steps and for longer."""

import sys
import tempfile
import time
from pathlib import Path

from app.store import migrate
from app.store.embedded import EmbeddedPostgres
from tests.proof.proof import prove
from tests.proof.world import SEEN


def main(examples: int = 1_000, steps: int = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        url = server.start()
        try:
            migrate.upgrade(url)
            started = time.monotonic()
            prove(url, examples=examples, steps=steps, derandomize=False)
        finally:
            server.stop()
    for what, count in sorted(SEEN.items()):
        print(f"{count:8,}  {what}")
    print(f"{examples} examples of up to {steps} steps held in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
