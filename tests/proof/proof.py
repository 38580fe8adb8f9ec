"""Runs the machine on one database: how many examples, how long each."""

import asyncio
import contextlib
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.dialing import run
from app.runtime import log
from app.store import group, outbox
from app.store.database import Database
from tests.proof.machine import Machine
from tests.proof.process import crewed

_PHASES = (Phase.explicit, Phase.generate, Phase.target, Phase.shrink)


# Nothing may happen because the machine is slow: the same steps must do the same whenever they are repeated.
_TIMELESS = (
    (group, "_BACKOFF", (0.0,)),
    (run, "_RETRY_SECONDS", 0.0),
    (outbox, "LEASE", 3_600.0),
    (outbox, "_SWEEP_SECONDS", 3_600.0),
)


@contextlib.contextmanager
def stage(url: str) -> Iterator[tuple[asyncio.Runner, Database]]:
    """A loop in which every task knows its process, and the database that they all share."""
    log.configure("critical", "json", "proof")
    with contextlib.ExitStack() as stack:
        for module, name, value in _TIMELESS:
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        runner = stack.enter_context(asyncio.Runner())
        runner.get_loop().set_task_factory(crewed)
        database = Database(url, name="proof")
        stack.callback(lambda: runner.run(database.close()))
        yield runner, database


def prove(url: str, *, examples: int, steps: int, derandomize: bool) -> None:
    with stage(url) as (runner, database):
        run_state_machine_as_test(
            lambda: Machine(runner, database),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=derandomize,
                database=None,
                phases=_PHASES,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
            ),
        )
