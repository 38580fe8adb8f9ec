"""Turns each check of each scenario around, one at a time, and wants SIPp to complain: one that cannot proves nothing.

Not for every run of the tests: `python -m tests.interop --bite` takes four minutes.
"""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

from tests.interop.lab import Lab
from tests.interop.ledger import Proof
from tests.interop.script import expand
from tests.interop.sipp_peer import Scenario, scenarios

_CHECK = re.compile(r'\b(check_it|check_it_inverse)="true"')
_OTHER = {"check_it": "check_it_inverse", "check_it_inverse": "check_it"}
_LONG = 10.0  # seconds; scenarios that wait longer are left out


def proofs() -> list[Proof]:
    """One for each check of the plain scenarios, but for those that wait very long."""
    short = [scenario for scenario in scenarios() if float(scenario.root.get("seconds", "0")) < _LONG]
    return [
        Proof(scenario.root.attrib["feature"], f"{scenario.name}, check {number}", partial(_bites, scenario, turned))
        for scenario in short
        for number, turned in enumerate(_turned(expand(scenario.text)), 1)
    ]


def _turned(text: str) -> Iterator[str]:
    """`text` with one check the other way round; not the ``.*`` that only keep something."""
    for found in _CHECK.finditer(text):
        element = text[text.rindex("<", 0, found.start()) : text.index(">", found.end())]
        if 'regexp=".*"' not in element:
            yield f'{text[: found.start()]}{_OTHER[found[1]]}="true"{text[found.end() :]}'


async def _bites(scenario: Scenario, plain: str, lab: Lab) -> None:
    with ExitStack() as callees:
        also = scenario.root.get("also")
        other = callees.enter_context(await asyncio.to_thread(Scenario(also).start)) if also else None
        other_port = other.port if other else 0
        start = partial(scenario.play, plain.replace("[other]", str(other_port)))
        first = callees.enter_context(await asyncio.to_thread(start))
        sip, dial = scenario.request(first.port, other_port)
        placed = await lab.place(sip, **{"timeLimit": 5, "timeout": 5, **dial})
        acting = asyncio.ensure_future(scenario.act(placed))
        try:
            # A call given up may be followed by another INVITE, which SIPp takes for a new call and waits for its end.
            with suppress(subprocess.TimeoutExpired):
                assert await asyncio.to_thread(first.wait, _LONG) != 0, f"turned around it still passes:\n{plain}"
        finally:
            acting.cancel()
            with suppress(asyncio.CancelledError, AssertionError):
                await acting
