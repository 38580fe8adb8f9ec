"""The pyVoIP attributes we rely on, one by one: an upgrade that moves any of them fails here and says which."""

import inspect
from typing import Any

import pytest

from app.sip import pyvoip

PARAMETERS = [
    (pyvoip.SIPMessage, ["data"]),
    (
        pyvoip.SIPClient,
        ["server", "port", "username", "password", "phone", "myIP", "myPort", "callCallback", "fatalCallback"],
    ),
    (pyvoip.VoIPCall, ["phone", "callstate", "request", "session_id", "myIP", "ms", "sendmode"]),
    (
        pyvoip.VoIPPhone,
        ["server", "port", "username", "password", "myIP", "callCallback", "sipPort", "rtpPortLow", "rtpPortHigh"],
    ),
    (pyvoip.RTPClient, ["assoc", "inIP", "inPort", "outIP", "outPort", "sendrecv", "dtmf"]),
    (pyvoip.VoIPCall.answered, ["request"]),
    (pyvoip.VoIPCall.answer, []),
    (pyvoip.VoIPCall.gen_ms, []),
    (pyvoip.SIPClient.gen_answer, ["request", "sess_id", "ms", "sendtype"]),
    (pyvoip.VoIPCall.create_rtp_clients, ["codecs", "ip", "port", "request", "baseport"]),
    (pyvoip.VoIPCall.dtmf_callback, ["code"]),
    (pyvoip.VoIPCall.get_dtmf, ["length"]),
    (pyvoip.VoIPCall.read_audio, ["length", "blocking"]),
    (pyvoip.VoIPCall.write_audio, ["data"]),
    (pyvoip.VoIPPhone.request_port, ["blocking"]),
    (pyvoip.VoIPPhone.release_ports, ["call"]),
    (pyvoip.SIPMessage.parse_header, ["header", "data"]),
    (pyvoip.SIPMessage.parse_body, ["header", "data"]),
    (pyvoip.SIPMessage.summary, []),
    (pyvoip.SIPClient.gen_branch, ["length"]),
    (pyvoip.SIPClient.gen_urn_uuid, []),
    (pyvoip.RTPClient.read, ["length", "blocking"]),
    (pyvoip.RTPClient.write, ["data"]),
]


@pytest.mark.parametrize(("callee", "names"), PARAMETERS, ids=lambda value: getattr(value, "__qualname__", None))
def test_the_parameters_are_those_we_pass(callee: Any, names: list[str]) -> None:
    assert [name for name in inspect.signature(callee).parameters if name != "self"] == names


class Message(pyvoip.SIPMessage):  # type: ignore[misc]
    def parse(self, data: bytes) -> None:
        self.parsed = data


def message() -> Message:
    return Message(b"x")


def test_the_constructor_of_a_message_calls_parse_after_its_defaults() -> None:
    assert message().parsed == b"x"
    assert {"headers", "body", "status", "authentication", "type", "heading", "raw"} <= set(vars(message()))


def test_parse_header_writes_typed_values_into_headers() -> None:
    parsed = message()
    parsed.parse_header("Via", ["SIP/2.0/UDP h:5070;branch=b;rport"])  # type: ignore[arg-type]
    parsed.parse_header("To", '"A" <sip:a@h>;tag=t')
    parsed.parse_header("CSeq", "7 INVITE")
    parsed.parse_header("Allow", "INVITE, ACK")
    parsed.parse_header("Content-Length", "3")
    parsed.parse_header("X-Own", "v")
    parsed.parse_header("WWW-Authenticate", 'Digest realm="r"')
    assert parsed.headers["Via"] == [{"type": "SIP/2.0/UDP", "address": ("h", "5070"), "branch": "b", "rport": None}]
    assert set(parsed.headers["To"]) == {"raw", "tag", "address", "number", "caller", "host"}
    assert parsed.headers["CSeq"] == {"check": "7", "method": "INVITE"}
    assert (parsed.headers["Allow"], parsed.headers["Content-Length"]) == (["INVITE", "ACK"], 3)
    assert parsed.headers["X-Own"] == "v"
    assert parsed.authentication == parsed.headers["WWW-Authenticate"] == {"realm": "r"}


def test_parse_body_writes_typed_values_into_body() -> None:
    parsed = message()
    parsed.headers["Content-Type"] = "application/sdp"
    for kind, value in (
        ("c", "IN IP4 192.0.2.1"),
        ("m", "audio 40000 RTP/AVP 0 101"),
        ("a", "rtpmap:101 telephone-event/8000"),
        ("a", "sendrecv"),
    ):
        parsed.parse_body(kind, value)
    assert parsed.body["c"][0]["address"] == "192.0.2.1"
    assert parsed.body["m"][0]["methods"] == ["0", "101"]
    assert parsed.body["m"][0]["attributes"]["101"]["rtpmap"]["name"] == "telephone-event"
    assert parsed.body["a"]["transmit_type"] is pyvoip.TransmitType.SENDRECV


def test_statuses_have_codes_and_phrases() -> None:
    assert (pyvoip.SIPStatus(486).value, int(pyvoip.SIPStatus.BUSY_HERE), pyvoip.SIPStatus(486).phrase) == (
        486,
        486,
        "Busy Here",
    )
    for code in (183, 200, 300, 400, 500, 600):  # the fall-backs for unknown codes
        assert pyvoip.SIPStatus(code)
    with pytest.raises(ValueError, match="299"):
        pyvoip.SIPStatus(299)


