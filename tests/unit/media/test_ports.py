"""Ports are bound for real, and come back whatever happened."""

import os
import socket

import pytest

from app.calls.errors import NoFreePort
from app.media.ports import PortPool, disconnect, slice_of


def test_an_even_port_and_its_neighbour_are_bound_at_once(ports: range):
    pool = PortPool("127.0.0.1", ports)
    pair = pool.bind()
    assert pair.port % 2 == 0
    assert pair.rtp.getsockname() == ("127.0.0.1", pair.port)
    assert pair.rtcp.getsockname() == ("127.0.0.1", pair.port + 1)
    pool.give_back(pair)


def test_twenty_ports_are_ten_calls_and_the_eleventh_is_refused(ports: range):
    pool = PortPool("127.0.0.1", ports)
    pairs = [pool.bind() for _ in range(10)]
    with pytest.raises(NoFreePort):
        pool.bind()
    pool.give_back(pairs[3])
    assert pool.bind().port == pairs[3].port
    for pair in pairs:
        pool.give_back(pair)


def test_a_port_given_back_twice_is_free_once(ports: range):
    pool = PortPool("127.0.0.1", ports)
    pair = pool.bind()
    pool.give_back(pair)
    pool.give_back(pair)
    assert pool.idle == 10


def test_a_port_is_not_used_again_while_another_rests_longer(ports: range):
    pool = PortPool("127.0.0.1", ports)
    order = []
    for _ in range(20):
        pair = pool.bind()
        order.append(pair.port)
        pool.give_back(pair)
    assert len(set(order[:10])) == 10
    assert order[10:] == order[:10]


def test_a_port_that_another_process_has_is_passed_over(ports: range):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        rtp.bind(("127.0.0.1", ports[0]))
        rtcp.bind(("127.0.0.1", ports[3]))
        pool = PortPool("127.0.0.1", ports)
        pairs = [pool.bind() for _ in range(8)]
        assert not {ports[0], ports[2]} & {pair.port for pair in pairs}
        with pytest.raises(NoFreePort):
            pool.bind()
        assert pool.idle == 2
    pairs.append(pool.bind())
    for pair in pairs:
        pool.give_back(pair)


def test_an_address_that_is_not_ours_is_an_error_of_set_up(ports: range):
    pool = PortPool("192.0.2.1", ports)
    with pytest.raises(OSError, match="assign requested address"):
        pool.bind()
    assert pool.idle == 10


def test_nothing_stays_open_after_refusals(ports: range):
    before = len(os.listdir("/proc/self/fd"))
    test_a_port_that_another_process_has_is_passed_over(ports)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_odd_range_holds_whole_pairs_only():
    assert PortPool("127.0.0.1", range(10_001, 10_006)).idle == 2
    assert PortPool("127.0.0.1", range(10_001, 10_002)).idle == 0


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_workers_share_the_range_and_no_port(count: int):
    shares = [slice_of(range(10_000, 20_000), index, count) for index in range(count)]
    taken = [port for share in shares for port in share]
    assert len(taken) == len(set(taken))
    assert set(taken) <= set(range(10_000, 20_000))
    sizes = [PortPool("127.0.0.1", share).idle for share in shares]
    assert sizes == [5000 // count] * count


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_disconnected_socket_hears_everybody_again(ports: range, host: str):
    """The kernel forgets a port that it chose itself (bind to 0); ours are named."""
    pool = PortPool(host, ports)
    pair, family = pool.bind(), socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = pair.rtp.getsockname()
    with socket.socket(family, socket.SOCK_DGRAM) as known, socket.socket(family, socket.SOCK_DGRAM) as other:
        known.bind((host, 0))
        pair.rtp.connect(known.getsockname())
        pair.rtp.settimeout(5)
        other.sendto(b"while connected", bound)
        disconnect(pair.rtp)
        other.sendto(b"afterwards", bound)
        assert pair.rtp.recv(100) == b"afterwards"
        assert pair.rtp.getsockname() == bound
    pool.give_back(pair)
