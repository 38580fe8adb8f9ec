"""A bridge by numbers, on a clock that the test moves: what the target sees while its source stutters."""

from collections.abc import Iterator

import numpy as np
import pytest

from app.media.codec import decode, encode
from app.media.packet import Packet
from tests.unit.media.sides import EVENT, FRAME, PCMA, PCMU, Call, steps


@pytest.fixture
def call() -> Iterator[Call]:
    made = Call({0: PCMU, 101: EVENT}, {0: PCMU, 96: EVENT})
    made.run(3, silent=True)
    yield made
    made.a.end()
    made.b.end()


def test_comfort_then_relayed_packets_then_comfort_are_one_stream(call: Call) -> None:
    call.run(50)
    call.a.part()
    call.run(3, silent=True)
    packets = call.b.sent
    assert {packet.ssrc for packet in packets} == {packets[0].ssrc}
    assert steps(packets) == [(1, 160)] * (len(packets) - 1)
    assert [packet.payload[0] for packet in packets] == [0xFF] * 3 + [0x20] * 50 + [0xFF] * (len(packets) - 53)
    assert len(packets) in (55, 56)  # the first beat after the last packet may be too early
    assert packets[3].marker and not any(packet.marker for packet in packets[4:50])


def test_every_packet_goes_on_at_once_and_untouched(call: Call) -> None:
    chance = np.random.default_rng(3)
    said = [chance.bytes(160) for _ in range(100)]
    for payload in said:
        call.a.say(call.a.next(payload), call.now)
        assert call.b.sent[-1].payload == payload
        call.now += FRAME


def test_what_was_lost_is_seen_to_be_lost(call: Call) -> None:
    call.run(5)
    call.a.lose(2)
    call.now += 2 * FRAME
    before = len(call.b.sent)
    call.run(5)
    assert steps(call.b.sent[before - 1 :]) == [(3, 480)] + [(1, 160)] * 4


def test_late_packets_keep_their_place_and_doubles_go_nowhere(call: Call) -> None:
    call.run(5)
    first, second, third = (call.a.next(bytes((number,)) * 160) for number in (1, 2, 3))
    before = len(call.b.sent)
    for packet in (first, third, second, second, third):
        call.a.say(packet, call.now)
    sent = call.b.sent[before:]
    assert [packet.payload[0] for packet in sent] == [1, 3, 2]
    assert [(packet.sequence - sent[0].sequence) & 0xFFFF for packet in sent] == [0, 2, 1]
    assert [(packet.timestamp - sent[0].timestamp) & 0xFFFFFFFF for packet in sent] == [0, 320, 160]
    call.now += FRAME
    call.run(2)
    assert steps([sent[1], *call.b.sent[before + 3 :]]) == [(1, 160)] * 2


def test_silence_takes_the_place_of_packets_that_do_not_come_and_ends_with_the_next(call: Call) -> None:
    call.run(10)
    call.a.lose(20)
    call.run(20, silent=True)
    before = len(call.b.sent)
    assert before == 3 + 10 + 11  # 200 ms were waited for, the last frame of them is made up for
    call.run(10)
    assert {packet.payload[0] for packet in call.b.sent[before:]} == {0x20}
    moves = steps(call.b.sent)
    assert all(timestamp < 0x8000 for _, timestamp in moves)
    assert sum(timestamp for _, timestamp in moves) == 160 * (3 + 10 + 20 + 10 - 1)
    assert all(sequence < 11 for sequence, _ in moves)


def test_a_burst_of_late_packets_after_silence_does_not_push_time_ahead(call: Call) -> None:
    """The network held twenty packets back: what silence has been said for is gone, the rest keeps its time."""
    call.run(10)
    held = [call.a.next(bytes((number,)) * 160) for number in range(20)]
    call.run(20, silent=True)
    before = len(call.b.sent)
    for packet in held:
        call.a.say(packet, call.now)
    call.run(20)
    moves = steps(call.b.sent)
    assert all(timestamp < 0x8000 for _, timestamp in moves)
    assert sum(timestamp for _, timestamp in moves) == 160 * (3 + 10 + 20 + 20 - 1)
    assert [packet.payload[0] for packet in call.b.sent[before:]] == [0x20] * 20


def test_a_short_burst_of_late_packets_is_passed_on_whole(call: Call) -> None:
    call.run(10)
    held = [call.a.next(bytes((number,)) * 160) for number in range(8)]
    call.run(8, silent=True)
    for packet in held:
        call.a.say(packet, call.now)
    call.run(10)
    assert [packet.payload[0] for packet in call.b.sent[-18:]] == [*range(8), *[0x20] * 10]
    assert steps(call.b.sent) == [(1, 160)] * (3 + 10 + 8 + 10 - 1)


