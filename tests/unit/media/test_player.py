"""What is said on a leg, frame by frame."""

import numpy as np
import pytest

from app.media import tones
from app.media.codec import decode, encode
from app.media.outgoing import Outgoing
from app.media.packet import Packet, unpack
from app.media.player import Voice
from app.media.pyvoip import PayloadType

PCMU, PCMA = PayloadType.PCMU, PayloadType.PCMA


@pytest.fixture
def out() -> Outgoing:
    made = Outgoing()
    made.use(PCMU, 0, 101)
    return made


def pcm(samples: int, level: int = 8000) -> bytes:
    return np.full(samples, level, "<i2").tobytes()


def frames(voice: Voice, out: Outgoing, count: int) -> list[Packet]:
    packets = [unpack(bytes(voice.frame(out))) for _ in range(count)]
    return [packet for packet in packets if packet is not None]


async def test_sounds_are_said_one_after_the_other_to_their_ends(out: Outgoing) -> None:
    voice = Voice()
    first, second = voice.play(pcm(400), 1), voice.play(pcm(160, -8000), 1)
    said = [packet.payload for packet in frames(voice, out, 3)]
    assert said[0] == encode(PCMU, pcm(160))
    assert said[2] == encode(PCMU, pcm(80)) + b"\xff" * 80
    assert not first.done.done()
    assert frames(voice, out, 1)[0].payload == encode(PCMU, pcm(160, -8000))
    assert first.done.result() is True
    assert voice.busy
    frames(voice, out, 1)
    assert second.done.result() is True
    assert not voice.busy


async def test_a_long_sound_is_said_whole(out: Outgoing) -> None:
    sound = np.random.default_rng(2).integers(-9000, 9000, 8000 * 3 + 77).astype("<i2").tobytes()
    voice = Voice()
    voice.play(sound, 1)
    said = b"".join(packet.payload for packet in frames(voice, out, 151))
    assert said[: len(sound) // 2] == encode(PCMU, sound)


@pytest.mark.parametrize("samples", [50, 100, 160, 8001])
async def test_a_sound_is_repeated_without_a_gap(out: Outgoing, samples: int) -> None:
    sound = np.random.default_rng(2).integers(-9000, 9000, samples).astype("<i2").tobytes()
    voice = Voice()
    playback = voice.play(sound, 3)
    said = b"".join(packet.payload for packet in frames(voice, out, 3 * samples // 160 + 2))
    assert said[: 3 * samples] == encode(PCMU, sound * 3)
    assert playback.done.result() is True


async def test_endless_means_until_it_is_stopped_and_the_next_goes_on(out: Outgoing) -> None:
    voice = Voice()
    endless, next_ = voice.play(pcm(170), 0), voice.play(pcm(160, -8000), 1)
    assert {packet.payload for packet in frames(voice, out, 500)} == {encode(PCMU, pcm(160))}
    endless.stop()
    endless.stop()
    assert endless.done.result() is False
    assert frames(voice, out, 1)[0].payload == encode(PCMU, pcm(160, -8000))
    frames(voice, out, 1)
    assert next_.done.result() is True


@pytest.mark.parametrize("times", [0, 1, 5])
async def test_nothing_is_said_at_once(out: Outgoing, times: int) -> None:
    voice = Voice()
    playback = voice.play(b"", times)
    frames(voice, out, 1)
    assert playback.done.result() is True


async def test_a_codec_that_changes_changes_what_is_left(out: Outgoing) -> None:
    voice = Voice()
    voice.play(pcm(1600), 1)
    frames(voice, out, 3)
    out.use(PCMA, 8, 101)
    assert frames(voice, out, 1)[0].payload == encode(PCMA, pcm(160))


async def test_keys_are_events_in_order_and_w_is_half_a_second(out: Outgoing) -> None:
    voice = Voice()
    playback = voice.press("1w#d")
    packets = frames(voice, out, 80)
    assert playback.done.result() is True
    starts = [index for index, packet in enumerate(packets) if packet.payload_type == 101 and packet.marker]
    assert [packets[index].payload[0] for index in starts] == [1, 11, 15]
    assert starts[1] - starts[0] > 25 + 8
    assert starts[2] - starts[1] < 20


async def test_keys_are_tones_where_events_are_not_taken(out: Outgoing) -> None:
    out.use(PCMA, 8, None)
    voice = Voice()
    playback = voice.press("5")
    packets = frames(voice, out, 12)
    assert playback.done.result() is True
    heard = b"".join(decode(PCMA, packet.payload) for packet in packets)
    tone = tones.key("5", 0.12)
    assert heard[: len(tone)] == decode(PCMA, encode(PCMA, tone))


async def test_keys_go_before_a_sound_that_waits_meanwhile(out: Outgoing) -> None:
    voice = Voice()
    sound = np.random.default_rng(2).integers(-9000, 9000, 1600).astype("<i2").tobytes()
    voice.play(sound, 1)
    head = frames(voice, out, 2)
    voice.press("1")
    rest = frames(voice, out, 25)
    said = b"".join(packet.payload for packet in head + rest if packet.payload_type == 0)
    assert said.replace(b"\xff" * 160, b"")[:1600] == encode(PCMU, sound)
    assert any(packet.payload_type == 101 for packet in rest)


@pytest.mark.parametrize("keys", ["x", "12 3", "é"])
async def test_what_is_no_key_cannot_be_pressed(keys: str) -> None:
    with pytest.raises(ValueError, match="not a DTMF key"):
        Voice().press(keys)


async def test_the_end_of_the_leg_ends_what_is_said_and_what_comes_later() -> None:
    voice = Voice()
    before = [voice.play(pcm(160), 0), voice.press("1")]
    voice.close()
    after = [voice.play(pcm(160), 1), voice.press("2")]
    assert [playback.done.result() for playback in before + after] == [False] * 4
    after[0].stop()
    assert not voice.busy
