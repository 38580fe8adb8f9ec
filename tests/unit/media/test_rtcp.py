"""RTCP as bytes."""

import random
import struct

import pytest

from app.media.rtcp import Block, Heard, SenderInfo, compound, parse

SENDER = SenderInfo(wall=1_700_000_000.5, timestamp=4711, packets=50, octets=8000)
BLOCK = Block(ssrc=9, fraction_lost=128, lost=-3, highest=70_000, jitter=12, last_report=0xABCD1234, delay=65536)


def chunks(data: bytes) -> list[int]:
    kinds, position = [], 0
    while position < len(data):
        kinds.append(data[position + 1])
        position += 4 * (struct.unpack_from("!H", data, position + 2)[0] + 1)
    assert position == len(data)
    return kinds


def test_who_sent_reports_as_a_sender():
    data = compound(1, "name", sender=SENDER, block=BLOCK)
    assert chunks(data) == [200, 202]
    assert struct.unpack_from("!IIIIII", data, 4) == (1, 1_700_000_000 + 2_208_988_800, 0x80000000, 4711, 50, 8000)


def test_who_sent_nothing_reports_as_a_receiver():
    assert chunks(compound(1, "name", sender=None, block=BLOCK)) == [201, 202]
    assert chunks(compound(1, "name", sender=None, block=None)) == [201, 202]


def test_a_block_holds_a_negative_loss_in_24_bits():
    data = compound(1, "name", sender=None, block=BLOCK)
    assert data[0] & 0x1F == 1
    assert data[8:16] == struct.pack("!I", 9) + b"\x80\xff\xff\xfd"
    assert struct.unpack_from("!IIII", data, 16) == (70_000, 12, 0xABCD1234, 65536)


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 255])
def test_the_cname_ends_with_a_null_on_a_word(name: str):
    data = compound(1, name, sender=None, block=None)
    assert chunks(data) == [201, 202]
    assert data[12:16] == struct.pack("!I", 1)
    assert data[16:].rstrip(b"\0") == (bytes((1, len(name))) + name.encode()).rstrip(b"\0")
    assert data.endswith(b"\0")


def test_the_last_report_says_bye():
    assert chunks(compound(1, "name", sender=SENDER, block=None, bye=True)) == [200, 202, 203]


def test_what_we_write_we_read():
    ours = compound(1, "name", sender=SENDER, block=BLOCK, bye=True)
    assert parse(ours) == Heard(sender_report=((1_700_000_000 + 2_208_988_800) & 0xFFFF) << 16 | 0x8000, bye=True)
    assert parse(compound(1, "name", sender=None, block=None)) == Heard(sender_report=None, bye=False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9\x00",
        b"\x80\xc9\x00\x01\x00\x00",
        b"\x80\xc9\x00\x09\x00\x00\x00\x01",
        b"\x00\xc9\x00\x01\x00\x00\x00\x01",
        b"\x80\x00\x00\x01\x00\x00\x00\x01",
        b"\x80\xc8\x00\x01\x00\x00\x00\x01",
    ],
)
def test_what_is_no_rtcp_is_none(data: bytes):
    assert parse(data) is None


def test_no_bytes_whatever_raise():
    chance = random.Random(1)
    for _ in range(5000):
        parse(b"\x80" + bytes((chance.randrange(199, 209),)) + b"\0" + chance.randbytes(chance.randrange(40)))
