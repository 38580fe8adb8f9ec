"""The status table: forward only, and final means final."""

import pytest

from app.calls.status import FINAL, NEXT, Status, may_become


def test_a_final_status_never_changes() -> None:
    assert {Status.COMPLETED, Status.BUSY, Status.NO_ANSWER, Status.FAILED, Status.CANCELED} == FINAL
    assert not any(may_become(final, then) for final in FINAL for then in Status)


def test_no_status_can_be_reached_again() -> None:
    def reachable(status: Status) -> set[Status]:
        after = set(NEXT.get(status, ()))
        return after.union(*(reachable(then) for then in after)) if after else after

    assert not [status for status in Status if status in reachable(status)]


@pytest.mark.parametrize("end", sorted(FINAL - {Status.COMPLETED}))
def test_a_leg_that_was_not_answered_can_end_in_every_way_but_completed(end: Status) -> None:
    for status in (Status.QUEUED, Status.INITIATED, Status.RINGING):
        assert may_become(status, end)
        assert not may_become(status, Status.COMPLETED)
