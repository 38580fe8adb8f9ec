"""The stream as the peer sees it."""

from itertools import pairwise

from app.media.codec import decode
from app.media.outgoing import LIMIT, Outgoing
from app.media.packet import Packet, unpack
from app.media.pyvoip import PayloadType

PCMU, PCMA = PayloadType.PCMU, PayloadType.PCMA


def next_packet(out: Outgoing) -> Packet:
    packet = unpack(bytes(out.frame()))
    assert packet is not None
    return packet


def made(codec: PayloadType = PCMU) -> Outgoing:
    out = Outgoing()
    out.use(codec, int(codec), 101)
    return out


def test_comfort_silence_is_numbered_without_a_gap():
    out = made(PCMA)
    packets = [next_packet(out) for _ in range(5)]
    assert {packet.payload for packet in packets} == {b"\xd5" * 160}
    assert [packet.marker for packet in packets] == [True] + [False] * 4
    for before, after in pairwise(packets):
        assert after.sequence == (before.sequence + 1) & 0xFFFF
        assert after.timestamp == (before.timestamp + 160) & 0xFFFFFFFF
        assert after.ssrc == before.ssrc


def test_sequence_and_timestamp_wrap():
    out = made()
    first = next_packet(out).sequence
    for _ in range(65_535):
        out.frame()
    assert next_packet(out).sequence == first
    out.timestamp = 0xFFFFFFFF
    assert [next_packet(out).timestamp for _ in range(2)] == [0xFFFFFFFF, 159]


def test_two_streams_share_no_number():
    assert len({made().ssrc for _ in range(50)}) == 50


def test_given_audio_is_sent_before_silence_and_its_last_frame_is_filled_up():
    out = made()
    assert out.give(b"\x00\x10" * 200) == 200
    first, second, third = (next_packet(out).payload for _ in range(3))
    assert first == first[:1] * 160
    assert first != third
    assert second == first[:40] + third[:120]
    assert third == b"\xff" * 160


def test_only_a_second_of_audio_waits():
    out = made()
    assert out.give(bytes(4 * LIMIT)) == LIMIT
    assert (out.room, out.give(b"\0\0")) == (0, 0)


def test_waiting_audio_follows_a_change_of_codec():
    out = made(PCMU)
    out.give(b"\x00\x10" * 160)
    out.use(PCMA, 8, None)
    packet = next_packet(out)
    assert packet.payload_type == 8
    assert abs(int.from_bytes(decode(PCMA, packet.payload)[:2], "little") - 0x1000) < 130


def test_time_in_which_nothing_was_sent_shows_in_the_timestamp_only():
    out = made()
    before = next_packet(out)
    out.skip(10)
    after = next_packet(out)
    assert after.sequence == (before.sequence + 1) & 0xFFFF
    assert after.timestamp == (before.timestamp + 11 * 160) & 0xFFFFFFFF
    assert after.marker


def test_a_key_takes_the_place_of_audio_and_audio_goes_on_in_time():
    out = made()
    before = next_packet(out)
    assert out.press("9", 320)
    packets = [next_packet(out) for _ in range(5)]
    assert [packet.payload_type for packet in packets] == [101] * 4 + [0]
    assert {packet.timestamp for packet in packets[:4]} == {(before.timestamp + 160) & 0xFFFFFFFF}
    assert packets[4].timestamp == (before.timestamp + 5 * 160) & 0xFFFFFFFF
    assert [packet.sequence for packet in packets] == [(before.sequence + n) & 0xFFFF for n in range(1, 6)]


def test_a_peer_without_telephone_events_gets_none():
    out = made()
    out.press("9", 320)
    out.use(PCMU, 0, None)
    assert out.press("9", 320) is False
    assert next_packet(out).payload_type == 0
