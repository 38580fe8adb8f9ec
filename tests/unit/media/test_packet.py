"""RTP as bytes, with everything a legal or a hostile sender may put into it."""

import random

import pytest

from app.media.packet import Buffer, Packet, pack, unpack

PLAIN = Packet(0, True, 7, 1600, 0xDEADBEEF, b"audio")
HEADER = pack(PLAIN)[:12]


def with_first_byte(first: int, rest: bytes) -> bytes:
    return bytes((first,)) + HEADER[1:] + rest


def test_what_is_packed_is_unpacked():
    assert unpack(pack(PLAIN)) == PLAIN


def test_contributing_sources_are_skipped():
    assert unpack(with_first_byte(0x82, b"AAAABBBBaudio")) == PLAIN


def test_a_header_extension_is_skipped():
    assert unpack(with_first_byte(0x90, b"\xbe\xde\x00\x01XXXXaudio")) == PLAIN


def test_padding_is_taken_off():
    assert unpack(with_first_byte(0xA0, b"audio\0\0\x03")) == PLAIN


def test_all_three_at_once():
    assert unpack(with_first_byte(0xB1, b"AAAA\xbe\xde\x00\x01XXXXaudio\0\x02")) == PLAIN


def test_an_empty_payload_is_legal():
    assert unpack(HEADER) == PLAIN._replace(payload=b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:11],
        with_first_byte(0x00, b"audio"),
        with_first_byte(0x40, b"audio"),
        with_first_byte(0xC0, b"audio"),
        with_first_byte(0x8F, b"too short for 15 sources"),
        with_first_byte(0x90, b"\xbe\xde\x00"),
        with_first_byte(0x90, b"\xbe\xde\xff\xffX"),
        with_first_byte(0xA0, b"audio\0"),
        with_first_byte(0xA0, b"audio\xff"),
    ],
)
def test_what_is_no_rtp_is_none(data: bytes):
    assert unpack(data) is None


def test_no_bytes_whatever_raise():
    chance = random.Random(1)
    for _ in range(5000):
        unpack(chance.randbytes(chance.randrange(60)))


def test_a_buffer_lends_the_same_view_again():
    buffer = Buffer(2048)
    buffer[:172] = HEADER + b"\x20" * 160
    assert buffer.packet(172) == bytes(buffer[:172])
    assert buffer.payload(160) == b"\x20" * 160
    assert buffer.payload(160) is buffer.payload(160)
