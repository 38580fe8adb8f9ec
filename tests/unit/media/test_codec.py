"""Every value of both laws against CPython's own implementation."""

import audioop

import numpy as np
import pytest

from app.media.codec import SILENCE, decode, encode, transcode
from app.media.pyvoip import PayloadType

EVERY_SAMPLE = np.arange(-32768, 32768).astype("<i2").tobytes()
EVERY_CODE = bytes(range(256))
PCMU, PCMA = PayloadType.PCMU, PayloadType.PCMA


def test_every_sample_becomes_the_code_that_audioop_gives():
    assert encode(PCMU, EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert encode(PCMA, EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE, 2)


def test_every_code_becomes_the_sample_that_audioop_gives():
    assert decode(PCMU, EVERY_CODE) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert decode(PCMA, EVERY_CODE) == audioop.alaw2lin(EVERY_CODE, 2)


def test_transcoding_is_decoding_and_encoding():
    assert transcode(EVERY_CODE, PCMU, PCMA) == encode(PCMA, decode(PCMU, EVERY_CODE))
    assert transcode(EVERY_CODE, PCMA, PCMU) == encode(PCMU, decode(PCMA, EVERY_CODE))
    assert transcode(EVERY_CODE, PCMA, PCMA) == EVERY_CODE


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_silence_is_what_no_sound_encodes_to(codec: PayloadType):
    assert encode(codec, bytes(2)) == bytes((SILENCE[codec],))


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_a_quiet_tone_keeps_the_quality_of_g711(codec: PayloadType):
    """37 dB at −20 dBm0; pyVoIP's 8-bit audio keeps 24."""
    tone = (3276 * np.sin(np.arange(8000) * 2 * np.pi * 1004 / 8000)).astype("<i2")
    heard = np.frombuffer(decode(codec, encode(codec, tone.tobytes())), "<i2")
    noise = np.mean((heard.astype(float) - tone) ** 2)
    assert 10 * np.log10(np.mean(tone.astype(float) ** 2) / noise) > 35


def test_half_a_sample_is_dropped():
    assert encode(PCMU, b"\0\0\0") == b"\xff"
    assert decode(PCMU, b"") == b""
