"""After a fault the model goes on with what the workers really have in hand; the steps are told, not drawn."""

from typing import Any

import pytest

from app.calls.event import ALL_EVENTS
from app.store.database import Database
from tests.proof.proof import stage
from tests.proof.staff import Mishap, Staff
from tests.proof.world import DialSpec, World

_DENIED = DialSpec(((ALL_EVENTS, True),), timeout=10, time_limit=30)
_RUNG = DialSpec(((ALL_EVENTS, False), (None, False)), timeout=10, time_limit=30)
_CRASH: Mishap = ("crash", "before", 3)  # later than all that one ringing writes
_TRANSACTIONS = 7  # from the claim to the INVITEs of the second Dial: each has the fault once


@pytest.mark.parametrize("fault", ["refused", "unanswered", "twice"])
def test_a_call_whose_second_dial_began_in_a_faulty_step_stays_with_its_worker(database_url: str, fault: Any) -> None:
    """The first Dial rings nobody, so the second one's legs are made and named in the step of the claim."""
    with stage(database_url) as (runner, database):
        held = [runner.run(_claimed_with(database, (fault, passing))) for passing in range(_TRANSACTIONS)]
    assert held == [False, *[True] * (_TRANSACTIONS - 1)], "only the claim itself can be lost"


async def _claimed_with(database: Database, fault: tuple[Any, int]) -> bool:
    """Whether the worker has the call in hand after a fault in its claim; then time goes by, and it crashes."""
    how, passing = fault
    world = World(database)
    staff = Staff(world)
    await world.start()
    await world.place(ALL_EVENTS, [_DENIED, _RUNG])
    worker, (family,) = world.workers[0], world.families
    await staff.does(worker, worker.claim(), lambda: staff.claimed(worker), ("fault", how, passing))
    await world.compare()
    (family,) = world.families
    is_held = family.runner == worker.name
    assert is_held == bool(world.wires.invited)
    if is_held:
        await staff.waits(4)
        await world.compare()
        peer = staff.peers[0]
        work = staff.peer(peer, "rings", 0)
        await staff.does(worker, work, lambda: staff.heard(peer, "rings", 0), _CRASH)
        await world.compare()
        assert world.stored.events_of(peer.sid) == ["initiated", "ringing"]
    await staff.to_the_end()
    await world.compare()
    await world.stop()
    return is_held
