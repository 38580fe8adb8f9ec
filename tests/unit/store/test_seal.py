"""Sealing: only the same key opens it, and any string is a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.store.seal import Sealer, WrongKey, new_key


@given(st.text(min_size=1).filter(lambda key: key.isprintable()), st.binary())
def test_what_is_sealed_is_opened_by_the_same_key(key: str, plain: bytes) -> None:
    sealed = Sealer(key).seal(plain)
    assert Sealer(key).unseal(sealed) == plain


def test_the_sealed_text_does_not_show_the_plain_one_and_is_new_each_time() -> None:
    sealer = Sealer("key")
    one, other = sealer.seal(b"hunter2"), sealer.seal(b"hunter2")
    assert b"hunter2" not in one
    assert one != other


@pytest.mark.parametrize("spoil", [lambda sealed: sealed[:-1], lambda sealed: b"", lambda sealed: b"A" + sealed[1:]])
def test_another_key_or_an_altered_text_opens_nothing(spoil: object) -> None:
    sealed = Sealer("key").seal(b"hunter2")
    with pytest.raises(WrongKey):
        Sealer("another").unseal(sealed)
    with pytest.raises(WrongKey):
        Sealer("key").unseal(spoil(sealed))  # type: ignore[operator]  # one of the functions above


def test_an_empty_key_is_refused_and_new_keys_differ() -> None:
    with pytest.raises(ValueError, match="DIAL_SECRET_KEY"):
        Sealer("")
    assert len({new_key() for _ in range(100)}) == 100
