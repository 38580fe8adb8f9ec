"""a=crypto (RFC 4568): what can be done is read, everything else is left alone."""

import base64

import pytest

from app.sip import crypto
from app.sip.crypto import Crypto, Srtp
from app.sip.sdp import LocalMedia, UnusableSdp, read

KEY = bytes(range(30))
TEXT = base64.b64encode(KEY).decode()
SUITE = "AES_CM_128_HMAC_SHA1_80"
SDP = "application/sdp"


def offer(protocol: str, *lines: str) -> bytes:
    rows = [
        "v=0",
        "o=- 1 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        f"m=audio 4000 {protocol} 0",
        *lines,
    ]
    return "\r\n".join([*rows, ""]).encode()


@pytest.mark.parametrize(
    "value",
    [
        f"1 {SUITE} inline:{TEXT}",
        f"1 {SUITE.lower()} INLINE:{TEXT}|2^31",
        f"1 {SUITE} inline:{TEXT}|1048576 WSH=64",
    ],
)
def test_what_can_be_done_is_read(value: str) -> None:
    assert crypto.parse(value) == Crypto(1, KEY)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"x {SUITE} inline:{TEXT}",
        f"1 AES_CM_128_HMAC_SHA1_32 inline:{TEXT}",
        f"1 {SUITE} inline:{TEXT}|2^20|1:4",  # a master key identifier
        f"1 {SUITE} inline:{TEXT}|1:4",
        f"1 {SUITE} inline:{TEXT};inline:{TEXT}",
        f"1 {SUITE} inline:{TEXT[:-4]}",
        f"1 {SUITE} inline:ä",
        f"1 {SUITE} uri:{TEXT}",
        f"1 {SUITE} inline:{TEXT} UNENCRYPTED_SRTP",
        f"1 {SUITE} inline:{TEXT} KDR=1",
        f"{'9' * 10} {SUITE} inline:{TEXT}",
    ],
)
def test_what_cannot_be_done_is_left_alone(value: str) -> None:
    assert crypto.parse(value) is None


def test_what_we_write_we_can_read() -> None:
    made = Crypto(7, crypto.new_key())
    assert crypto.parse(crypto.attribute(made).partition(":")[2]) == made
    assert crypto.new_key() != crypto.new_key()


def test_a_key_is_not_in_the_text_of_its_value() -> None:
    assert str(KEY) not in repr(Crypto(1, KEY))


def test_the_first_usable_key_is_taken_and_its_tag_is_answered() -> None:
    lines = (f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{TEXT}", f"a=crypto:2 {SUITE} inline:{TEXT}")
    remote = read(offer("RTP/SAVP", *lines), SDP, Srtp.OPTIONAL)
    assert remote.crypto == Crypto(2, KEY)
    local = LocalMedia("192.0.2.5", 10000)
    local.key = bytes(30)
    answer = local.answer(remote).decode()
    assert "m=audio 10000 RTP/SAVP 0\r\n" in answer
    assert crypto.attribute(Crypto(2, bytes(30))) in answer


def test_keys_are_not_looked_at_where_they_may_not_be() -> None:
    remote = read(offer("RTP/AVP", f"a=crypto:1 {SUITE} inline:{TEXT}"), SDP)
    assert remote.crypto is None
    assert b"crypto" not in LocalMedia("192.0.2.5", 10000).answer(remote)


@pytest.mark.parametrize(
    ("protocol", "srtp"), [("RTP/SAVP", Srtp.OPTIONAL), ("RTP/AVP", Srtp.REQUIRED), ("RTP/SAVPF", Srtp.REQUIRED)]
)
def test_a_stream_that_must_have_a_key_and_has_none_is_unusable(protocol: str, srtp: Srtp) -> None:
    with pytest.raises(UnusableSdp, match="SRTP key"):
        read(offer(protocol), SDP, srtp)


def test_the_second_stream_is_taken_when_the_first_is_encrypted_and_may_not_be() -> None:
    both = offer("RTP/SAVP", f"a=crypto:1 {SUITE} inline:{TEXT}", "m=audio 4002 RTP/AVP 0")
    assert read(both, SDP).port == 4002
    assert read(both, SDP, Srtp.OPTIONAL).port == 4000
