"""One patience for all that somebody waits for, and questions that several wait for together."""

import asyncio

import pytest

from app.runtime.patience import Shared, begun, renewed, waiting

LONG = 60.0  # seconds: nothing here waits for them


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_one_wait_used_up_the_next_one_does_not_have() -> None:
    with begun(0.05):
        with pytest.raises(TimeoutError):
            async with waiting(LONG):
                await forever()
        with pytest.raises(TimeoutError):  # at once: nothing is left
            async with waiting(LONG):
                await forever()


async def test_time_between_waits_is_not_counted() -> None:
    with begun(LONG):
        async with asyncio.timeout(LONG / 2):
            await asyncio.sleep(0.05)
        async with waiting(LONG):
            await asyncio.sleep(0)


async def test_a_wait_has_its_own_limit_too_and_outside_of_everything_only_that() -> None:
    with begun(LONG), pytest.raises(TimeoutError):
        async with waiting(0.01):
            await forever()
    with pytest.raises(TimeoutError):
        async with waiting(0.01):
            await forever()


async def test_a_step_that_is_done_gives_the_next_one_as_long() -> None:
    with begun(LONG):
        with begun(0.05):
            with pytest.raises(TimeoutError):
                async with waiting(LONG):
                    await forever()
            renewed()
            async with waiting(LONG):
                await asyncio.sleep(0)
        async with waiting(LONG):
            await asyncio.sleep(0)
    renewed()  # nobody is served: nothing to do


async def test_a_shared_question_is_asked_once_and_outlives_the_one_who_asked_first() -> None:
    asked, answer = 0, asyncio.Event()

    async def ask() -> str:
        nonlocal asked
        asked += 1
        async with waiting(LONG):  # its own: the asker's patience is not its
            await answer.wait()
        return f"answer {asked}"

    async def hasty() -> str:
        with begun(0.05):
            async with waiting(LONG):
                return await shared()

    shared = Shared(ask)
    first, second = asyncio.create_task(hasty()), asyncio.create_task(shared())
    with pytest.raises(TimeoutError):
        await first
    answer.set()
    assert await second == "answer 1"
    assert await shared() == "answer 2"


async def test_what_went_wrong_is_told_to_everybody_who_asked() -> None:
    async def ask() -> None:
        await asyncio.sleep(0)
        raise KeyError("gone")

    shared = Shared(ask)
    told = await asyncio.gather(shared(), shared(), return_exceptions=True)
    assert [type(one) for one in told] == [KeyError, KeyError]
