"""The transaction machines against the figures and tables of RFC 3261 §17 and RFC 6026."""

import pytest

from app.sip.transaction import (
    CLIENT_INVITE,
    CLIENT_OTHER,
    SERVER_INVITE,
    SERVER_OTHER,
    Action,
    Input,
    State,
    Table,
    Timing,
    Transaction,
)

TABLES = {
    "client INVITE": CLIENT_INVITE,
    "client other": CLIENT_OTHER,
    "server INVITE": SERVER_INVITE,
    "server other": SERVER_OTHER,
}


def made(table: Table, *events: Input, reliable: bool = False) -> Transaction:
    transaction = Transaction(table, Timing(), reliable=reliable)
    for event in events:
        transaction.feed(event)
    return transaction


def does(transaction: Transaction, event: Input) -> tuple[Action, ...] | None:
    step = transaction.feed(event)
    return None if step is None else step.do


def repeats(transaction: Transaction, timer: Input, times: int) -> list[float | None]:
    return [transaction.delay(timer) for _ in range(times)]


def test_a_2xx_after_a_refusal_goes_up_and_is_not_acknowledged_as_one() -> None:
    transaction = made(CLIENT_INVITE, Input.FAILURE)
    assert does(transaction, Input.SUCCESS) == (Action.PASS_UP,)
    assert does(transaction, Input.FAILURE) == (Action.ACK,)


def test_an_invite_is_sent_and_guarded_by_timers_a_and_b() -> None:
    step = made(CLIENT_INVITE).begin()
    assert (step.state, step.do) == (State.CALLING, (Action.SEND,))
    assert step.start == (Input.TIMER_A, Input.TIMER_B)


def test_timer_a_doubles_without_a_bound() -> None:
    assert repeats(made(CLIENT_INVITE), Input.TIMER_A, 7) == [0.5, 1, 2, 4, 8, 16, 32]


def test_timer_a_sends_the_invite_again() -> None:
    assert does(made(CLIENT_INVITE), Input.TIMER_A) == (Action.SEND,)


def test_timer_a_does_not_run_over_a_reliable_transport_but_b_does() -> None:
    transaction = made(CLIENT_INVITE, reliable=True)
    assert transaction.delay(Input.TIMER_A) is None
    assert transaction.delay(Input.TIMER_B) == 32


def test_timer_b_reports_a_timeout_in_calling() -> None:
    transaction = made(CLIENT_INVITE)
    assert does(transaction, Input.TIMER_B) == (Action.TIMED_OUT,)
    assert transaction.state is State.TERMINATED


def test_timer_b_means_nothing_once_a_provisional_came() -> None:
    transaction = made(CLIENT_INVITE, Input.PROVISIONAL)
    assert transaction.feed(Input.TIMER_B) is None
    assert transaction.state is State.PROCEEDING


def test_the_first_provisional_stops_the_timers_and_goes_up() -> None:
    step = made(CLIENT_INVITE).feed(Input.PROVISIONAL)
    assert step is not None
    assert (step.stop, step.do, step.start) == (True, (Action.PASS_UP,), ())


def test_every_provisional_goes_up() -> None:
    assert does(made(CLIENT_INVITE, Input.PROVISIONAL), Input.PROVISIONAL) == (Action.PASS_UP,)


@pytest.mark.parametrize("before", [(), (Input.PROVISIONAL,)])
def test_a_failure_is_acked_and_goes_up_and_timer_d_starts(before: tuple[Input, ...]) -> None:
    transaction = made(CLIENT_INVITE, *before)
    step = transaction.feed(Input.FAILURE)
    assert step is not None
    assert (step.do, step.start) == ((Action.ACK, Action.PASS_UP), (Input.TIMER_D,))
    assert transaction.state is State.COMPLETED


def test_a_repeated_failure_is_acked_but_does_not_go_up() -> None:
    assert does(made(CLIENT_INVITE, Input.FAILURE), Input.FAILURE) == (Action.ACK,)


def test_timer_d_is_at_least_32_seconds_and_zero_over_tcp() -> None:
    assert made(CLIENT_INVITE).delay(Input.TIMER_D) == 32
    assert made(CLIENT_INVITE, reliable=True).delay(Input.TIMER_D) == 0


