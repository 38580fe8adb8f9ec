"""RtpLeg without sockets: what pyVoIP's names give, and what it does with each packet."""

import numpy as np
import pytest

from app.media.codec import decode, encode
from app.media.leg import RtpLeg
from app.media.packet import Packet, unpack
from app.media.pyvoip import PayloadType, RTPClient

PCMU, PCMA, EVENT = PayloadType.PCMU, PayloadType.PCMA, PayloadType.EVENT


class Nowhere:
    local_host, local_port = "127.0.0.1", 4000

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


def leg(assoc: dict[int, PayloadType] | None = None, keys: list[str] | None = None) -> RtpLeg:
    dtmf = None if keys is None else keys.append
    return RtpLeg(Nowhere(), assoc or {0: PCMU, 101: EVENT}, "192.0.2.9", 5000, dtmf=dtmf)


def packet(
    sequence: int, *, kind: int = 0, payload: bytes = b"\x20" * 160, ssrc: int = 1, timestamp: int = -1
) -> Packet:
    return Packet(kind, False, sequence, sequence * 160 if timestamp < 0 else timestamp, ssrc, payload)


def sent(made: RtpLeg) -> Packet:
    packet = unpack(bytes(made.outgoing.frame()))
    assert packet is not None
    return packet


def test_it_is_pyvoips_client():
    made = leg()
    assert isinstance(made, RTPClient)
    assert (made.inIP, made.inPort, made.outIP, made.outPort) == ("127.0.0.1", 4000, "192.0.2.9", 5000)
    assert made.preference is PCMU


def test_what_was_replaced_fails_loudly():
    with pytest.raises(AttributeError):
        leg().pmin  # noqa: B018


def test_starting_and_stopping_the_client_is_starting_and_stopping_its_session():
    session = Nowhere()
    made = RtpLeg(session, {0: PCMU}, "192.0.2.9", 5000)
    made.start()
    made.stop()
    assert (session.calls, made.NSD) == (["start", "stop"], False)


@pytest.mark.parametrize("assoc", [{}, {101: EVENT}, {18: PayloadType.G729, 9: PayloadType.G722}])
def test_without_g711_there_is_no_leg(assoc: dict[int, PayloadType]):
    with pytest.raises(ValueError, match="PCMU"):
        RtpLeg(Nowhere(), assoc, "192.0.2.9", 5000)


def test_the_first_codec_that_we_have_is_sent():
    made = leg({18: PayloadType.G729, 101: EVENT, 8: PCMA, 0: PCMU})
    assert made.preference is PCMA
    assert sent(made).payload_type == 8


def test_audio_heard_is_read_as_16_bit():
    made = leg()
    made.hear(packet(1), 0.0)
    assert made.read(160, False) == decode(PCMU, b"\x20" * 160)
    assert made.read() == bytes(320)


def test_pcma_is_sent_as_a_law():
    made = leg({8: PCMA})
    ramp = np.arange(0, 16_000, 100).astype("<i2").tobytes()
    made.write(ramp)
    assert sent(made).payload == encode(PCMA, ramp)


def test_writing_without_end_is_bounded():
    made = leg()
    made.write(bytes(1_000_000))
    assert made.room == 0


def test_a_payload_type_that_was_not_negotiated_is_ignored():
    made = leg()
    made.hear(packet(1, kind=8), 0.0)
    made.hear(packet(2, kind=13), 0.0)
    assert (made.counters.unknown_type, made.counters.received) == (2, 0)


def test_doubles_late_ones_and_jumps_are_told_apart():
    made = leg()
    for sequence in (10, 12, 11, 12, 40_000):
        made.hear(packet(sequence), 0.0)
    counters = made.counters
    assert (counters.received, counters.late, counters.duplicates, counters.jumps) == (3, 1, 1, 1)


def test_another_ssrc_is_another_stream_and_starts_anew():
    made = leg()
    made.hear(packet(10, ssrc=1), 0.0)
    made.hear(packet(10, ssrc=2), 0.0)
    assert made.counters.received == 2
    assert made.reception is not None
    assert made.reception.ssrc == 2


def test_a_key_is_reported_once_by_pyvoip_whichever_of_its_packets_came():
    keys: list[str] = []
    made = leg(keys=keys)
    for sequence in (1, 2, 3):
        made.hear(packet(sequence, kind=101, timestamp=800, payload=bytes((11, 0x8A, 3, 32))), 0.0)
    made.hear(packet(4, kind=101, timestamp=2400, payload=bytes((15, 10, 0, 160))), 0.0)
    assert (keys, made.counters.keys) == (["#", "D"], 2)


def test_a_broken_key_is_no_key():
    keys: list[str] = []
    made = leg(keys=keys)
    for sequence, payload in enumerate((b"", b"\x01", bytes((16, 10, 0, 160)), bytes((99, 10, 0, 160)))):
        made.hear(packet(sequence, kind=101, timestamp=800 * sequence, payload=payload), 0.0)
    assert keys == []


def test_both_numbers_of_telephone_event_are_heard_and_the_first_is_sent():
    keys: list[str] = []
    made = leg({0: PCMU, 96: EVENT, 101: EVENT}, keys)
    made.hear(packet(1, kind=101, timestamp=800, payload=bytes((1, 10, 0, 160))), 0.0)
    made.hear(packet(2, kind=96, timestamp=2400, payload=bytes((2, 10, 0, 160))), 0.0)
    assert keys == ["1", "2"]
    assert made.send_digit("5")
    assert sent(made).payload_type == 96


def test_a_peer_without_telephone_events_cannot_be_sent_a_key():
    assert leg({0: PCMU}).send_digit("5") is False


def test_a_short_hold_up_is_caught_up_with_and_a_long_one_is_skipped():
    made = leg()
    before = made.outgoing.timestamp
    assert made.due(4) == 4
    assert made.outgoing.timestamp == before
    assert made.due(100) == 5
    assert (made.outgoing.timestamp - before) & 0xFFFFFFFF == 95 * 160
