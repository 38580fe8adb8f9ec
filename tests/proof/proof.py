"""Runs the machine on one database: how many examples, how long each."""

import asyncio

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.dialing import run
from app.runtime import log
from app.store import group
from app.store.database import Database
from tests.proof.machine import Machine
from tests.proof.process import crewed

_PHASES = (Phase.explicit, Phase.generate, Phase.target, Phase.shrink)


def prove(url: str, *, examples: int, steps: int, derandomize: bool) -> None:
    log.configure("critical", "json", "proof")
    backoff, run._RETRY_SECONDS, group._BACKOFF = (run._RETRY_SECONDS, group._BACKOFF), 0.0, (0.0,)
    database = Database(url, name="proof")
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(crewed)
        try:
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
        finally:
            run._RETRY_SECONDS, group._BACKOFF = backoff
            runner.run(database.close())
