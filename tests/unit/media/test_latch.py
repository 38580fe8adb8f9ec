"""Who is let in. Addresses of RFC 5737 stand for the public network."""

import pytest

from app.media.latch import Latch
from app.media.packet import Packet

PUBLIC, OTHER, INNER = "8.8.4.4", "9.9.9.9", "192.168.1.5"


def stream(latch: Latch, source: tuple[str, int], count: int, *, ssrc: int = 1, first: int = 10) -> list[bool]:
    return [latch.judge(source, Packet(0, False, first + n, n * 160, ssrc, b"")) for n in range(count)]


def test_the_negotiated_source_is_the_peer_at_once():
    latch = Latch(PUBLIC, 4000)
    assert stream(latch, (PUBLIC, 4000), 1) == [True]
    assert latch.settled
    assert latch.admits((PUBLIC, 4000))


def test_nobody_else_gets_in_once_the_negotiated_source_has_spoken():
    latch = Latch(INNER, 4000)
    stream(latch, (INNER, 4000), 1)
    assert not any(stream(latch, (INNER, 4002), 20))
    assert latch.peer == (INNER, 4000)


def test_a_changed_port_is_followed_after_four_packets_in_sequence():
    latch = Latch(PUBLIC, 4000)
    assert stream(latch, (PUBLIC, 5000), 5) == [False, False, False, True, True]
    assert latch.peer == (PUBLIC, 5000)
    assert latch.behind_nat


def test_an_inner_address_is_followed_to_where_it_came_out():
    latch = Latch(INNER, 4000)
    assert stream(latch, (PUBLIC, 5000), 4)[-1]
    assert latch.peer == (PUBLIC, 5000)


@pytest.mark.parametrize("named", [PUBLIC, "127.0.0.1", "", "2001:4860::1"])
def test_another_host_is_never_followed_when_the_named_one_can_be_reached(named: str):
    latch = Latch(named, 4000)
    assert not any(stream(latch, (OTHER, 4000), 50))
    assert latch.peer == (named, 4000)


def test_it_follows_once():
    latch = Latch(INNER, 4000)
    stream(latch, (PUBLIC, 5000), 4)
    assert not any(stream(latch, (OTHER, 5000), 50, ssrc=2))
    assert not any(stream(latch, (PUBLIC, 5002), 50, ssrc=2))
    assert latch.peer == (PUBLIC, 5000)


def test_the_negotiated_source_wins_back_what_another_took():
    latch = Latch(INNER, 4000)
    stream(latch, (PUBLIC, 5000), 4)
    assert stream(latch, (INNER, 4000), 1) == [True]
    assert not any(stream(latch, (PUBLIC, 5000), 10, first=14))
    assert not latch.behind_nat


def test_packets_out_of_sequence_or_of_changing_sources_prove_nothing():
    latch = Latch(PUBLIC, 4000)
    for number in range(30):
        assert not latch.judge((PUBLIC, 5000), Packet(0, False, number * 7, 0, 1, b""))
        assert not latch.judge((PUBLIC, 5000), Packet(0, False, number, 0, number, b""))
    assert latch.peer == (PUBLIC, 4000)


def test_a_sequence_may_wrap_on_the_way_in():
    latch = Latch(PUBLIC, 4000)
    packets = [Packet(0, False, sequence, 0, 1, b"") for sequence in (65534, 65535, 0, 1)]
    assert [latch.judge((PUBLIC, 5000), packet) for packet in packets][-1]