def test_a_clock_that_stood_still_while_nothing_was_said_is_put_right(call: Call) -> None:
    call.run(10)
    call.run(100, silent=True)  # its next timestamp is the one after its last packet, 2 s ago
    before = len(call.b.sent)
    call.run(20)
    relayed = sum(packet.payload[0] == 0x20 for packet in call.b.sent[before:])
    assert relayed >= 13
    assert all(0 < timestamp < 0x8000 for _, timestamp in steps(call.b.sent))


def test_a_marked_talkspurt_loses_nothing(call: Call) -> None:
    call.run(10)
    call.run(100, silent=True)
    before = len(call.b.sent)
    call.a.say(call.a.next(marker=True), call.now)
    call.now += FRAME
    call.run(9)
    assert [packet.payload[0] for packet in call.b.sent[before:]] == [0x20] * 10


@pytest.mark.parametrize("ssrc", [7, 8])
def test_a_source_that_starts_anew_is_followed(call: Call, ssrc: int) -> None:
    call.run(10)
    call.a.ssrc, call.a._sequence, call.a._timestamp = ssrc, 30_000, 5
    call.run(10)
    moves = steps(call.b.sent)
    assert {sequence for sequence, _ in moves} == {1}
    assert all(160 <= timestamp <= 480 for _, timestamp in moves)
    assert len(moves) >= 21


async def test_a_sound_is_heard_instead_and_everything_goes_on_behind_it(call: Call) -> None:
    call.run(10)
    sound = call.b.play(np.full(800, 8000, "<i2").tobytes())
    call.run(15)
    played = encode(PCMU, np.full(1, 8000, "<i2").tobytes())[0]
    assert [packet.payload[0] for packet in call.b.sent].count(played) == 5
    assert sound.done.result() is True
    assert call.b.sent[-1].payload[0] == 0x20
    assert {sequence for sequence, _ in steps(call.b.sent)} == {1}
    assert all(0 < timestamp <= 480 for _, timestamp in steps(call.b.sent))


def test_a_side_on_hold_gets_nothing_and_its_clock_goes_on(call: Call) -> None:
    call.run(10)
    call.b.holds = True
    call.b.interrupt()
    before = len(call.b.sent)
    call.run(50)
    assert len(call.b.sent) == before
    call.b.holds = False
    call.b.interrupt()
    call.run(10)
    (sequence, timestamp), *others = steps(call.b.sent[before - 1 :])
    assert (sequence, others) == (1, [(1, 160)] * 9)
    assert timestamp in (50 * 160, 51 * 160)
    assert call.b.sent[before].marker


def test_one_law_becomes_the_other_where_they_share_none() -> None:
    call = Call({0: PCMU}, {8: PCMA})
    ramp = np.linspace(-20_000, 20_000, 160).astype("<i2").tobytes()
    for _ in range(3):
        call.a.say(call.a.next(encode(PCMU, ramp)), call.now)
    assert {packet.payload_type for packet in call.b.sent} == {8}
    heard = np.frombuffer(decode(PCMA, call.b.sent[-1].payload), "<i2").astype(float)
    said = np.frombuffer(ramp, "<i2").astype(float)
    assert np.abs(heard - said).max() < 1100


def test_what_both_take_is_passed_on_untouched_though_the_target_would_rather_have_the_other() -> None:
    call = Call({0: PCMU}, {8: PCMA, 0: PCMU})
    call.run(3, silent=True)
    call.run(3)
    call.a.part()
    call.run(3, silent=True)
    assert [packet.payload_type for packet in call.b.sent[:3]] == [8] * 3
    assert {packet.payload_type for packet in call.b.sent[3:]} == {0}  # silence too: a codec that alternates clicks


def test_a_codec_that_changes_in_the_middle_is_followed(call: Call) -> None:
    call.run(5)
    assert call.b.leg is not None
    call.b.leg.negotiate({8: PCMA})
    call.b.interrupt()
    call.run(5)
    assert [packet.payload_type for packet in call.b.sent] == [0] * 8 + [8] * 5
    assert steps(call.b.sent) == [(1, 160)] * 12


