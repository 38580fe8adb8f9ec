"""What was proved with which peer, and running such proofs side by side. Knows no peer."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.interop.lab import Lab

# The columns of the page, in its order. A proof is of one of them.
FEATURES = (
    "UDP", "TCP", "TLS", "SRTP", "media", "login", "Record-Route", "refusal", "redirection", "fork", "CANCEL",
    "early media", "PRACK", "session timer", "hold", "re-INVITE", "UPDATE", "DTMF", "other requests", "odd forms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proof:
    """One call (or a few) that shows `feature`; `check` raises when it does not. `name` is a sentence."""

    feature: str
    name: str
    check: Callable[[Lab], Awaitable[None]]
    seconds: float = 0.0  # about how long it takes; the long ones start first

    def __post_init__(self) -> None:
        if self.feature not in FEATURES:
            raise ValueError(f"{self.name}: there is no column {self.feature}")


@dataclass(frozen=True, slots=True)
class Result:
    proof: Proof
    problem: str  # empty: it held
    took: float


async def run(proofs: Sequence[Proof], lab: Lab, *, at_once: int = 16) -> list[Result]:
    """All of them, up to `at_once` in parallel; the order of the results is that of `proofs`."""
    places = asyncio.Semaphore(at_once)
    longest_first = sorted(proofs, key=lambda proof: -proof.seconds)
    done = await asyncio.gather(*(_one(proof, lab, places) for proof in longest_first))
    results = {result.proof: result for result in done}
    return [results[proof] for proof in proofs]


def failures(results: Sequence[Result]) -> str:
    """For an assertion: what did not hold and why."""
    return "\n\n".join(f"{result.proof.name}\n{result.problem}" for result in results if result.problem)


async def _one(proof: Proof, lab: Lab, places: asyncio.Semaphore) -> Result:
    async with places:
        started = time.monotonic()
        problem = ""
        try:
            await proof.check(lab)
        except Exception as error:  # a broken proof must not end the others
            where = traceback.extract_tb(error.__traceback__)[-1]
            problem = f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"
        return Result(proof, problem, time.monotonic() - started)