@pytest.mark.parametrize("before", [(), (Input.PROVISIONAL,)])
def test_a_success_is_accepted_for_timer_m(before: tuple[Input, ...]) -> None:
    transaction = made(CLIENT_INVITE, *before)
    step = transaction.feed(Input.SUCCESS)
    assert step is not None
    assert (step.do, step.start) == ((Action.PASS_UP,), (Input.TIMER_M,))
    assert transaction.state is State.ACCEPTED
    assert transaction.delay(Input.TIMER_M) == 32


def test_every_success_goes_up_while_accepted() -> None:
    transaction = made(CLIENT_INVITE, Input.SUCCESS)
    assert does(transaction, Input.SUCCESS) == (Action.PASS_UP,)
    assert does(transaction, Input.PROVISIONAL) is None
    assert does(transaction, Input.FAILURE) is None
    assert does(transaction, Input.TIMER_M) == ()
    assert transaction.state is State.TERMINATED


def test_a_transport_error_ends_a_calling_invite_and_not_a_proceeding_one() -> None:
    assert does(made(CLIENT_INVITE), Input.TRANSPORT_ERROR) == (Action.FAILED,)
    assert does(made(CLIENT_INVITE, Input.PROVISIONAL), Input.TRANSPORT_ERROR) is None


def test_timer_e_doubles_up_to_t2() -> None:
    assert repeats(made(CLIENT_OTHER), Input.TIMER_E, 6) == [0.5, 1, 2, 4, 4, 4]


def test_timer_e_runs_at_t2_in_proceeding() -> None:
    transaction = made(CLIENT_OTHER)
    assert transaction.delay(Input.TIMER_E) == 0.5
    step = transaction.feed(Input.PROVISIONAL)
    assert step is not None and step.stop is False  # E and F go on
    assert does(transaction, Input.TIMER_E) == (Action.SEND,)
    assert transaction.delay(Input.TIMER_E) == 4


@pytest.mark.parametrize("before", [(), (Input.PROVISIONAL,)])
def test_timer_f_reports_a_timeout_before_a_final_answer(before: tuple[Input, ...]) -> None:
    assert does(made(CLIENT_OTHER, *before), Input.TIMER_F) == (Action.TIMED_OUT,)


@pytest.mark.parametrize("final", [Input.SUCCESS, Input.FAILURE])
def test_a_final_answer_goes_up_once_and_timer_k_absorbs_the_rest(final: Input) -> None:
    transaction = made(CLIENT_OTHER)
    step = transaction.feed(final)
    assert step is not None
    assert (step.do, step.start) == ((Action.PASS_UP,), (Input.TIMER_K,))
    assert transaction.delay(Input.TIMER_K) == 5
    assert does(transaction, final) is None
    assert does(transaction, Input.TIMER_K) == ()


def test_timer_k_is_zero_over_tcp() -> None:
    assert made(CLIENT_OTHER, reliable=True).delay(Input.TIMER_K) == 0


@pytest.mark.parametrize("before", [(), (Input.PROVISIONAL,)])
def test_a_transport_error_ends_a_request_that_is_not_answered(before: tuple[Input, ...]) -> None:
    assert does(made(CLIENT_OTHER, *before), Input.TRANSPORT_ERROR) == (Action.FAILED,)


def test_a_repeated_invite_gets_the_newest_provisional_again() -> None:
    assert does(made(SERVER_INVITE, Input.PROVISIONAL), Input.REQUEST) == (Action.SEND,)


def test_a_failure_from_the_server_is_repeated_by_timer_g_until_the_ack() -> None:
    transaction = made(SERVER_INVITE)
    step = transaction.feed(Input.FAILURE)
    assert step is not None
    assert (step.do, step.start) == ((Action.SEND,), (Input.TIMER_G, Input.TIMER_H))
    assert repeats(transaction, Input.TIMER_G, 6) == [0.5, 1, 2, 4, 4, 4]
    assert does(transaction, Input.TIMER_G) == (Action.SEND,)
    assert does(transaction, Input.REQUEST) == (Action.SEND,)
    acked = transaction.feed(Input.ACK)
    assert acked is not None
    assert (acked.state, acked.stop, acked.start) == (State.CONFIRMED, True, (Input.TIMER_I,))
    assert transaction.delay(Input.TIMER_I) == 5
    assert does(transaction, Input.ACK) is None
    assert does(transaction, Input.REQUEST) is None
    assert does(transaction, Input.TIMER_I) == ()


