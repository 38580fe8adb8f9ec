"""A worker is given a call anew that it lost while its database stood still, and has not noticed yet."""

from app.calls.event import ALL_EVENTS
from app.store.database import Database
from tests.proof.proof import stage
from tests.proof.staff import Staff
from tests.proof.stored import look
from tests.proof.world import DialSpec, World

_RUNG = DialSpec(((ALL_EVENTS, False),), timeout=10, time_limit=30)


def test_a_call_that_is_claimed_again_before_its_loss_was_noticed_is_still_hung_up_over_the_api(
    database_url: str,
) -> None:
    with stage(database_url) as (runner, database):
        runner.run(_is_claimed_again_and_hung_up(database))


async def _is_claimed_again_and_hung_up(database: Database) -> None:
    world = World(database)
    staff = Staff(world)
    await world.start()
    await world.place(ALL_EVENTS, [_RUNG])
    parent = world.families[0].parent
    slow, other = world.workers
    slow.wire.hold("before", passing=1)  # its claim goes through, what it writes next does not
    await slow.do(slow.claim())
    slow.begin(slow.claim())  # stands behind what it writes
    await staff.lapses(0)
    await other.do(other.sweep())
    handed_back = (await look(database)).calls[parent.sid]
    assert (handed_back["due"], handed_back["status"]) == (True, "queued")
    slow.wire.release()
    await world.traffic.settle()
    world.stored = await look(database)
    assert world.stored.calls[parent.sid]["worker_id"] == slow.id
    assert len(world.wires.invited) == 1
    assert slow.runs == [parent.sid]
    await world.hang_up(parent, "completed")
    await slow.do(slow.obey())
    stored = await look(database)
    assert stored.calls[parent.sid]["status"] == "canceled"
    assert [leg["status"] for leg in stored.legs(parent.sid)] == ["canceled"]
    assert slow.runs == []
    await world.stop()
