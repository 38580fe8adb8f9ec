"""Received messages: read lazily and tolerantly, without one access that raises."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sip import digest
from app.sip.headers import contact_uri
from app.sip.message import MalformedMessage, SipMessage
from app.sip.pyvoip import SIPStatus
from app.sip.sdp import UnusableSdp
from app.sip.session_timer import settled, too_small

ANSWER = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bKour;rport=5060\r\n"
    b"From: <sip:bob@192.0.2.5>;tag=us\r\n"
    b"To: <sip:alice@192.0.2.1>;tag=them\r\n"
    b"Call-ID: c1@192.0.2.5\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Contact: <sip:alice@192.0.2.1:5080>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)


def answer(*rows: str, start: str = "SIP/2.0 200 OK", body: bytes = b"") -> SipMessage:
    return SipMessage.decode("\r\n".join([start, *rows, "", ""]).encode() + body)


def asked_everything(message: SipMessage) -> None:
    for name in ("branch", "cseq", "call_id", "from_tag", "to_tag", "via_top", "content", "content_type", "raw_headers",
                 "status", "headers", "body", "authentication", "method_name", "is_request", "request_uri",
                 "reason_phrase", "version", "status_code"):  # fmt: skip
        getattr(message, name)
    for name in ("via", "To", "m", "contact", "x-none", "require", "WWW-Authenticate"):
        message.first(name), message.all(name), message.rows(name), message.echoed(name)
    message.validate()
    message.summary()
    with contextlib.suppress(UnusableSdp):
        message.sdp()


def test_an_answer_is_read() -> None:
    message = SipMessage.decode(ANSWER)
    assert (message.is_request, message.status_code, message.reason_phrase) == (False, 200, "OK")
    assert (message.branch, message.cseq, message.call_id) == ("z9hG4bKour", (7, "INVITE"), "c1@192.0.2.5")
    assert (message.from_tag, message.to_tag, message.method_name) == ("us", "them", "INVITE")
    assert (message.content, message.content_type) == (b"v=0\r\n", "application/sdp")
    assert message.validate() is None


def test_a_request_is_read() -> None:
    message = answer("CSeq: 2 BYE", start="BYE sip:us@h;x=y SIP/2.0")
    assert (message.is_request, message.method_name, message.request_uri) == (True, "BYE", "sip:us@h;x=y")
    assert (message.status_code, message.reason_phrase, message.version) == (0, "", "SIP/2.0")


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("SIP/2.0 200 ", 200, ""),
        ("SIP/2.0 200", 200, ""),
        ('sip/2.0 606 Nö, "really" ✓', 606, 'Nö, "really" ✓'),
        ("SIP/2.0 100 " + "x" * 300, 100, "x" * 300),
    ],
)
def test_a_reason_phrase_may_be_empty_long_or_in_any_script(line: str, code: int, reason: str) -> None:
    message = answer(start=line)
    assert (message.status_code, message.reason_phrase) == (code, reason)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\x00\x00\x00",
        b"SIP/2.0 200 OK\r\n",
        b"SIP/2.0 99 Low\r\n\r\n",
        b"SIP/2.0 700 High\r\n\r\n",
        b"SIP/2.0 4294967301 better not break the receiver\r\n\r\n",
        b"SIP/2.0 2000\r\n\r\n",
        b"SIP/x 200 OK\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        b"INVITE\r\n\r\n",
        b"INVITE SIP/2.0\r\n\r\n",
        b"INVITE sip:a@h\r\n\r\n",
        b"INVITE sip:a@h HTTP/1.1\r\n\r\n",
        b"IN VITE: x\r\n\r\n",
        b"SIP/2.0 200 OK\r\nX: a\rb\r\n\r\n",
        b"SIP/2.0 200 OK\r\nX: a\nb\r\n\r\n",
        b"SIP/2.0 200 OK\nX: y\n\n",
    ],
)
def test_what_is_no_sip_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        SipMessage.decode(data)


def test_names_may_be_compact_and_in_any_case_and_spacing() -> None:
    message = answer("v:SIP/2.0/UDP h;branch=b", "f :<sip:a@h>;tag=1", "tO\t:  <sip:b@h>;tag=2", "I: c",
                     "cseq:1 INVITE", "k: timer", "SUPPORTED: 100rel, replaces", "l:0", "x-Answer:  yes ")  # fmt: skip
    assert (message.branch, message.from_tag, message.to_tag, message.call_id) == ("b", "1", "2", "c")
    assert message.all("Supported") == ["timer", "100rel", "replaces"]
    assert message.first("X-Answer") == "yes"
    assert message.raw_headers[1] == ("f", "<sip:a@h>;tag=1")
    assert message.validate() is None


def test_folded_lines_are_unfolded() -> None:
    message = answer("Subject: a\r\n b\r\n\t  c", "Via: SIP/2.0/UDP h\r\n ;branch=\r\n  z9hG4bKx")
    assert message.first("s") == "a b c"
    assert message.branch == "z9hG4bKx"


def test_lists_are_split_but_addresses_and_dates_are_not() -> None:
    message = answer(
        'Contact: "a, b" <sip:x,y@h>;q=1, <sip:c@h>',
        "Record-Route: <sip:p1;lr>,<sip:p2;lr>",
        "Record-Route: <sip:p3;lr>",
        "From: a, b <sip:x@h>",
        "Date: Sat, 13 Nov 2010 23:29:00 GMT",
        'WWW-Authenticate: Digest realm="a", nonce="b"',
        "X-Own: a, b",
    )
    assert message.all("m") == ['"a, b" <sip:x,y@h>;q=1', "<sip:c@h>"]
    assert message.first("contact") == '"a, b" <sip:x,y@h>;q=1'
    assert message.all("record-route") == ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]
    for name in ("From", "Date", "WWW-Authenticate", "X-Own"):
        assert len(message.all(name)) == 1 and "," in (message.first(name) or "")
    assert (message.all("none"), message.first("none")) == ([], None)


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP h;branch=z9hG4bKx",
        "SIP/2.0/UDP h ; branch = z9hG4bKx ;rport",
        'SIP/2.0/UDP h;x=";branch=no";branch=z9hG4bKx',
        "SIP/2.0/UDP h;branch=z9hG4bKx, SIP/2.0/UDP p;branch=no",
        "SIP/2.0/UDP h;BRANCH=z9hG4bKx",
    ],
)
def test_the_branch_is_the_topmost_vias_own(via: str) -> None:
    assert answer(f"Via: {via}", "Via: SIP/2.0/UDP q;branch=no").branch == "z9hG4bKx"


def test_there_may_be_no_branch() -> None:
    assert answer("Via: SIP/2.0/UDP h, SIP/2.0/UDP p;branch=other").branch == ""
    assert answer("Via: nonsense").via_top is None
    assert answer().branch == ""


def test_a_tag_in_a_display_name_is_no_tag() -> None:
    message = answer('To: "x;tag=no, <sip:q@q>" <sip:a@h>;tag=uasT1', 'From: "tag=x" <sip:a@h;tag=y>')
    assert (message.to_tag, message.from_tag) == ("uasT1", None)


def test_the_body_ends_where_content_length_says() -> None:
    assert answer("Content-Length: 2", body=b"abcd").content == b"ab"
    assert answer(body=b"abcd").content == b"abcd"
    assert answer("l: 9", body=b"abcd").content == b"abcd"
    assert answer("Content-Length: x", body=b"ab\r\n\r\ncd").content == b"ab\r\n\r\ncd"


GOOD = ("Via: SIP/2.0/UDP h;branch=b", "From: <sip:a@h>;tag=1", "To: <sip:b@h>", "Call-ID: c", "CSeq: 1 BYE")


@pytest.mark.parametrize(
    ("rows", "start", "word"),
    [
        (GOOD[1:], None, "via is missing"),
        (GOOD[:1] + GOOD[2:], None, "from is missing"),
        (GOOD[:2] + GOOD[3:], None, "to is missing"),
        (GOOD[:3] + GOOD[4:], None, "call-id is missing"),
        (GOOD[:4], None, "cseq is missing"),
        ((*GOOD, "Call-ID: d"), None, "call-id is there more than once"),
        ((*GOOD, "l: 0", "Content-Length: 0"), None, "content-length is there more than once"),
        ((*GOOD, "Content-Length: 5"), None, "more than came"),
        ((*GOOD, "Content-Length: -999"), None, "not a number"),
        (GOOD, "INFO sip:a@h SIP/2.0", "method in CSeq"),
        ((*GOOD[:4], "CSeq: 36893488147419103232 BYE"), None, "below 2"),
        (GOOD, "BYE sip:a@h; lr SIP/2.0", "Request-URI"),
        (GOOD, "BYE <sip:a@h> SIP/2.0", "Request-URI"),
        (GOOD, "BYE sip:a@h SIP/7.0", "SIP/7.0"),
        (("Via: ;;,;,,", *GOOD[1:]), None, "via: "),
        ((*GOOD[:2], 'To: "Bob" <sip:b@h', *GOOD[3:]), None, "to: "),
    ],
)
def test_what_is_wrong_with_a_request_is_said(rows: tuple[str, ...], start: str | None, word: str) -> None:
    reason = answer(*rows, start=start or "BYE sip:a@h SIP/2.0").validate()
    assert reason is not None and word in reason


def test_rows_nobody_needs_may_be_as_odd_as_they_like() -> None:
    message = answer(
        *GOOD, "no colon here", ": no name", "Warning: ;;,,", 'Contact: "open', start="BYE sip:a@h SIP/2.0"
    )
    assert message.validate() is None


def test_latin_1_is_read_when_it_is_not_utf_8() -> None:
    assert SipMessage.decode(b"SIP/2.0 200 Gr\xfcn\r\n\r\n").reason_phrase == "Grün"


def test_escaped_control_characters_are_shown_as_replaced() -> None:
    message = SipMessage.decode(b'SIP/2.0 200 OK\r\nTo: "NUL:\\\x00" <sip:b@h>\r\n\r\n')
    assert message.first("to") == '"NUL:\\\ufffd" <sip:b@h>'


def test_keep_alive_before_a_message_is_swallowed() -> None:
    assert SipMessage.decode(b"\r\n\r\n" + ANSWER).branch == "z9hG4bKour"


def test_the_constructor_is_pyvoips_and_decodes_too() -> None:
    message = SipMessage(ANSWER)
    assert (message.status, message.raw, message.heading) == (SIPStatus.OK, ANSWER, b"SIP/2.0 200 OK")


@given(st.binary(max_size=300))
def test_no_bytes_make_decoding_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        asked_everything(SipMessage.decode(data))


@given(st.lists(st.tuples(st.integers(0, len(ANSWER)), st.integers(0, 30), st.binary(max_size=8)), max_size=5))
def test_a_mutated_message_is_read_or_malformed_and_never_raises_on_access(cuts: list[tuple[int, int, bytes]]) -> None:
    data = ANSWER
    for start, length, instead in cuts:
        data = data[:start] + instead + data[start + length :]
    with contextlib.suppress(MalformedMessage):
        asked_everything(SipMessage.decode(data))


odd = st.text(st.sampled_from("aZ09 ;:,=<>\"'\\@?[]()/%*\t\r\n-.é"), max_size=60)


@given(st.sampled_from(["Via", "From", "To", "CSeq", "Contact", "WWW-Authenticate", "Content-Type", "l", "e"]), odd)
def test_no_header_value_makes_access_raise(name: str, value: str) -> None:
    with contextlib.suppress(MalformedMessage):
        asked_everything(answer(f"{name}: {value}", body=b"v=0\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 1.2.3.4\r\n"))


@pytest.mark.parametrize(
    "unit", ["<", ">", ";", '"', "\\", ",", " ", "=", "a", '\\"', ":", 'a="b",', "\r\n ", "tag", "%"]
)
@pytest.mark.parametrize(
    "name",
    [
        *(
            "Via: SIP/2.0/UDP h;x=",
            "From",
            "To",
            "Contact",
            "CSeq",
            "Call-ID",
            "Content-Length",
            "Max-Forwards",
            "X",
            "",
        ),
        *(
            "WWW-Authenticate: Digest a=",
            "Proxy-Authenticate: Digest ",
            "Authorization",
            "Record-Route",
            "Route",
            "Allow",
        ),
        *("Require", "Supported", "Session-Expires: 90;", "Min-SE", "RSeq", "RAck", "Content-Type: multipart/mixed;b="),
        *(
            "Content-Type: multipart/mixed;boundary=",
            "Content-Encoding",
            "Expires",
            "Warning: 399 h ",
            "Reason",
            "Date",
        ),
    ],
)
def test_64_kb_of_anything_in_any_header_is_read_in_linear_time(name: str, unit: str) -> None:
    row = (name if ":" in name or not name else f"{name}: ") + unit * (65000 // len(unit)) + "x"
    data = ANSWER[:-9].replace(b"\r\nCall-ID", f"\r\n{row}\r\nCall-ID".encode(), 1) + b"\r\n\r\nv=0\r\n"
    begun = time.process_time()
    message = SipMessage.decode(data)
    _ = message.branch, message.cseq, message.from_tag, message.to_tag, message.validate(), message.all("contact")
    settled(message, request_is_ours=True), too_small(message), digest.choose_each(message.all("WWW-Authenticate"))
    message.all("record-route"), message.all("require"), contact_uri(message.first("contact"))
    assert time.process_time() - begun < 0.05
    asked_everything(message)
    assert time.process_time() - begun < 0.5


def test_a_stray_control_character_does_not_lose_the_message() -> None:
    message = SipMessage.decode(b"SIP/2.0 200 OK\r\nX-Odd: a\x00b\x07\r\nCSeq: 1 INVITE\r\n\r\n")
    assert (message.first("X-Odd"), message.cseq) == ("a\ufffdb\ufffd", (1, "INVITE"))


def test_a_tab_is_a_space_where_it_is_read_and_a_tab_where_it_is_echoed() -> None:
    message = answer("To: <sip:b@h>\t;tag=2", "Subject:\ta\tb", start="SIP/2.0 200 O\tK")
    assert (message.first("to"), message.to_tag, message.echoed("to")) == (
        "<sip:b@h> ;tag=2",
        "2",
        ["<sip:b@h>\t;tag=2"],
    )
    assert (message.first("subject"), message.reason_phrase) == ("a b", "O K")
