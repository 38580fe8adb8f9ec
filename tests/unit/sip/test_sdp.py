"""What peers say in SDP, as RFC 3264 and the field have it, and what we say."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sip.sdp import Codec, LocalMedia, Remote, UnusableSdp, read

SDP = "application/sdp"
SESSION = ("v=0", "o=uas 53655765 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0")


def described(*media: str, session: tuple[str, ...] = SESSION, end: str = "\r\n") -> bytes:
    return (end.join([*session, *media]) + end).encode()


def answer(*media: str, **how: object) -> Remote:
    return read(described(*media, **how), SDP)  # type: ignore[arg-type]


def test_a_plain_answer_is_read() -> None:
    remote = answer("m=audio 40000 RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000")
    assert (remote.address, remote.port, remote.direction, remote.held) == ("192.0.2.1", 40000, "sendrecv", False)
    assert remote.payloads == {0: "PCMU", 101: "telephone-event"}
    assert (remote.audio, remote.events) == (Codec(0, "PCMU"), 101)
    assert (remote.rtcp, remote.rtcp_mux, remote.ptime) == (("192.0.2.1", 40001), False, None)
    assert remote.origin == ("53655765", "1")


def test_static_payloads_need_no_rtpmap() -> None:
    assert answer("m=audio 40000 RTP/AVP 18 8 0").codecs == (Codec(8, "PCMA"), Codec(0, "PCMU"))


def test_dynamic_payloads_are_known_by_their_name_in_any_case() -> None:
    remote = answer(
        "m=audio 40000 RTP/AVP 96 97 98 99",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:97 pcma/8000/1",
        "a=rtpmap:98 Telephone-Event/16000",
        "a=rtpmap:99 TELEPHONE-EVENT/8000",
    )
    assert remote.payloads == {97: "PCMA", 99: "telephone-event"}


def test_a_payload_number_that_comes_again_with_zeros_before_it_is_the_same_one() -> None:
    remote = answer("m=audio 40000 RTP/AVP 0 000 0 8", "a=rtpmap:000 telephone-event/8000")
    assert remote.codecs == (Codec(0, "PCMU"), Codec(8, "PCMA"))


def test_an_rtpmap_says_more_than_a_static_number() -> None:
    with pytest.raises(UnusableSdp):
        answer("m=audio 40000 RTP/AVP 0", "a=rtpmap:0 PCMU/16000")


def test_the_medias_own_address_and_direction_go_before_the_sessions() -> None:
    remote = answer(
        "a=inactive",
        "m=audio 40000 RTP/AVP 0",
        "c=IN IP6 2001:db8::7",
        "a=recvonly",
        session=("v=0", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"),
    )
    assert (remote.address, remote.direction, remote.origin) == ("2001:db8::7", "recvonly", None)


def test_the_sessions_direction_counts_when_the_media_has_none() -> None:
    assert answer("a=sendonly", "m=audio 40000 RTP/AVP 0").held


@pytest.mark.parametrize(
    ("said", "meant"),
    [("", "sendonly"), ("a=sendonly", "sendonly"), ("a=recvonly", "inactive"), ("a=inactive", "inactive")],
)
def test_an_address_of_zeros_is_a_hold(said: str, meant: str) -> None:
    remote = answer("m=audio 40000 RTP/AVP 0", "c=IN IP4 0.0.0.0", said)
    assert (remote.direction, remote.held) == (meant, True)


def test_the_first_audio_that_is_not_refused_is_chosen() -> None:
    remote = answer("m=video 0 RTP/AVP 31", "m=audio 0 RTP/AVP 0", "m=audio 5004/2 RTP/AVP 8", "m=audio 6000 RTP/AVP 0")
    assert (remote.chosen, remote.port, remote.audio.name) == (2, 5004, "PCMA")
    assert [stream.media for stream in remote.streams] == ["video", "audio", "audio", "audio"]


def test_odd_lines_and_bare_line_feeds_are_passed_over() -> None:
    remote = read(
        described(
            "i=a=b=c", "u=http://x/y?a=b", "e=x@y (n)", "b=AS:64", "r=7d 1h 0 25h", "k=clear", "z=0 -1h", "junk", "=",
            "a=tool:x=y:z", "a", "m=audio 40000 RTP/AVP 0 101", "i=media", "b=TIAS:64000", "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=ptime:30", "a=x-foo:bar:baz=1", "a=ice-ufrag:x",
            end="\n",
        ),
        SDP,
    )  # fmt: skip
    assert (remote.ptime, remote.events, remote.direction) == (30, 101, "sendrecv")


def test_rtcp_may_be_elsewhere() -> None:
    remote = answer("m=audio 40000 RTP/AVPF 0", "a=rtcp:53020 IN IP4 192.0.2.9", "a=rtcp-mux")
    assert (remote.rtcp, remote.rtcp_mux) == (("192.0.2.9", 53020), True)
    assert answer("m=audio 40000 RTP/AVP 0", "a=rtcp:0").rtcp == ("192.0.2.1", 40001)


@pytest.mark.parametrize(
    ("media", "word"),
    [
        ((), "m= line"),
        (("m=video 4000 RTP/AVP 31",), "no audio"),
        (("m=audio 0 RTP/AVP 0",), "refused"),
        (("m=audio 99999 RTP/AVP 0",), "refused"),
        (("m=audio x RTP/AVP 0",), "refused"),
        (("m=",), "refused"),
        (("m=audio 4000 RTP/SAVP 0",), "RTP/SAVP"),
        (("m=audio 4000 UDP/TLS/RTP/SAVPF 0",), "SAVPF"),
        (("m=audio 4000 RTP/AVP 18 3",), "neither PCMU nor PCMA"),
        (("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), "neither"),
        (("m=audio 4000 RTP/AVP 0",) * 33, "more than 32"),
    ],
)
def test_unusable_sdp_says_why(media: tuple[str, ...], word: str) -> None:
    with pytest.raises(UnusableSdp, match=word):
        answer(*media)


@pytest.mark.parametrize("line", ["c=IN IP4", "c=IN IP4 /127", "c=IN IP4 -;x", "x=", "c=IN IP6 fe80::1%eth0"])
def test_without_a_usable_address_there_is_no_audio(line: str) -> None:
    with pytest.raises(UnusableSdp, match="c= line"):
        answer("m=audio 4000 RTP/AVP 0", session=("v=0", line))


def test_a_multicast_ttl_is_cut_and_a_name_is_kept() -> None:
    assert answer("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127/3").address == "224.2.1.1"
    assert answer("m=audio 4000 RTP/AVP 0", "c=IN IP4 media.example.com").address == "media.example.com"


MULTIPART = (
    b"preamble\r\n--bnd-1\r\nContent-Type: text/plain\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\n"
    b"--bnd-1\r\nC : Application/SDP; x=y\r\n\r\n" + described("m=audio 40000 RTP/AVP 8") + b"\r\n--bnd-1--\r\nepilogue"
)


@pytest.mark.parametrize("content_type", ["multipart/mixed;boundary=bnd-1", 'Multipart/Mixed; x=1; BOUNDARY="bnd-1"'])
@pytest.mark.parametrize("content", [MULTIPART, MULTIPART.replace(b"\r\n", b"\n")])
def test_the_sdp_part_of_a_multipart_body_is_found(content: bytes, content_type: str) -> None:
    assert read(content, content_type).audio == Codec(8, "PCMA")


def test_a_multipart_in_a_multipart_is_searched() -> None:
    inner = b"Content-Type: multipart/alternative;boundary=bnd-1\r\n\r\n" + MULTIPART
    assert read(b"--out\r\n" + inner + b"\r\n--out--", "multipart/mixed; boundary=out").port == 40000


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/mixed", "multipart/mixed;boundary=other", ""])
def test_a_body_without_sdp_is_unusable(content_type: str) -> None:
    with pytest.raises(UnusableSdp, match="no SDP"):
        read(MULTIPART, content_type)
    with pytest.raises(UnusableSdp, match="no SDP"):
        read(b"", SDP)


def test_sdp_without_a_content_type_is_read_all_the_same() -> None:
    assert read(described("m=audio 4000 RTP/AVP 0"), None).port == 4000


# -- what we say


def test_our_offer_has_both_codecs_and_events() -> None:
    local = LocalMedia("192.0.2.5", 10000)
    lines = local.offer().decode().split("\r\n")
    session_id = lines[1].split()[1]
    assert lines == [
        "v=0",
        f"o=- {session_id} 1 IN IP4 192.0.2.5",
        "s=-",
        "c=IN IP4 192.0.2.5",
        "t=0 0",
        "m=audio 10000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


def test_our_own_offer_can_be_read_back_for_ipv6_too() -> None:
    remote = read(LocalMedia("::1", 10000).offer(), SDP)
    assert (remote.address, remote.port, remote.payloads) == (
        "::1",
        10000,
        {0: "PCMU", 8: "PCMA", 101: "telephone-event"},
    )


def test_the_version_counts_up_only_when_something_has_changed() -> None:
    local = LocalMedia("192.0.2.5", 10000)
    first = local.offer()
    assert local.offer() == first
    held = local.offer("inactive")
    assert held.split()[3] == b"2" and held.split()[2] == first.split()[2]
    local.port = 10002
    assert local.offer("inactive").split()[3] == b"3"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_an_answer_mirrors_the_direction(theirs: str, ours: str) -> None:
    offer = answer("m=audio 40000 RTP/AVP 0", f"a={theirs}")
    assert read(LocalMedia("192.0.2.5", 10000).answer(offer), SDP).direction == ours


def test_an_old_style_hold_is_answered_recvonly() -> None:
    offer = answer("m=audio 40000 RTP/AVP 0", "c=IN IP4 0.0.0.0")
    assert b"a=recvonly" in LocalMedia("192.0.2.5", 10000).answer(offer)


def test_an_answer_has_a_line_for_each_of_the_offer_and_refuses_all_but_one() -> None:
    offer = answer(
        "m=video 5000 RTP/SAVPF 96 97",
        "a=rtpmap:96 VP8/90000",
        "m=audio 40000 RTP/AVP 111 8 0 96",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:96 telephone-event/8000",
        "m=audio 40002 RTP/AVP 0",
    )
    text = LocalMedia("192.0.2.5", 10000).answer(offer, prefer="PCMU").decode()
    assert [line for line in text.split("\r\n") if line.startswith("m=")] == [
        "m=video 0 RTP/SAVPF 96 97",
        "m=audio 10000 RTP/AVP 0 8 96",
        "m=audio 0 RTP/AVP 0",
    ]
    assert "a=rtpmap:96 telephone-event/8000" in text and "a=fmtp:96 0-16" in text


def test_hold_and_resume_keep_the_session_and_count_the_version() -> None:
    local = LocalMedia("192.0.2.5", 10000)
    local.offer()
    held = local.answer(answer("m=audio 40000 RTP/AVP 0", "a=sendonly"))
    resumed = local.answer(answer("m=audio 40000 RTP/AVP 0", "a=sendrecv"))
    assert [sdp.split()[3] for sdp in (held, resumed)] == [b"2", b"3"]


@given(st.binary(max_size=400), st.sampled_from([SDP, None, "multipart/mixed;boundary=b", "text/plain", ""]))
def test_no_bytes_make_reading_raise_anything_else(content: bytes, content_type: str | None) -> None:
    with contextlib.suppress(UnusableSdp):
        read(content, content_type)


LINES = described("m=audio 40000 RTP/AVP 0 8 97", "a=rtpmap:97 pcmu/8000", "a=rtcp:1 IN IP4 x", "m=video 1 RTP/AVP 31")


@given(st.lists(st.tuples(st.integers(0, len(LINES)), st.integers(0, 20), st.binary(max_size=6)), max_size=4))
def test_mutated_sdp_is_read_or_unusable_and_can_be_answered(cuts: list[tuple[int, int, bytes]]) -> None:
    content = LINES
    for start, length, instead in cuts:
        content = content[:start] + instead + content[start + length :]
    with contextlib.suppress(UnusableSdp):
        remote = read(content, SDP)
        assert remote.audio and remote.port
        text = LocalMedia("192.0.2.5", 10000).answer(remote).decode()
        assert text.count("\r\nm=") == len(remote.streams)
        assert text.count("\n") == text.count("\r\n") == text.count("\r")


@pytest.mark.parametrize("line", ["m=audio 1 RTP/AVP", "a=", "c=IN IP4 ", "a=rtpmap:0 ", "o="])
@pytest.mark.parametrize("unit", [" ", "0 ", "/", ":", "=", "a", ".", "1"])
def test_64_kb_of_anything_is_read_in_linear_time(line: str, unit: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(UnusableSdp):
        answer("m=audio 1 RTP/AVP 0", line + unit * (65536 // len(unit)))
    with contextlib.suppress(UnusableSdp):
        read(b"--b\r\n" * 13000, "multipart/mixed;" + unit * 30000 + ";boundary=b")
    assert time.process_time() - begun < 0.25
