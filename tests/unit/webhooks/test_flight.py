"""Room for more attempts."""

import asyncio
import resource

import pytest

from app.webhooks.flight import Flight


async def test_room_shrinks_and_grows_with_what_is_under_way() -> None:
    flight = Flight(3, 10)
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(3)]
    for n, task in enumerate(tasks):
        assert flight.room() == 3 - n
        flight.add(task, destination=n % 2)  # type: ignore[arg-type]  # any task will do
    assert flight.room() == 0
    assert flight.busy == {0: 2, 1: 1}
    for n, task in enumerate(tasks):
        flight.remove(task, destination=n % 2)  # type: ignore[arg-type]  # any task will do
        task.cancel()
    assert (flight.room(), flight.busy, flight.tasks) == (3, {}, [])


async def test_no_more_start_than_the_process_has_descriptors_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    assert Flight(256, 1024).room() == 32
