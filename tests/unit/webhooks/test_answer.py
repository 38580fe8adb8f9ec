"""The reader of answers, fed byte by byte and with junk: it always ends with an answer or a failure, never raises."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.webhooks.answer import AnswerReader
from app.webhooks.limits import Limits

WHOLE = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


@given(st.lists(st.integers(0, 1000), max_size=10))
def test_an_answer_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    reader = AnswerReader(Limits())
    for piece in pieces(WHOLE, cuts):
        assert not reader.done
        reader.feed(piece)
    assert reader.answer is not None
    assert (reader.answer.status, reader.answer.body, reader.answer.reusable) == (200, b"abcde", True)
    assert reader.answer.headers == [(b"Transfer-Encoding", b"chunked"), (b"X-A", b"b")]


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_junk_ends_in_a_failure_and_nothing_else(chunks: list[bytes], reset: bool) -> None:
    reader = AnswerReader(Limits())
    for chunk in chunks:
        if not reader.done:
            reader.feed(chunk)
    if not reader.done:
        reader.end(reset=reset)
    assert reader.failure is not None
    assert reader.answer is None


@given(st.binary(max_size=100), st.lists(st.integers(0, 1000), max_size=4))
def test_junk_after_an_answer_leaves_it_as_it_is(junk: bytes, cuts: list[int]) -> None:
    reader = AnswerReader(Limits())
    for piece in pieces(WHOLE + junk, cuts):
        if not reader.done:
            reader.feed(piece)
    assert reader.answer is not None
    assert reader.answer.body == b"abcde"
