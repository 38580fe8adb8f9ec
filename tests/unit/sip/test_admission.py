"""The admission window."""

import asyncio

from app.sip.admission import Admission


async def test_what_fits_starts_at_once_and_the_rest_in_order() -> None:
    admission = Admission(patience=60, window=2)
    started: list[int] = []
    tickets = [admission.enter(lambda number=number: started.append(number)) for number in range(4)]  # type: ignore[misc] # a default is a binding
    assert started == [0, 1]
    tickets[1].leave()
    assert started == [0, 1, 2]
    tickets[0].leave()
    assert started == [0, 1, 2, 3]


async def test_leaving_twice_makes_room_once() -> None:
    admission = Admission(patience=60, window=1)
    started: list[str] = []
    first = admission.enter(lambda: started.append("first"))
    for name in ("second", "third"):
        admission.enter(lambda name=name: started.append(name))  # type: ignore[misc] # a default is a binding
    first.leave()
    first.leave()
    assert started == ["first", "second"]


async def test_one_that_leaves_while_it_waits_never_starts() -> None:
    admission = Admission(patience=60, window=1)
    started: list[str] = []
    first = admission.enter(lambda: started.append("first"))
    admission.enter(lambda: started.append("second")).leave()
    admission.enter(lambda: started.append("third"))
    first.leave()
    assert started == ["first", "third"]


async def test_a_target_that_never_answers_holds_the_window_for_a_moment_only() -> None:
    admission = Admission(patience=0.01, window=1)
    admission.enter(lambda: None)
    reached = asyncio.Event()
    admission.enter(reached.set)
    await asyncio.wait_for(reached.wait(), 5)
