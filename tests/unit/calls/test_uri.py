"""Name-addr values a customer may write, and that none takes long to read."""

import contextlib
import time

import pytest

from app.calls.uri import NameAddr, SipUri, UriError


@pytest.mark.parametrize(
    ("text", "display", "uri"),
    [
        ("sip:bob@h", None, "sip:bob@h"),
        ("<sip:bob@h>", None, "sip:bob@h"),
        ("Bob <sip:bob@h>", "Bob", "sip:bob@h"),
        ('  "Bob" <sip:bob@h;transport=tcp>;tag=1 ', "Bob", "sip:bob@h;transport=tcp"),
        ('"Bob, the \\"B\\" <x>" <sip:bob@h>', 'Bob, the "B" <x>', "sip:bob@h"),
        ("Bob the Builder<sip:bob@h>", "Bob the Builder", "sip:bob@h"),
        ("sip:a?b@h", None, "sip:a?b@h"),
    ],
)
def test_a_name_addr_is_read_with_and_without_quotes_and_brackets(text: str, display: str | None, uri: str) -> None:
    assert NameAddr.parse(text) == NameAddr(SipUri.parse(uri), display)


@pytest.mark.parametrize("text", ["", "<", "<>", '"Bob <sip:bob@h>', '"Bob" x <sip:bob@h>', "<sip:b@h", "<<sip:b@h>"])
def test_what_is_no_name_addr_is_refused(text: str) -> None:
    with pytest.raises(UriError):
        NameAddr.parse(text)


@pytest.mark.parametrize("unit", [" ", "a ", '"', '\\"', "<", ">", ";", "%", "@", "a.", "&", "?", ":", "["])
@pytest.mark.parametrize("start", ["", "a", '"', "sip:", "sip:a@h;x=", "sip:a@h?b=", "<sip:a@h>"])
def test_64_kb_of_anything_is_read_in_linear_time(start: str, unit: str) -> None:
    text = start + unit * (65536 // len(unit)) + "x"
    begun = time.process_time()
    with contextlib.suppress(UriError):
        NameAddr.parse(text)
    assert time.process_time() - begun < 0.25
