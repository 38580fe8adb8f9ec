"""Group commit: batches, lanes, patience and poison, with a commit that the test controls."""

import asyncio
from collections.abc import Sequence

import pytest

from app.calls.errors import Unavailable
from app.store.group import LIMIT, Batch, Group


class Commits:
    """Records batches; `answers` are raised or awaited first, one per commit."""

    def __init__(self, *answers: Exception | asyncio.Event) -> None:
        self.batches: list[list[str]] = []
        self.again: list[bool] = []
        self._answers = list(answers)

    async def __call__(self, batch: Batch[str]) -> Sequence[str | Exception]:
        self.batches.append(list(batch.items))
        self.again.append(batch.again)
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        elif answer is not None:
            raise answer
        if "poison" in batch.items:
            raise ValueError("poison")
        return [item.upper() for item in batch.items]


async def started(commits: Commits, *, patient: bool = True, writers: int = 1) -> Group[str, str]:
    group: Group[str, str] = Group("test", commits, patient=patient, writers=writers)
    await group.start()
    return group


async def test_what_comes_during_a_commit_is_the_next_batch() -> None:
    gate = asyncio.Event()
    commits = Commits(gate)
    group = await started(commits)
    first = group.put("a", 1)
    await asyncio.sleep(0)
    others = [group.put(item, item) for item in "bcd"]
    gate.set()
    assert await asyncio.gather(first, *others) == ["A", "B", "C", "D"]
    assert commits.batches == [["a"], ["b", "c", "d"]]
    await group.stop()


async def test_items_of_one_lane_go_one_per_batch_in_their_order() -> None:
    commits = Commits()
    group = await started(commits)
    futures = [group.put(item, item[0]) for item in ("a1", "a2", "b1", "a3", "b2", "c1")]
    await asyncio.gather(*futures)
    assert commits.batches == [["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]
    await group.stop()


async def test_two_writers_overlap_but_never_in_one_lane() -> None:
    gate = asyncio.Event()
    commits = Commits(gate)
    group = await started(commits, writers=2)
    a1 = group.put("a1", "a")
    await asyncio.sleep(0)
    a2, b1 = group.put("a2", "a"), group.put("b1", "b")
    assert await b1 == "B1"
    assert not a1.done()
    gate.set()
    assert await asyncio.gather(a1, a2) == ["A1", "A2"]
    assert commits.batches == [["a1"], ["b1"], ["a2"]]
    await group.stop()


async def test_two_writers_keep_the_order_of_every_lane() -> None:
    commits = Commits()
    group = await started(commits, writers=2)
    futures = [group.put(f"{lane}{nr}", lane) for nr in range(50) for lane in "abcdefg"]
    await asyncio.gather(*futures)
    written = [item for batch in commits.batches for item in batch]
    for lane in "abcdefg":
        assert [item for item in written if item[0] == lane] == [f"{lane}{nr}" for nr in range(50)]
    await group.stop()


async def test_a_batch_is_limited_and_a_long_lane_does_not_keep_others_waiting() -> None:
    commits = Commits()
    group = await started(commits)
    futures = [group.put(f"a{nr}", "a") for nr in range(3000)]
    futures += [group.put(f"x{nr}", nr) for nr in range(LIMIT * 2)]
    await asyncio.gather(*futures)
    assert max(map(len, commits.batches)) <= LIMIT
    assert [item for batch in commits.batches for item in batch if item[0] == "a"] == [f"a{nr}" for nr in range(3000)]
    assert sum(map(len, commits.batches)) == 3000 + LIMIT * 2
    await group.stop()


async def test_poison_is_alone_in_its_misery() -> None:
    commits = Commits()
    group = await started(commits)
    futures = [group.put(item, nr) for nr, item in enumerate(("a", "poison", "b"))]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert (results[0], results[2]) == ("A", "B")
    assert isinstance(results[1], ValueError)
    assert await group.put("c", 9) == "C"
    await group.stop()


async def test_a_patient_group_tries_until_it_is_done_and_says_that_it_tries_again() -> None:
    commits = Commits(Unavailable("away"), Unavailable("away"))
    group = await started(commits)
    first, second = group.put("a", 1), group.put("b", 1)
    assert await asyncio.gather(first, second) == ["A", "B"]
    assert commits.batches == [["a"], ["a"], ["a"], ["b"]]
    assert commits.again == [False, True, True, False]
    await group.stop()


async def test_poison_after_an_outage_is_still_tried_as_a_repetition() -> None:
    commits = Commits(Unavailable("away"))
    group = await started(commits)
    results = await asyncio.gather(group.put("a", 1), group.put("poison", 2), return_exceptions=True)
    assert results[0] == "A"
    assert commits.again == [False, True, True, True]
    await group.stop()


async def test_an_impatient_group_fails_the_batch_at_once() -> None:
    commits = Commits(Unavailable("away"))
    group = await started(commits, patient=False)
    with pytest.raises(Unavailable):
        await group.put("a", 1)
    assert await group.put("b", 1) == "B"
    await group.stop()


async def test_only_an_impatient_group_drops_what_nobody_waits_for_any_more() -> None:
    for patient, written in ((False, [["a"]]), (True, [["a"], ["b"]])):
        gate = asyncio.Event()
        commits = Commits(gate)
        group = await started(commits, patient=patient)
        first = group.put("a", 1)
        await asyncio.sleep(0)
        group.put("b", 2).cancel()
        gate.set()
        await first
        await group.stop()
        assert commits.batches == written


async def test_stop_writes_what_is_queued_and_can_be_given_up() -> None:
    commits = Commits()
    group = await started(commits)
    futures = [group.put(str(nr), 1) for nr in range(10)]
    await group.stop()
    assert all(future.done() for future in futures)

    stuck = await started(Commits(asyncio.Event()))
    stuck.put("a", 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stuck.stop(), 0.01)
