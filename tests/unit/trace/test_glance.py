"""One look at a message says what it is and what explains it, whatever was sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.trace.glance import Kind, credentials, glance
from app.trace.media import summary
from tests.unit.trace.make import SDP, message


def test_a_request_is_known_by_its_method_and_number() -> None:
    seen = glance(message("INVITE sip:a@h SIP/2.0", "3 INVITE", body=SDP))
    assert (seen.kind, seen.title, seen.number, seen.call_id) == (Kind.REQUEST, "INVITE", "3", "one@192.0.2.1")
    assert seen.detail == "198.51.100.7:4000 PCMA, 101"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (100, "provisional"),
        (183, "provisional"),
        (202, "success"),
        (302, "failure"),
        (486, "failure"),
        (603, "failure"),
    ],
)
def test_a_response_is_known_by_its_class(code: int, kind: str) -> None:
    seen = glance(message(f"SIP/2.0 {code} Why not", "1 INVITE"))
    assert (seen.kind, seen.title, seen.method) == (kind, f"{code} Why not", "INVITE")


@pytest.mark.parametrize(
    ("start", "header", "detail"),
    [
        ("SIP/2.0 401 x", 'WWW-Authenticate: Digest nonce="n", realm="pbx", algorithm=SHA-256', "realm pbx · SHA-256"),
        ("SIP/2.0 407 x", 'Proxy-Authenticate: Digest realm="a, b"', "realm a, b · MD5"),
        ("SIP/2.0 302 x", "m: <sip:carol@h>", "<sip:carol@h>"),
        ("SIP/2.0 488 x", 'Warning: 304 h "Media type not available"', 'Warning: 304 h "Media type not available"'),
        ("SIP/2.0 503 x", "Retry-After: 120", "Retry-After: 120"),
        ("BYE sip:a@h SIP/2.0", 'Reason: Q.850;cause=16;text="Normal clearing"', "Normal clearing"),
    ],
)
def test_what_explains_it_is_shown(start: str, header: str, detail: str) -> None:
    assert glance(message(start, "1 INVITE", header)).detail == detail


def test_folded_lines_and_compact_names_are_read() -> None:
    seen = glance(b"\r\nBYE sip:a@h SIP/2.0\r\nt:\r\n <sip:b@h>\r\n\t;tag=9\r\ni: id\r\nCSeq:\r\n 4  BYE\r\n\r\n")
    assert (seen.to_tag, seen.call_id, seen.cseq) == ("9", "id", "4 BYE")


def test_who_logs_in_is_shown() -> None:
    data = message("INVITE sip:a@h SIP/2.0", "2 INVITE", 'Proxy-Authorization: Digest username="al", realm="pbx"')
    assert credentials(data) == "login al at pbx"


def test_an_sdp_is_one_line() -> None:
    video = "m=video 5000 RTP/AVP 96\r\na=inactive\r\na=rtpmap:96 H264/90000\r\n"
    audio = "m=audio 4000 RTP/SAVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n"
    assert summary("c=IN IP4 h.example\r\n" + audio + video) == "h.example:4000 PCMU, DTMF SRTP sendonly"
    assert summary("c=IN IP6 2001:db8::1\r\nm=audio 4000 RTP/AVP 0\r\n") == "[2001:db8::1]:4000 PCMU"
    assert summary("m=video 5000 RTP/AVP 96\r\n") == ""


@given(st.one_of(st.binary(max_size=500), st.text(max_size=500).map(lambda text: ("SIP/2.0 200 " + text).encode())))
def test_any_bytes_are_looked_at(data: bytes) -> None:
    glance(data)
    credentials(data)
