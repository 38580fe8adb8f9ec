"""A crew of real processes, with a program that does every bad thing."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.media.crew import Crew, HandLost, Refused, Rules, TooSlow

RULES = Rules("tests.kit.crew_program", hands=1, seconds=20.0, most=4 * 1024 * 1024)


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    made = Crew(RULES)
    yield made
    await made.stop()


@pytest.fixture
async def make_crew() -> AsyncIterator[Callable[..., Crew]]:
    made: list[Crew] = []

    def make(**changes: object) -> Crew:
        made.append(Crew(replace(RULES, **changes)))  # type: ignore[arg-type]  # the test knows the fields
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def echo(crew: Crew, content: bytes = b"again") -> bytes:
    return await crew.do({"do": "echo"}, content)


async def test_one_process_does_one_job_after_the_other(crew: Crew) -> None:
    assert crew.pids == []
    assert await echo(crew, b"first") == b"first"
    pids = crew.pids
    assert await echo(crew, b"2") == b"2"
    assert await crew.do({"do": "echo"}) == b""
    assert crew.pids == pids and len(pids) == 1


async def test_megabytes_come_through_whole(make_crew: Callable[..., Crew]) -> None:
    content = os.urandom(1024 * 1024)  # what the program's fence lets it write
    crew = make_crew()
    assert await echo(crew, content) == content
    with pytest.raises(HandLost):
        await crew.do({"do": "flood"})


async def test_no_more_is_taken_than_a_job_may_give(make_crew: Callable[..., Crew]) -> None:
    assert await echo(make_crew(most=3), b"abcdef") == b"abc"


async def test_a_refusal_is_told_and_costs_no_process(crew: Crew) -> None:
    await echo(crew)
    pids = crew.pids
    with pytest.raises(Refused, match="not this one"):
        await crew.do({"do": "refuse"})
    assert await echo(crew) == b"again"
    assert crew.pids == pids


@pytest.mark.parametrize("what", ["die", "raise", "flood"])
async def test_a_process_that_dies_is_replaced(crew: Crew, what: str) -> None:
    with pytest.raises(HandLost):
        await crew.do({"do": what})
    assert crew.pids == []
    assert await echo(crew) == b"again"


@pytest.mark.timeout(600)
async def test_a_process_that_spins_dies_of_the_cpu_it_used(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(seconds=500.0)  # beside eight programs it gets 1/40 of a core, for it is the nicer one
    with pytest.raises(HandLost):
        await crew.do({"do": "spin"})
    assert crew.pids == []
    assert await echo(crew) == b"again"


async def test_a_job_is_begun_again_once_when_a_process_dies_that_had_done_others(crew: Crew, tmp_path: Path) -> None:
    order = {"do": "die once", "mark": str(tmp_path / "one")}
    with pytest.raises(HandLost):
        await crew.do(order)  # a fresh one: it died of the job
    await echo(crew)
    order = {"do": "die once", "mark": str(tmp_path / "two")}
    assert await crew.do(order) == b"survived"
    with pytest.raises(HandLost):
        await crew.do({"do": "die"})


async def test_one_killed_a_moment_ago_is_not_missed(crew: Crew) -> None:
    for _ in range(5):
        await echo(crew)
        os.kill(crew.pids[0], signal.SIGKILL)
        assert await echo(crew) == b"again"


async def test_that_no_process_can_be_started_is_told(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    opened = []
    for _ in range(10):
        with pytest.raises(HandLost, match="no process can be started"):
            await echo(crew)
        gc.collect()  # uvloop closes its pipes of a start that failed when they are collected
        await asyncio.sleep(0)
        opened.append(len(os.listdir("/proc/self/fd")))
    assert opened[-1] <= opened[2]
    monkeypatch.undo()
    assert await echo(crew) == b"again"


async def test_memory_beyond_the_fence_is_refused(crew: Crew) -> None:
    with pytest.raises(Refused, match="too much memory"):
        await crew.do({"do": "eat"})
    assert await echo(crew) == b"again"


async def test_a_process_that_hangs_is_killed_in_time(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(seconds=0.2)
    hanging = asyncio.create_task(crew.do({"do": "hang"}))
    while not crew.pids or not crew.pids[0]:
        await asyncio.sleep(0.01)
    (pid,) = crew.pids
    with pytest.raises(TooSlow):
        await hanging
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_one_that_died_while_idle_is_replaced_unseen(crew: Crew) -> None:
    await echo(crew)
    (pid,) = crew.pids
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert await echo(crew) == b"again"
    assert crew.pids != [pid]


async def test_nothing_that_a_program_prints_becomes_its_answer(crew: Crew) -> None:
    assert await crew.do({"do": "noise"}) == b""
    assert await echo(crew) == b"again"


async def test_a_process_knows_no_secret_and_has_no_descriptor_of_ours(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIAL_SECRET_KEY", "secret")
    with open(os.devnull) as held:
        os.set_inheritable(held.fileno(), True)
        seen = json.loads(await crew.do({"do": "look"}))
    assert not [name for name in seen["environment"] if name.startswith("DIAL_")]
    kinds = sorted(name.split(":")[0] for name in seen["open"])
    assert kinds in (["/memfd", "/memfd", "pipe", "pipe"], ["/memfd", "/memfd", "socket", "socket"])
    assert seen["nice"] >= 10


async def test_jobs_are_done_in_the_order_in_which_they_came(crew: Crew) -> None:
    done: list[str] = []

    async def one(name: str) -> None:
        await crew.do({"do": "slow", "seconds": 0.0, "name": name})
        done.append(name)

    await asyncio.gather(*(one(str(number)) for number in range(10)))
    assert done == [str(number) for number in range(10)]


async def test_a_job_whose_turn_does_not_come_is_told_so(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(patience=0.1)
    hanging = asyncio.create_task(crew.do({"do": "hang"}))
    await asyncio.sleep(0)
    with pytest.raises(TooSlow, match="too much else"):
        await echo(crew)
    await crew.stop()
    with pytest.raises(HandLost):
        await hanging


async def test_a_process_is_replaced_after_so_many_jobs(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(jobs=2)
    await echo(crew)
    first = crew.pids
    await echo(crew)
    assert crew.pids == []
    await echo(crew)
    assert crew.pids != first


async def test_an_idle_process_ends(make_crew: Callable[..., Crew]) -> None:
    crew = make_crew(idle=0.05)
    await echo(crew)
    (pid,) = crew.pids
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.01)
    assert crew.pids == []
    assert await echo(crew) == b"again"


async def test_no_descriptor_and_no_process_is_left(make_crew: Callable[..., Crew]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    crew = make_crew(hands=2)
    await asyncio.gather(*(echo(crew, bytes([number])) for number in range(6)))
    with pytest.raises(HandLost):
        await crew.do({"do": "die"})
    pids = crew.pids
    await crew.stop()
    await asyncio.sleep(0)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the loop's own watcher of processes stays
