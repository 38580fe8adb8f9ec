"""Who is who in a trace, what is a retransmission, and what happened when."""

from datetime import timedelta

from app.calls.wire import LeftOut
from app.trace.story import Arrow, Happened, Note, Told, ladder
from tests.unit.trace.make import ACK, ALICE, BEGAN, BYE, BYE_OK, INVITE, OK, US, copy, leg, story, talk


def arrows(drawn: object) -> list[Arrow]:
    return [row for row in drawn.rows if isinstance(row, Arrow)]  # type: ignore[attr-defined]  # a Ladder


def test_the_same_bytes_in_the_same_direction_again_are_a_retransmission() -> None:
    drawn = ladder(story(leg()))
    again = [(round((row.at - BEGAN).total_seconds() * 1000), row.seen.title) for row in arrows(drawn) if row.again]
    assert again == [(512, "200 OK"), (1512, "200 OK"), (1513, "ACK")]


def test_the_same_bytes_on_another_leg_are_not() -> None:
    first, second = leg(), leg()
    drawn = ladder(story(first, second, copies=[copy(one.sid, 0, "sent", INVITE) for one in (first, second)]))
    assert not any(row.again for row in arrows(drawn))


def test_each_remote_address_is_a_participant_and_ourselves_the_first() -> None:
    first, second = leg(), leg("sip:carol@198.51.100.9")
    copies = [*talk(first.sid), *talk(second.sid, remote=("198.51.100.9", 5060), transport="tcp")]
    named = [(one.name, one.address) for one in ladder(story(first, second, copies=copies)).participants]
    assert named == [
        ("Dial-to-SIP", "192.0.2.1:5060"),
        ("alice", "198.51.100.7:5080 udp"),
        ("carol", "198.51.100.9:5060 tcp"),
    ]


def test_a_peer_that_connects_from_a_port_of_the_moment_is_the_one_that_was_called() -> None:
    one, moment = leg(), ("198.51.100.7", 49_152)
    copies = [
        copy(one.sid, 0, "sent", INVITE, transport="tcp"),
        copy(one.sid, 10, "received", OK, transport="tcp"),
        copy(one.sid, 20, "received", BYE, transport="tcp", remote=moment),
        copy(one.sid, 21, "sent", BYE_OK, transport="tcp", remote=moment),
    ]
    drawn = ladder(story(one, copies=copies))
    assert len(drawn.participants) == 2 and {row.peer for row in arrows(drawn)} == {1}
    assert drawn.participants[1].address == "198.51.100.7:5080 tcp"


def test_over_udp_another_port_is_another_participant() -> None:
    one = leg()
    copies = [copy(one.sid, 0, "sent", INVITE), copy(one.sid, 1, "received", OK, remote=("198.51.100.7", 5099))]
    assert len(ladder(story(one, copies=copies)).participants) == 3


def test_what_callbacks_were_told_stands_between_the_messages_by_time() -> None:
    one = leg()
    at = BEGAN + timedelta(milliseconds=5)
    told = [Told(one.sid, "initiated", at, "app.example", attempt=1, status=200, latency_ms=4, error=None)]
    happened = [Happened(one.sid, "ringing", at + timedelta(milliseconds=1))]
    copies = [copy(one.sid, 0, "sent", INVITE), copy(one.sid, 10, "sent", ACK)]
    drawn = ladder(story(one, copies=copies, told=told, happened=happened))
    assert [type(row) for row in drawn.rows] == [Arrow, Note, Note, Arrow]
    assert [row.column for row in drawn.rows if isinstance(row, Note)] == [2, 0]
    assert drawn.participants[2].address == "app.example" and drawn.participants[2].is_callback


def test_a_call_without_messages_has_a_ladder_too() -> None:
    drawn = ladder(story(leg(), copies=[]))
    assert drawn.rows == () and len(drawn.participants) == 1 and drawn.began == BEGAN


def test_what_was_left_out_is_added_up() -> None:
    first, second = leg(), leg()
    left_out = [LeftOut(first.sid, BEGAN, 7), LeftOut(second.sid, BEGAN, 5)]
    assert story(first, second, left_out=left_out).missing == 12


def test_messages_behind_the_first_200_with_a_tag_are_in_the_dialog() -> None:
    flags = [(row.seen.title, row.in_dialog) for row in arrows(ladder(story(leg())))]
    assert flags[:2] == [("INVITE", False), ("200 OK", False)] and all(flag for _, flag in flags[2:])


def test_our_own_address_is_that_of_udp_when_there_is_one() -> None:
    one = leg()
    copies = [
        copy(one.sid, 0, "sent", INVITE, transport="tcp", local=("192.0.2.1", 40_000)),
        copy(one.sid, 1, "sent", INVITE, local=US, remote=ALICE),
    ]
    assert ladder(story(one, copies=copies)).participants[0].address == "192.0.2.1:5060"
