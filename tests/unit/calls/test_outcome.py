"""Every final response from 300 to 699 means what the contract's table says."""

import pytest

from app.calls.outcome import of_response, worker_lost

_TABLE = {
    486: ("busy", "busy"),
    600: ("busy", "busy"),
    603: ("busy", "declined"),
    480: ("no-answer", "unavailable"),
    408: ("no-answer", "unavailable"),
    401: ("failed", "authentication"),
    407: ("failed", "authentication"),
}


@pytest.mark.parametrize("code", range(300, 700))
def test_a_final_response_maps_as_the_table_says(code: int) -> None:
    outcome = of_response(code, "Phrase")
    assert (outcome.status, outcome.reason) == _TABLE.get(code, ("failed", "rejected"))
    assert (outcome.sip_code, outcome.sip_reason) == (code, "Phrase")


def test_an_empty_reason_phrase_is_absent() -> None:
    assert of_response(486, "").sip_reason is None


@pytest.mark.parametrize(("answered", "status"), [(True, "completed"), (False, "failed")])
def test_a_lost_worker_completes_answered_calls_and_fails_the_others(answered: bool, status: str) -> None:
    assert worker_lost(answered=answered).status == status
