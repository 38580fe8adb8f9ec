"""The breaker's whole life, on times that the test makes up."""

import pytest

from app.store.outbox import Breaker
from app.webhooks.breaker import Circuit


def fail(circuit: Circuit, count: int, at: float) -> list[Breaker]:
    return [change for _ in range(count) if (change := circuit.result(False, started=at, now=at))]


def opened(at: float = 100.0) -> Circuit:
    circuit = Circuit()
    (change,) = fail(circuit, 5, at)
    assert change == Breaker("open", 5, 5.0, 5.0)
    return circuit


def test_five_failures_in_a_row_open_it() -> None:
    circuit = Circuit()
    assert fail(circuit, 4, 1) == []
    assert circuit.may_send(1)
    assert fail(circuit, 1, 1) == [Breaker("open", 5, 5.0, 5.0)]
    assert not circuit.may_send(5.9)
    assert circuit.may_send(6.0)


def test_a_success_between_starts_the_row_anew() -> None:
    circuit = Circuit()
    fail(circuit, 4, 1)
    circuit.result(True, started=1, now=1)
    assert fail(circuit, 4, 1) == []


def test_seventy_percent_of_ten_within_a_minute_open_it() -> None:
    circuit = Circuit()
    for well in (True, False, False, True, False, False, False, True, False):
        assert circuit.result(well, started=1, now=1) is None
    change = circuit.result(False, started=1, now=1)
    assert change is not None
    assert change.state == "open"


def test_failures_older_than_a_minute_do_not_count() -> None:
    circuit = Circuit()
    for at in range(0, 200, 20):  # two failures and a success every 20 s: never ten within a minute
        assert circuit.result(False, started=at, now=at) is None
        assert circuit.result(False, started=at, now=at) is None
        assert circuit.result(True, started=at, now=at) is None


def test_a_probe_that_succeeds_closes_it() -> None:
    circuit = opened(100)
    assert circuit.result(True, started=105, now=106) == Breaker()
    assert circuit.may_send(106)
    assert fail(circuit, 4, 107) == []


def test_each_probe_that_fails_doubles_the_cool_down_up_to_five_minutes() -> None:
    circuit, now, waits = opened(100), 100.0, []
    for _ in range(8):
        now += circuit.stored.open_for
        (change,) = fail(circuit, 1, now)
        waits.append(change.open_for)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize("well", [True, False])
def test_attempts_that_began_before_it_opened_say_nothing(well: bool) -> None:
    circuit = opened(100)
    assert circuit.result(well, started=99, now=104) is None
    assert circuit.result(well, started=99, now=106) is None
    circuit.adopt(Breaker("half-open", 5, 5.0), 106)
    assert circuit.result(well, started=99, now=107) is None


def test_what_another_dispatcher_says_is_adopted() -> None:
    circuit = Circuit()
    circuit.adopt(Breaker("open", 5, 40.0, 30.0), 100)
    assert not circuit.may_send(129)
    circuit.adopt(Breaker("half-open", 5, 40.0), 131)
    assert circuit.may_send(131)
    assert fail(circuit, 1, 132)[0].open_for == 80
    circuit.adopt(Breaker(), 140)
    assert circuit.may_send(140)


def test_agreeing_with_another_dispatcher_keeps_the_counts() -> None:
    circuit = Circuit()
    fail(circuit, 4, 1)
    circuit.adopt(Breaker(), 2)
    assert len(fail(circuit, 1, 3)) == 1


def test_a_probe_counts_although_its_half_open_was_seen_late() -> None:
    circuit = opened(100)
    circuit.adopt(Breaker("half-open", 5, 5.0), 107)
    assert circuit.result(True, started=105.5, now=108) == Breaker()
