"""Homer gets each message that the tap has dealt with, in HEP3, and whether it is there makes no difference."""

import socket
import struct
from datetime import UTC, datetime

import pytest

from app.calls.sid import new_call_sid
from app.calls.wire import Address, WireCopy
from app.trace.hep import as_hep
from app.worker.homer import Homer

AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
DATA = b"OPTIONS sip:a@h SIP/2.0\r\nCall-ID: x\r\n\r\n"


def copy(local: Address = ("192.0.2.1", 5060), remote: Address = ("192.0.2.2", 5070), data: bytes = DATA) -> WireCopy:
    return WireCopy(new_call_sid(), 0, AT, "received", "udp", local, remote, data)


def chunks(datagram: bytes) -> dict[int, bytes]:
    """An independent reading of the envelope."""
    magic, total = struct.unpack("!4sH", datagram[:6])
    assert (magic, total) == (b"HEP3", len(datagram))
    found, at = {}, 6
    while at < total:
        vendor, kind, length = struct.unpack("!HHH", datagram[at : at + 6])
        assert vendor == 0
        found[kind] = datagram[at + 6 : at + length]
        at += length
    assert at == total
    return found


def test_a_receiver_gets_the_message_with_its_addresses_time_and_leg() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        homer, sent = Homer(f"127.0.0.1:{receiver.getsockname()[1]}", as_hep), copy()
        homer(sent)
        found = chunks(receiver.recv(65_535))
        homer.close()
    assert (found[1], found[2], found[11]) == (b"\x02", b"\x11", b"\x01")
    assert (found[3], found[4]) == (bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]))
    assert (found[7], found[8]) == (struct.pack("!H", 5070), struct.pack("!H", 5060))
    assert struct.unpack("!II", found[9] + found[10]) == (int(AT.timestamp()), 250_000)
    assert (found[15], found[17]) == (DATA, sent.call_sid.encode())


def test_ipv6_has_chunks_of_its_own() -> None:
    found = chunks(as_hep(copy(("2001:db8::1", 5060), ("2001:db8::2", 5060))))
    assert found[1] == b"\x0a" and len(found[5]) == len(found[6]) == 16 and 3 not in found


def test_the_longest_message_fits_into_one_datagram() -> None:
    assert len(as_hep(copy(data=b"x" * 65_536))) <= 65_507


def test_what_cannot_be_written_or_sent_is_only_counted() -> None:
    homer = Homer("127.0.0.1:9", as_hep)
    for _ in range(3):  # the second one meets the ICMP error of the first
        homer(copy())
    homer(copy(("", 0)))
    homer.close()
    homer(copy())


def test_a_name_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(OSError, match=r"Name|Temporary|nodename|known"):
        Homer("no.such.host.invalid:9060", as_hep)
