"""Messages out of a stream, however the segments fall."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sip.framer import MAX_MESSAGE, Framer
from app.sip.message import MalformedMessage

ONE = b"OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 0\r\n\r\n"
TWO = b"SIP/2.0 200 OK\r\nl : 10\r\nVia: SIP/2.0/TCP h\r\n\r\nv=0\r\n\r\nabc"
THREE = b"INFO sip:a@h SIP/2.0\r\nContent-Length:\r\n  3\r\nX: y\r\n\r\nabc"


def fed(framer: Framer, data: bytes) -> list[bytes]:
    return list(framer.feed(data))


@given(st.lists(st.sampled_from([ONE, TWO, THREE]), max_size=5), st.lists(st.integers(0, 400), max_size=12))
def test_messages_come_out_whole_wherever_the_segments_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(messages)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    framer = Framer()
    found = [message for a, b in itertools.pairwise(edges) for message in framer.feed(stream[a:b])]
    assert found == messages


def test_one_octet_at_a_time_is_enough() -> None:
    framer = Framer()
    found = [message for octet in ONE + b"\r\n" + TWO for message in framer.feed(bytes([octet]))]
    assert found == [ONE, TWO]


def test_a_double_crlf_is_a_ping_and_a_single_one_is_nothing() -> None:
    framer = Framer()
    assert (fed(framer, b"\r\n\r\n"), framer.pings) == ([], 1)
    assert (fed(framer, b"\r\n" + ONE), framer.pings) == ([ONE], 0)
    assert (fed(framer, ONE + b"\r\n\r\n\r\n\r\n" + TWO), framer.pings) == ([ONE, TWO], 2)
    assert (fed(framer, b"\r\n"), framer.pings) == ([], 0)
    assert (fed(framer, b"\r\n"), framer.pings) == ([], 1)


@pytest.mark.parametrize(
    "data",
    [
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: x\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 1\r\nl: 2\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 65536\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"SIP/2.0 200 OK\r\nX: " + b"y" * MAX_MESSAGE,
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"\x16\x03\x01\x02\x00\x01" + b"\x00" * MAX_MESSAGE,
    ],
)
def test_a_stream_that_cannot_be_framed_is_given_up(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        fed(Framer(), data)


def test_what_came_before_the_garbage_comes_out() -> None:
    found = Framer().feed(ONE + b"\n\r\nand so on")
    assert next(found) == ONE
    with pytest.raises(MalformedMessage):
        next(found)


def test_a_repeated_but_equal_length_is_let_pass() -> None:
    data = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\nl: 0\r\n\r\n"
    assert fed(Framer(), data) == [data]


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_no_bytes_make_feeding_raise_anything_else(chunks: list[bytes]) -> None:
    framer = Framer()
    try:
        for chunk in chunks:
            fed(framer, chunk)
    except MalformedMessage:
        return
