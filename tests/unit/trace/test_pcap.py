"""The capture is one that Wireshark reads: lengths and checksums right, TCP in sequence."""

import struct
from typing import Any

import pytest

from app.trace.pcap import as_pcap
from tests.kit import tshark
from tests.unit.trace.make import BYE, INVITE, OK, copy, leg, talk

V6: dict[str, Any] = {"local": ("2001:db8::1", 5060), "remote": ("2001:db8::2", 5070)}
_CHECKS = ("ip.checksum.status", "udp.checksum.status", "tcp.checksum.status")
_GOOD = "1"


def test_an_empty_trace_is_an_empty_capture() -> None:
    assert len(as_pcap([])) == 24


@pytest.mark.parametrize("more", [{}, V6, {"transport": "tcp"}, {"transport": "tcp", **V6}], ids=["4", "6", "t4", "t6"])
def test_tshark_reads_every_message_as_sip_with_good_checksums(more: dict[str, Any]) -> None:
    copies = talk(leg().sid, **more)
    seen = tshark.fields(as_pcap(copies), "sip.Method", "sip.Status-Code", "sip.CSeq", *_CHECKS, "_ws.malformed")
    assert len(seen) == len(copies)
    assert [(row[0] or row[1]) for row in seen[:4]] == ["INVITE", "200", "200", "ACK"]
    assert [row[2] for row in seen[-2:]] == ["2 BYE", "2 BYE"]
    for row in seen:
        assert {check for check in row[3:6] if check} == {_GOOD} and row[6] == ""


def test_addresses_ports_and_times_are_those_of_the_wire() -> None:
    one = leg()
    capture = as_pcap([copy(one.sid, 0, "sent", INVITE), copy(one.sid, 1500.25, "received", OK)])
    seen = tshark.fields(capture, "frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport")
    assert seen[0][1:] == ["192.0.2.1", "5060", "198.51.100.7", "5080"]
    assert seen[1][1:] == ["198.51.100.7", "5080", "192.0.2.1", "5060"]
    assert float(seen[1][0]) - float(seen[0][0]) == pytest.approx(1.50025, abs=1e-5)


def test_tcp_goes_on_where_it_was_and_acknowledges_what_came() -> None:
    one = leg()
    seen = tshark.fields(
        as_pcap(talk(one.sid, transport="tcp")), "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "ip.src", "tcp.analysis.flags"
    )
    following: dict[str, int] = {}
    for sequence, acknowledged, length, source, flags in seen:
        assert int(sequence) == following.get(source, 1) and flags == ""
        assert int(acknowledged) == next((end for host, end in following.items() if host != source), 1)
        following[source] = int(sequence) + int(length)


def test_what_went_over_tls_is_readable() -> None:
    more = {"transport": "tls", "local": ("192.0.2.1", 40_000), "remote": ("198.51.100.7", 5081)}
    seen = tshark.fields(as_pcap(talk(leg().sid, **more)), "sip.Method", sip_port=5081)
    assert seen[0] == ["INVITE"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_message_longer_than_a_packet_is_several(transport: str) -> None:
    long = INVITE[:-4] + b"\r\nX: " + b"x" * 65_000 + b"\r\n\r\n"
    assert len(tshark.fields(as_pcap([copy(leg().sid, 0, "sent", long, transport=transport)]), "frame.len")) == 2


def test_an_address_or_port_that_is_not_known_is_no_obstacle() -> None:
    one = leg()
    copies = [
        copy(one.sid, 0, "sent", BYE, local=("", 0)),
        copy(one.sid, 1, "sent", BYE, local=("0.0.0.0", 5060), remote=("2001:db8::2", 5060)),
        copy(one.sid, 2, "sent", BYE, local=("::", 5060)),
    ]
    seen = tshark.fields(as_pcap(copies), "sip.Method", "udp.srcport")
    assert seen == [["BYE", "5060"]] * 3


def test_odd_lengths_and_odd_sums_have_right_checksums() -> None:
    one = leg()
    copies = [copy(one.sid, at, "sent", bytes([at % 256]) * at) for at in range(1, 300)]
    for status in tshark.fields(as_pcap(copies), "ip.checksum.status", "udp.checksum.status"):
        assert status == [_GOOD, _GOOD]


def test_the_header_names_microseconds_and_raw_ip() -> None:
    assert struct.unpack("<IHHiIII", as_pcap([])[:24]) == (0xA1B2C3D4, 2, 4, 0, 0, 262_144, 101)
