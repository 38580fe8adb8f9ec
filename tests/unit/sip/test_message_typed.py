"""pyVoIP's view of a message: right where its own parser raises or loses things, and good enough for VoIPCall."""

import pytest

from app.sip.message import SipMessage
from app.sip.pyvoip import PayloadType, RTPProtocol, SIPStatus, TransmitType

SDP = (
    b"v=0\r\no=uas 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=video 0 RTP/AVP 31\r\n"
    b"m=audio 40000 RTP/AVPF 111 96 101\r\nc=IN IP6 ::1\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:96 PCMU/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n"
)


def message(*rows: str, start: str = "SIP/2.0 200 OK", body: bytes = b"") -> SipMessage:
    return SipMessage.decode("\r\n".join([start, *rows, "", ""]).encode() + body)


def test_headers_are_typed_as_pyvoip_types_them() -> None:
    headers = message(
        "Via: SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bK=x;rport",
        "v: SIP/2.0/TCP p1;branch=b",
        'f: "Bob; tag=no" <sips:bob@h:5061;x=y>;tag=us',
        "t: <tel:+123>",
        "i: c1",
        "CSeq:  7   INVITE",
        "m: <sip:a@h>",
        "k: timer",
        "Supported: 100rel",
        "Record-Route: <sip:p1;lr>",
        "Record-Route: <sip:p2;lr>",
        "X-Own: v",
    ).headers
    assert headers["Via"] == [
        {"type": "SIP/2.0/UDP", "address": ("2001:db8::1", "5070"), "branch": "z9hG4bK=x", "rport": None},
        {"type": "SIP/2.0/TCP", "address": ("p1", "5060"), "branch": "b"},
    ]
    assert (headers["From"]["tag"], headers["From"]["number"], headers["From"]["host"]) == ("us", "bob", "h:5061")
    assert headers["From"]["caller"] == "Bob; tag=no"
    assert (headers["To"]["tag"], headers["To"]["number"], headers["To"]["address"]) == ("", None, "+123")
    assert headers["CSeq"] == {"check": "7", "method": "INVITE"}
    assert (headers["Call-ID"], headers["Contact"], headers["X-Own"]) == ("c1", "<sip:a@h>", "v")
    assert headers["Supported"] == ["timer", "100rel"]
    assert headers["Record-Route"] == "<sip:p1;lr>, <sip:p2;lr>"


def test_what_pyvoip_relies_on_is_there_even_in_an_empty_message() -> None:
    headers = message().headers
    assert headers["Via"] == [] and headers["Contact"] == "" and headers["Call-ID"] == ""
    assert headers["To"]["tag"] == headers["From"]["tag"] == ""
    assert set(headers) == {"Via", "From", "To", "CSeq", "Call-ID", "Contact", "Content-Length"} and len(headers) == 7
    assert "To" in headers and "X-None" not in headers and headers.get("X-None", 1) == 1
    with pytest.raises(KeyError):
        headers["WWW-Authenticate"]


@pytest.mark.parametrize("name", ["WWW-Authenticate", "Proxy-Authenticate"])
def test_challenges_of_either_kind_become_the_authentication(name: str) -> None:
    challenged = message(f'{name}: Digest realm="a, b", nonce="n", qop="auth,auth-int"')
    assert challenged.authentication == {"realm": "a, b", "nonce": "n", "qop": "auth,auth-int"}
    assert challenged.headers[name] == challenged.authentication
    assert message().authentication == {}


def test_the_first_of_several_challenges_is_the_authentication() -> None:
    both = message('Proxy-Authenticate: Digest realm="p"', 'WWW-Authenticate: Digest realm="w"')
    assert (both.headers["Proxy-Authenticate"], both.headers["WWW-Authenticate"]) == ({"realm": "p"}, {"realm": "w"})
    assert both.authentication == {"realm": "w"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (180, SIPStatus.RINGING),
        (155, SIPStatus.SESSION_PROGRESS),
        (299, SIPStatus.OK),
        (699, SIPStatus.BUSY_EVERYWHERE),
    ],
)
def test_an_unknown_status_is_the_x00_of_its_class(code: int, status: SIPStatus) -> None:
    assert message(start=f"SIP/2.0 {code} X").status is status


def test_the_body_is_what_pyvoip_can_use_of_the_sdp() -> None:
    answer = message("Content-Type: Application/SDP;charset=x", "Content-Encoding: identity", body=SDP)
    body = answer.body
    assert [line["address"] for line in body["c"]] == ["::1"]
    (audio,) = body["m"]
    assert (audio["type"], audio["port"], audio["methods"], audio["protocol"]) == (
        "audio",
        40000,
        ["96", "101"],
        RTPProtocol.AVP,
    )
    assert {PayloadType(entry["rtpmap"]["name"]) for entry in audio["attributes"].values()} == {
        PayloadType.PCMU,
        PayloadType.EVENT,
    }
    assert body["a"]["transmit_type"] is TransmitType.SENDONLY


@pytest.mark.parametrize(
    "rows", [("Content-Type: text/plain",), ("Content-Type: application/sdp", "Content-Encoding: gzip"), ()]
)
def test_without_usable_sdp_the_body_is_empty_lists(rows: tuple[str, ...]) -> None:
    assert message(*rows, body=b"hello = world").body == {"c": [], "m": []}


def test_the_view_may_be_written_to() -> None:
    answer = message("To: <sip:a@h>")
    answer.headers["To"]["tag"] = "x"
    assert answer.headers["To"]["tag"] == "x"
    assert "Via" in answer.summary()


@pytest.mark.parametrize("origin", [b"o=- a=b c IN IP4 h", b"o=x = = =", b"o=- 1\xc2\xb2 2 IN IP4 h"])
def test_an_origin_that_pyvoip_would_split_elsewhere_costs_nothing(origin: bytes) -> None:
    body = SDP.replace(b"o=uas 1 2 IN IP4 192.0.2.1", origin)
    typed = message("Content-Type: application/sdp", body=body).body
    assert typed["o"]["network_type"] == "IN" and typed["m"][0]["port"] == 40000