def test_a_member_looked_up_in_payload_type_is_itself() -> None:
    assert pyvoip.PayloadType(pyvoip.PayloadType.PCMU) is pyvoip.PayloadType.PCMU
    assert pyvoip.PayloadType(0) is pyvoip.PayloadType.PCMU
    assert pyvoip.PayloadType(8) is pyvoip.PayloadType.PCMA
    assert pyvoip.PayloadType("telephone-event") is pyvoip.PayloadType.EVENT
    assert (int(pyvoip.PayloadType.PCMA), pyvoip.PayloadType.PCMU.rate) == (8, 8000)


def test_the_enums_have_the_members_we_name() -> None:
    assert [state.name for state in pyvoip.CallState] == ["DIALING", "RINGING", "ANSWERED", "ENDED"]
    assert {mode.value for mode in pyvoip.TransmitType} == {"sendrecv", "sendonly", "recvonly", "inactive"}
    assert str(pyvoip.TransmitType.SENDRECV) == "sendrecv"
    assert (pyvoip.SIPMessageType.MESSAGE, pyvoip.SIPMessageType.RESPONSE) == (1, 0)
    assert pyvoip.RTPProtocol("RTP/AVP") is pyvoip.RTPProtocol.AVP
    assert {"INACTIVE", "REGISTERED"} <= set(pyvoip.PhoneStatus.__members__)


class Phone(pyvoip.VoIPPhone):  # type: ignore[misc]
    """Never started: no socket, no thread. Its calls hand ports back from __del__, whoever gave them."""

    def release_ports(self, call: Any = None) -> None:
        """pyVoIP's own raises ValueError for a port that request_port did not give."""


def phone() -> Phone:
    return Phone("192.0.2.1", 5060, "u", "p", myIP="192.0.2.5", sipPort=5080, rtpPortLow=10000, rtpPortHigh=10010)


def test_a_phone_is_made_without_a_socket_and_has_a_client() -> None:
    made = phone()
    assert isinstance(made.sip, pyvoip.SIPClient)
    assert (made.calls, made.rtpPortLow, made.rtpPortHigh, made.sendmode) == ({}, 10000, 10010, "sendrecv")
    assert (made.sip.server, made.sip.myIP, made.sip.myPort, made.sip.NSD) == ("192.0.2.1", "192.0.2.5", 5080, False)
    assert not hasattr(made.sip, "s")


def test_branches_have_the_magic_cookie_and_enough_chance() -> None:
    branch = phone().sip.gen_branch()
    assert branch.startswith("z9hG4bK") and len(branch) == 32
    assert len(phone().sip.gen_urn_uuid()) == 36


def dialling() -> tuple[Any, list[Any]]:
    """A pyVoIP call before its answer, whose RTP clients are kept and not started."""
    made: list[Any] = []

    class Call(pyvoip.VoIPCall):  # type: ignore[misc]
        def create_rtp_clients(self, *given: Any) -> None:
            made.append(given)

    request = message()
    request.headers |= {"Call-ID": "c", "To": {"tag": ""}, "Contact": ""}
    medias = {10000: {0: pyvoip.PayloadType.PCMU}}
    return Call(phone(), pyvoip.CallState.DIALING, request, 1, "192.0.2.5", ms=medias, sendmode="sendrecv"), made


def test_answered_negotiates_and_remembers_contact_and_tag() -> None:
    from app.sip.message import SipMessage

    call, made = dialling()
    answer = SipMessage.decode(
        b"SIP/2.0 200 OK\r\nTo: <sip:a@h>;tag=them\r\nContact: <sip:a@192.0.2.1>\r\n"
        b"Content-Type: application/sdp\r\n\r\n"
        b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 40000 RTP/AVP 111 96 101\r\na=rtpmap:111 opus/48000\r\n"
        b"a=rtpmap:96 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\nm=video 0 RTP/AVP 31\r\n"
    )
    call.answered(answer)
    codecs = {96: pyvoip.PayloadType.PCMU, 101: pyvoip.PayloadType.EVENT}
    assert made == [(codecs, "192.0.2.5", 10000, answer, 40000)]
    assert call.state is pyvoip.CallState.ANSWERED
    assert (call.request.headers["Contact"], call.request.headers["To"]["tag"]) == ("<sip:a@192.0.2.1>", "them")
    assert (call.call_id, call.session_id, call.port, call.RTPClients) == ("c", "1", 10000, [])


def test_create_rtp_clients_makes_one_for_the_connection_line() -> None:
    call, _ = dialling()
    answer = message()
    answer.body["c"] = [{"address": "192.0.2.1"}]
    pyvoip.VoIPCall.create_rtp_clients(call, {0: pyvoip.PayloadType.PCMU}, "192.0.2.5", 10000, answer, 40000)
    (client,) = call.RTPClients
    assert (client.inIP, client.inPort, client.outIP, client.outPort) == ("192.0.2.5", 10000, "192.0.2.1", 40000)
    assert (client.preference, client.dtmf) == (pyvoip.PayloadType.PCMU, call.dtmf_callback)


def test_digits_come_out_in_the_order_they_went_in() -> None:
    call, _ = dialling()
    for digit in "1*#":
        call.dtmf_callback(digit)
    assert (call.get_dtmf(), call.get_dtmf(5), call.get_dtmf()) == ("1", "*#", "")


def test_audio_goes_through_the_one_client() -> None:
    class Client:
        def read(self, length: int, blocking: bool) -> bytes:
            return b"r" * length

        def write(self, data: bytes) -> None:
            self.written = data

    call, _ = dialling()
    client = Client()
    call.RTPClients.append(client)
    call.write_audio(b"w")
    assert (call.read_audio(3, False), client.written) == (b"rrr", b"w")
