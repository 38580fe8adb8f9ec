"""Requests and responses as bytes: copied where the RFC says so, refused where a line could be smuggled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sip.build import UnsafeText, ack_for, cancel_for, request, response
from app.sip.message import SipMessage

INVITE = (
    ("CSeq", "7 INVITE"),
    ("Contact", "<sip:us@192.0.2.5:5060>"),
    ("X-CallSid", "CA1"),
    ("Via", "SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKour;rport"),
    ("From", '"Bob" <sip:bob@192.0.2.5>;tag=us'),
    ("To", "<sip:alice@192.0.2.1>"),
    ("Call-ID", "c1@192.0.2.5"),
    ("Max-Forwards", "70"),
    ("Content-Type", "application/sdp"),
    ("Route", "<sip:p1;lr>"),
    ("Route", "<sip:p2;lr>"),
)


def incoming(*rows: str, method: str = "INVITE") -> SipMessage:
    head = [f"{method} sip:us@192.0.2.5 SIP/2.0", *rows, "", ""]
    return SipMessage.decode("\r\n".join(head).encode())


DIALOG = (
    "Via: SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK1",
    "v: SIP/2.0/TCP p1;branch=z9hG4bK2, SIP/2.0/TCP p2;branch=z9hG4bK3",
    "Record-Route: <sip:p1;lr>, <sip:p2;lr>",
    "From: Alice <sip:alice@h>;tag=them",
    "To: <sip:us@192.0.2.5>",
    "Call-ID: x@h",
    "CSeq: 9 INVITE",
    "Timestamp: 54",
)


def test_a_request_is_written_in_tidy_order_with_its_length() -> None:
    assert request("INVITE", "sip:alice@192.0.2.1;transport=udp", INVITE, b"v=0\r\n") == (
        b"INVITE sip:alice@192.0.2.1;transport=udp SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKour;rport\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:p1;lr>\r\n"
        b"Route: <sip:p2;lr>\r\n"
        b'From: "Bob" <sip:bob@192.0.2.5>;tag=us\r\n'
        b"To: <sip:alice@192.0.2.1>\r\n"
        b"Call-ID: c1@192.0.2.5\r\n"
        b"CSeq: 7 INVITE\r\n"
        b"Contact: <sip:us@192.0.2.5:5060>\r\n"
        b"X-CallSid: CA1\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: 5\r\n"
        b"\r\n"
        b"v=0\r\n"
    )


def test_a_response_copies_what_it_must_and_adds_the_tag() -> None:
    assert response(
        incoming(*DIALOG), 200, to_tag="us", headers=[("Contact", "<sip:us@h>")], body=b"x", content_type="text/plain"
    ) == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK1\r\n"
        b"Via: SIP/2.0/TCP p1;branch=z9hG4bK2\r\n"
        b"Via: SIP/2.0/TCP p2;branch=z9hG4bK3\r\n"
        b"Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\n"
        b"From: Alice <sip:alice@h>;tag=them\r\n"
        b"To: <sip:us@192.0.2.5>;tag=us\r\n"
        b"Call-ID: x@h\r\n"
        b"CSeq: 9 INVITE\r\n"
        b"Contact: <sip:us@h>\r\n"
        b"Content-Type: text/plain\r\n"
        b"Content-Length: 1\r\n"
        b"\r\n"
        b"x"
    )


def test_a_100_has_no_tag_and_no_record_route_but_the_timestamp() -> None:
    trying = response(incoming(*DIALOG), 100, to_tag="us")
    assert b"tag=us" not in trying and b"Record-Route" not in trying and b"\r\nTimestamp: 54\r\n" in trying


def test_a_failure_has_no_record_route() -> None:
    assert b"Record-Route" not in response(incoming(*DIALOG), 486, to_tag="us")


def test_the_source_goes_into_the_topmost_via() -> None:
    written = SipMessage.decode(response(incoming(*DIALOG), 200, to_tag="us", source=("203.0.113.9", 1234)))
    assert written.all("via")[0] == ("SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1;received=203.0.113.9;rport=1234")
    assert len(written.all("via")) == 3


def test_a_tag_that_is_there_is_kept() -> None:
    rows = [row.replace("<sip:us@192.0.2.5>", "<sip:us@192.0.2.5>;tag=old") for row in DIALOG]
    assert SipMessage.decode(response(incoming(*rows), 200, to_tag="new")).to_tag == "old"


@pytest.mark.parametrize(
    ("code", "line"), [(481, b"SIP/2.0 481 Call/Transaction Does Not Exist\r\n"), (477, b"SIP/2.0 477 \r\n")]
)
def test_the_reason_is_the_usual_one_or_empty(code: int, line: bytes) -> None:
    assert response(incoming(*DIALOG), code).startswith(line)
    assert response(incoming(*DIALOG), code, "Because ü").startswith(f"SIP/2.0 {code} Because ü\r\n".encode())


def test_bytes_that_are_not_utf_8_go_back_as_they_came() -> None:
    raw = (
        b"OPTIONS sip:us@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=b\r\nFrom: J\xfcrgen <sip:a@h>\r\n ;tag=1\r\n"
        b'To: "BEL:\\\x07 NUL:\\\x00" <sip:b@h>\r\nCall-ID: x\xe4\r\nCSeq: 1 OPTIONS\r\n\r\n'
    )
    written = response(SipMessage.decode(raw), 200, "Grün", to_tag="t")
    assert b"From: J\xfcrgen <sip:a@h> ;tag=1\r\n" in written
    assert b'To: "BEL:\\\x07 NUL:\\\x00" <sip:b@h>;tag=t\r\n' in written
    assert b"Call-ID: x\xe4\r\n" in written
    assert "200 Grün\r\n".encode() in written


def test_the_ack_of_a_failure_keeps_branch_and_routes_and_takes_the_to() -> None:
    invite = SipMessage.decode(request("INVITE", "sip:alice@192.0.2.1", INVITE, b"v=0"))
    busy = SipMessage.decode(response(invite, 486, to_tag="them"))
    assert ack_for(invite, busy) == (
        b"ACK sip:alice@192.0.2.1 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKour;rport\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:p1;lr>\r\n"
        b"Route: <sip:p2;lr>\r\n"
        b'From: "Bob" <sip:bob@192.0.2.5>;tag=us\r\n'
        b"To: <sip:alice@192.0.2.1>;tag=them\r\n"
        b"Call-ID: c1@192.0.2.5\r\n"
        b"CSeq: 7 ACK\r\n"
        b"Content-Length: 0\r\n"
        b"\r\n"
    )


def test_a_cancel_is_its_invite_without_a_tag() -> None:
    invite = SipMessage.decode(request("INVITE", "sip:alice@192.0.2.1", INVITE, b"v=0"))
    cancel = SipMessage.decode(cancel_for(invite))
    assert (cancel.method, cancel.branch, cancel.cseq, cancel.to_tag) == ("CANCEL", "z9hG4bKour", (7, "CANCEL"), None)
    assert cancel.all("route") == ["<sip:p1;lr>", "<sip:p2;lr>"]


@pytest.mark.parametrize(
    "evil", ["\r\nX: y", "\r", "\n", "\x00", "\x7f", "\t", "\x0b", "\x85", "\u2028", "\u2029", "\ud800"]
)
def test_a_control_character_goes_nowhere(evil: str) -> None:
    for call in (
        lambda: request("INVITE", "sip:a@h", [("X-A", f"b{evil}c")]),
        lambda: request("INVITE", "sip:a@h", [(f"X-A{evil}", "b")]),
        lambda: request(f"INVITE{evil}", "sip:a@h", []),
        lambda: request("INVITE", f"sip:a{evil}@h", []),
        lambda: response(incoming(*DIALOG), 200, f"O{evil}K"),
        lambda: response(incoming(*DIALOG), 200, to_tag=f"t{evil}"),
        lambda: response(incoming(*DIALOG), 200, headers=[("X", evil)]),
        lambda: response(incoming(*DIALOG), 200, content_type=f"a/b{evil}"),
    ):
        with pytest.raises(UnsafeText):
            call()


@pytest.mark.parametrize("name", ["", "X A", "X:", "Content-Length", "l", "Ünicode"])
def test_a_header_name_must_be_a_token_and_not_the_length(name: str) -> None:
    with pytest.raises(UnsafeText):
        request("INVITE", "sip:a@h", [(name, "x")])


@pytest.mark.parametrize("uri", ["", "sip:a b@h", "<sip:a@h>", 'sip:"a"@h'])
def test_a_request_uri_without_space_or_brackets_only(uri: str) -> None:
    with pytest.raises(UnsafeText):
        request("INVITE", uri, [])


value = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40).map(str.strip)
value = value.filter(lambda text: not text[:1].isspace() and not text[-1:].isspace())
token = st.text(st.sampled_from("ABCxyz019-.!%*_+`'~"), min_size=1, max_size=12).map(lambda text: f"X-{text}")


@given(st.lists(st.tuples(token, value), max_size=8), st.binary(max_size=60))
def test_what_is_built_comes_back_as_it_was(headers: list[tuple[str, str]], body: bytes) -> None:
    message = SipMessage.decode(request("INFO", "sip:a@h", headers, body))
    assert list(message.raw_headers) == [*headers, ("Content-Length", str(len(body)))]
    assert message.content == body
    assert (message.method, message.request_uri) == ("INFO", "sip:a@h")
