"""What a reader gets, whatever came."""

from app.media.codec import SILENCE, decode
from app.media.playout import LIMIT, Playout
from app.media.pyvoip import PayloadType

PCMU, PCMA = PayloadType.PCMU, PayloadType.PCMA
A, B, C = b"\x10" * 160, b"\x20" * 160, b"\x30" * 160
QUIET = bytes((SILENCE[PCMU],)) * 160


def read(playout: Playout, samples: int = 160) -> bytes:
    return playout.read(samples)


def heard(*payloads: bytes) -> bytes:
    return decode(PCMU, b"".join(payloads))


def test_nothing_heard_is_silence():
    assert read(Playout()) == bytes(320)


def test_packets_are_read_in_the_order_of_their_timestamps():
    playout = Playout()
    for timestamp, payload in ((1000, A), (1320, C), (1160, B)):
        playout.put(PCMU, timestamp, payload)
    assert read(playout, 480) == heard(A, B, C)


def test_order_holds_across_the_wrap_of_the_clock():
    playout = Playout()
    playout.put(PCMU, 0xFFFFFFFF - 79, A)
    playout.put(PCMU, 80, B)
    assert read(playout, 320) == heard(A, B)


def test_a_lost_packet_is_silence_of_its_length():
    playout = Playout()
    playout.put(PCMU, 0, A)
    playout.put(PCMU, 320, C)
    assert read(playout, 480) == heard(A, QUIET, C)


def test_what_comes_after_its_turn_is_not_heard():
    playout = Playout()
    playout.put(PCMU, 0, A)
    read(playout)
    playout.put(PCMU, 0, B)
    assert read(playout) == bytes(320)


def test_a_far_timestamp_starts_anew_and_allocates_nothing():
    playout = Playout()
    playout.put(PCMU, 0, A)
    playout.put(PCMU, 200_000_000, B)
    assert read(playout, 320) == heard(B) + bytes(320)


def test_without_a_reader_only_the_newest_half_second_is_kept():
    playout = Playout()
    for number in range(200):
        playout.put(PCMU, number * 160, bytes((number,)) * 160)
    newest = b"".join(bytes((number,)) * 160 for number in range(175, 200))
    assert len(newest) == LIMIT
    assert read(playout, LIMIT + 160) == heard(newest) + bytes(320)


def test_an_oversized_payload_is_cut():
    playout = Playout()
    playout.put(PCMU, 0, b"\x10" * 50_000)
    assert read(playout, LIMIT + 1)[-2:] == bytes(2)


def test_a_pause_of_the_speaker_delays_nothing_after_it():
    playout = Playout()
    playout.put(PCMU, 0, A)
    read(playout, 320)
    playout.put(PCMU, 800, B)
    assert read(playout) == heard(B)


def test_audio_that_waits_survives_a_change_of_codec():
    playout = Playout()
    playout.put(PCMU, 0, b"\xff" * 160)
    playout.put(PCMA, 160, b"\xd5" * 160)
    before, after = read(playout), read(playout)
    assert set(before) <= {0, 8}
    assert after == decode(PCMA, b"\xd5" * 160)
