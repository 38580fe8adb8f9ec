"""The beat's arithmetic by numbers, and the ticker on a real loop."""

import asyncio
import time

import pytest

from app.media.ticker import FRAME_SECONDS, Beat, Ticker


class Counting:
    rests_until = 0.0

    def __init__(self, ticker: Ticker, stop_after: int) -> None:
        self.frames: list[int] = []
        self.times: list[float] = []
        self.done = asyncio.Event()
        self._ticker, self._stop_after = ticker, stop_after

    def tick(self, now: float, frames: int) -> None:
        self.frames.append(frames)
        self.times.append(now)
        if len(self.frames) == self._stop_after:
            self._ticker.discard(self)
            self.done.set()


class Broken:
    rests_until = 0.0

    def tick(self, now: float, frames: int) -> None:
        raise RuntimeError("a fault in one call")


def test_beats_that_come_in_time_are_one_each():
    beat = Beat(100.0)
    for number in range(1, 5000):
        assert beat.next_at == pytest.approx(100.0 + number * FRAME_SECONDS)
        assert beat.take(beat.next_at) == 1


def test_lateness_does_not_add_up():
    beat = Beat(0.0)
    late = [beat.take(beat.next_at + 0.009) for _ in range(1000)]
    assert sum(late) == 1000
    assert beat.next_at == pytest.approx(1001 * FRAME_SECONDS)


def test_missed_beats_are_counted():
    beat = Beat(0.0)
    assert beat.take(0.105) == 5
    assert beat.next_at == pytest.approx(0.12)


def test_a_timer_that_fires_early_takes_nothing_and_one_that_fires_a_rounding_error_early_takes_its_beat():
    beat = Beat(0.0)
    assert beat.take(0.0199) == 0
    assert beat.take(0.02 - 1e-10) == 1
    assert beat.take(0.02) == 0


def test_a_clock_that_does_not_move_takes_nothing():
    beat = Beat(5.0)
    assert beat.take(5.0) == 0
    assert beat.take(4.0) == 0


async def test_beats_keep_to_the_loops_clock():
    ticker = Ticker()
    member = Counting(ticker, 10)
    begun = asyncio.get_running_loop().time()
    ticker.add(member)
    await asyncio.wait_for(member.done.wait(), 5)
    assert begun + sum(member.frames) * FRAME_SECONDS <= member.times[-1] + 0.001
    assert member.times[-1] - begun < (sum(member.frames) + 1) * FRAME_SECONDS


async def test_a_fault_of_one_member_is_nothing_to_the_others():
    ticker = Ticker()
    broken, member = Broken(), Counting(ticker, 3)
    ticker.add(broken)
    ticker.add(member)
    await asyncio.wait_for(member.done.wait(), 5)
    ticker.discard(broken)


async def test_a_member_that_another_one_ends_gets_no_more_beats():
    ticker = Ticker()
    victim = Counting(ticker, 99)

    class Ender(Counting):
        def tick(self, now: float, frames: int) -> None:
            ticker.discard(victim)
            super().tick(now, frames)

    ender = Ender(ticker, 2)
    ticker.add(ender)
    ticker.add(victim)
    await asyncio.wait_for(ender.done.wait(), 5)
    assert victim.frames == []


async def test_it_stops_without_members_and_starts_again_with_one():
    ticker = Ticker()
    for _ in range(2):
        member = Counting(ticker, 2)
        ticker.add(member)
        ticker.add(member)
        await asyncio.wait_for(member.done.wait(), 5)
        assert len(member.frames) == 2


async def test_a_beat_that_is_left_alone_lets_its_timer_go():
    ticker = Ticker()
    member = Counting(ticker, 1)
    ticker.add(member)
    await asyncio.wait_for(member.done.wait(), 5)
    assert ticker.running is False


async def test_who_rests_gets_no_beat_until_its_time_or_until_it_is_woken():
    ticker = Ticker()
    loop = asyncio.get_running_loop()
    rester = Counting(ticker, 2)
    rester.rests_until = loop.time() + 0.2
    ticker.add(rester)
    await asyncio.wait_for(rester.done.wait(), 5)
    assert rester.times[1] >= rester.rests_until or rester.frames[1] > 1
    sleeper = Counting(ticker, 2)
    sleeper.rests_until = loop.time() + 3600
    ticker.add(sleeper)
    while not sleeper.frames:
        await asyncio.sleep(0.001)
    ticker.wake(sleeper)
    await asyncio.wait_for(sleeper.done.wait(), 5)
    ticker.wake(sleeper)
    await asyncio.sleep(0.1)
    assert len(sleeper.frames) == 2  # it is gone: nothing wakes it


async def test_who_rests_is_told_when_the_process_was_held_up():
    ticker = Ticker()
    sleeper = Counting(ticker, 2)
    sleeper.rests_until = asyncio.get_running_loop().time() + 3600
    ticker.add(sleeper)
    while not sleeper.frames:
        await asyncio.sleep(0.001)
    began = time.monotonic()
    while time.monotonic() - began < 0.1:
        pass
    await asyncio.wait_for(sleeper.done.wait(), 5)
    assert sleeper.frames[-1] > 1