def event(call: Call, key: int, *, packets: int = 6) -> None:
    """A press as phones send it: all packets share a timestamp, the end three times."""
    start = call.a._timestamp
    for number in range(packets + 2):
        ended = number >= packets - 1
        duration = 160 * min(number + 1, packets)
        packet = Packet(101, number == 0, call.a._sequence, start, 7, bytes((key, 0x8A if ended else 10)))
        payload = bytes((key, 0x8A if ended else 10)) + duration.to_bytes(2, "big")
        call.a.say(packet._replace(payload=payload), call.now)
        call.a._sequence = call.a._sequence + 1 & 0xFFFF
        call.b.beat(call.now + 0.007)
        call.now += FRAME
    call.a._timestamp = start + 160 * (packets + 2) & 0xFFFFFFFF


def test_a_key_is_passed_on_under_the_targets_number(call: Call) -> None:
    call.run(5)
    before = len(call.b.sent)
    event(call, 5)
    call.run(5)
    pressed = [packet for packet in call.b.sent if packet.payload_type == 96]
    assert len(pressed) == 8
    assert len({packet.timestamp for packet in pressed}) == 1
    assert [packet.marker for packet in pressed] == [True] + [False] * 7
    assert {sequence for sequence, _ in steps(call.b.sent)} == {1}
    assert pressed[0].timestamp == (call.b.sent[before - 1].timestamp + 160) & 0xFFFFFFFF
    assert call.b.sent[-5].timestamp == (pressed[0].timestamp + 8 * 160) & 0xFFFFFFFF
    assert (call.a.keys, call.b.keys) == (["5"], [])


def test_two_presses_of_one_key_stay_two(call: Call) -> None:
    call.run(5)
    event(call, 5)
    call.run(3)
    event(call, 5)
    stamps = {packet.timestamp for packet in call.b.sent if packet.payload_type == 96}
    assert (len(stamps), call.a.keys) == (2, ["5", "5"])


async def test_a_target_that_takes_no_events_hears_tones() -> None:
    call = Call({0: PCMU, 101: EVENT}, {0: PCMU})
    call.run(5)
    event(call, 5)
    call.run(10)
    assert {packet.payload_type for packet in call.b.sent} == {0}
    loud = [packet for packet in call.b.sent if len(set(packet.payload)) > 20]
    assert len(loud) == 6
    assert {sequence for sequence, _ in steps(call.b.sent)} == {1}


def test_who_overhears_is_not_heard(call: Call) -> None:
    call.b.overhear(call.a)
    call.run(3)
    assert call.b.sent[-1].payload[0] == 0x20
    call.b.say(call.b.next(), call.now)
    assert call.a.sent == []


def test_a_socket_that_refuses_ends_nothing(call: Call) -> None:
    call.run(5)
    call.b.refuses = True
    for _ in range(5):
        call.a.say(call.a.next(), call.now)
        call.now += FRAME
    call.b.refuses = False
    call.run(5)
    call.b.settle()
    assert call.b.leg is not None
    assert call.b.leg.counters.unsent == 5
    assert steps(call.b.sent[-5:]) == [(1, 160)] * 4


def test_packets_of_another_length_are_passed_on_as_they_are(call: Call) -> None:
    for _ in range(20):  # 60 ms each
        call.a.say(call.a.next(b"\x20" * 480), call.now)
        for _ in range(3):
            call.b.beat(call.now + 0.007)
            call.now += FRAME
    assert steps(call.b.sent[3:]) == [(1, 480)] * 19


def test_reports_count_what_a_bridge_sent_and_heard(call: Call) -> None:
    call.run(50)
    call.a.settle()
    assert call.a.leg is not None and call.b.leg is not None and call.a.leg.reception is not None
    assert (call.a.leg.counters.received, call.a.leg.reception.received, call.a.leg.reception.lost) == (50, 50, 0)
    out = call.b.leg.outgoing
    assert (out.packets, out.octets, call.b.leg.counters.sent) == (53, 53 * 160, 50)
    assert (out.clock(call.now) - call.b.sent[-1].timestamp) & 0xFFFFFFFF in (319, 320)  # the next one's, 20 ms on


async def test_an_hour_of_interruptions_keeps_to_the_clock(call: Call) -> None:
    chance = np.random.default_rng(1)
    began = call.now
    for _ in range(600):
        call.run(int(chance.integers(5, 200)))
        if chance.random() < 0.5:
            call.b.play(bytes(320 * int(chance.integers(1, 20))))
        else:
            gap = int(chance.integers(1, 40))
            call.a.lose(gap)
            call.run(gap, silent=True)
    call.run(10)
    total = sum(timestamp for _, timestamp in steps(call.b.sent[3:]))
    assert call.now - began > 1000
    assert abs(total / 8000 - (call.now - began)) < 0.06