def test_a_failure_that_is_never_acked_is_reported_by_timer_h() -> None:
    transaction = made(SERVER_INVITE, Input.FAILURE)
    assert transaction.delay(Input.TIMER_H) == 32
    assert does(transaction, Input.TIMER_H) == (Action.TIMED_OUT,)


def test_timer_g_does_not_run_over_tcp_and_i_is_zero_there() -> None:
    transaction = made(SERVER_INVITE, Input.FAILURE, reliable=True)
    assert transaction.delay(Input.TIMER_G) is None
    assert transaction.delay(Input.TIMER_I) == 0


def test_a_success_from_the_server_is_repeated_by_its_user_alone() -> None:
    transaction = made(SERVER_INVITE)
    step = transaction.feed(Input.SUCCESS)
    assert step is not None
    assert (step.do, step.start) == ((Action.SEND,), (Input.TIMER_L,))
    assert does(transaction, Input.SUCCESS) == (Action.SEND,)
    assert does(transaction, Input.REQUEST) is None  # RFC 6026: absorbed
    assert does(transaction, Input.ACK) == (Action.PASS_UP,)
    assert does(transaction, Input.TIMER_L) == ()


def test_a_transport_error_does_not_end_an_invite_server() -> None:
    for before in ((), (Input.FAILURE,), (Input.SUCCESS,)):
        assert made(SERVER_INVITE, *before).feed(Input.TRANSPORT_ERROR) is None


def test_a_repeated_request_is_absorbed_until_there_is_an_answer() -> None:
    transaction = made(SERVER_OTHER)
    assert does(transaction, Input.REQUEST) is None
    transaction.feed(Input.PROVISIONAL)
    assert does(transaction, Input.REQUEST) == (Action.SEND,)


@pytest.mark.parametrize("final", [Input.SUCCESS, Input.FAILURE])
@pytest.mark.parametrize("before", [(), (Input.PROVISIONAL,)])
def test_a_final_answer_is_repeated_for_each_repeated_request(before: tuple[Input, ...], final: Input) -> None:
    transaction = made(SERVER_OTHER, *before)
    step = transaction.feed(final)
    assert step is not None
    assert (step.do, step.start) == ((Action.SEND,), (Input.TIMER_J,))
    assert transaction.delay(Input.TIMER_J) == 32
    assert does(transaction, Input.REQUEST) == (Action.SEND,)
    assert does(transaction, final) is None  # a second final answer is discarded
    assert does(transaction, Input.TIMER_J) == ()


def test_timer_j_is_zero_over_tcp() -> None:
    assert made(SERVER_OTHER, reliable=True).delay(Input.TIMER_J) == 0


def test_timing_is_injectable() -> None:
    transaction = Transaction(CLIENT_OTHER, Timing(t1=0.01, t2=0.02, t4=0.05), reliable=False)
    assert repeats(transaction, Input.TIMER_E, 3) == [0.01, 0.02, 0.02]
    assert transaction.delay(Input.TIMER_F) == 0.64
    assert transaction.delay(Input.TIMER_K) == 0.05


@pytest.mark.parametrize("name", TABLES)
def test_every_state_but_terminated_can_be_left_and_leads_to_terminated(name: str) -> None:
    table = TABLES[name]
    states = {state for state, _ in table}
    reaches = {State.TERMINATED}
    while grown := {state for state, step in ((s, table[s, i]) for s, i in table) if step.state in reaches} - reaches:
        reaches |= grown
    assert states <= reaches


@pytest.mark.parametrize("name", TABLES)
def test_nothing_leaves_terminated(name: str) -> None:
    assert not any(state is State.TERMINATED for state, _ in TABLES[name])


@pytest.mark.parametrize("name", TABLES)
def test_every_timer_that_starts_is_understood_where_it_may_fire(name: str) -> None:
    table = TABLES[name]
    for step in table.values():
        for timer in step.start:
            assert (step.state, timer) in table
