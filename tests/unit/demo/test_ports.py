"""Ports that a product can really bind."""

import socket

from app.demo.ports import choose


def test_the_chosen_ports_are_free_for_what_they_are_for() -> None:
    ports = choose()
    low, high = (int(part) for part in ports.rtp.split("-"))
    wanted = [(socket.SOCK_STREAM, ports.http), (socket.SOCK_STREAM, ports.sip), (socket.SOCK_DGRAM, ports.sip)]
    wanted += [(socket.SOCK_DGRAM, port) for port in range(low, high + 1)]
    for kind, port in wanted:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", port))


def test_the_rtp_row_begins_even_and_holds_a_few_calls() -> None:
    low, high = (int(part) for part in choose().rtp.split("-"))
    assert low % 2 == 0
    assert high - low == 7
