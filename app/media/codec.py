"""G.711 to 16-bit linear audio and back, exact by table (ITU-T G.711). Knows no packet and no clock.

A whole packet is one numpy lookup; between the two laws bytes.translate is enough (0.2 µs for 20 ms).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.media.pyvoip import PayloadType

Samples = NDArray[np.int16]

RATE: Final = 8000  # samples a second, of audio and of the RTP clock (RFC 3551 §4.5.14)
FRAME: Final = 160  # samples in 20 ms
SILENCE: Final = {PayloadType.PCMU: 0xFF, PayloadType.PCMA: 0xD5}  # +0 in µ-law, the smallest step in A-law
AUDIO: Final = tuple(SILENCE)


def linear(codec: PayloadType, payload: bytes | bytearray) -> Samples:
    """16-bit little-endian samples of a G.711 payload. (`take` needs half the time of an index in brackets.)"""
    samples: Samples = _TO_LINEAR[codec].take(np.frombuffer(payload, np.uint8))
    return samples


def decode(codec: PayloadType, payload: bytes | bytearray) -> bytes:
    """The same as bytes."""
    return linear(codec, payload).tobytes()


def encode(codec: PayloadType, audio: bytes) -> bytes:
    """The G.711 payload of 16-bit little-endian samples; a half sample at the end is dropped."""
    payload: bytes = _FROM_LINEAR[codec].take(np.frombuffer(audio, "<u2", len(audio) // 2)).tobytes()
    return payload


def transcode(payload: bytes, from_: PayloadType, to: PayloadType) -> bytes:
    """One law's bytes as the other's."""
    return payload if from_ is to else payload.translate(_BETWEEN[from_])


def translation(from_: PayloadType, to: PayloadType) -> bytes | None:
    """The table of `transcode`, for bytearray.translate; None when nothing changes."""
    return None if from_ is to else _BETWEEN[from_]


def _ulaw_to_linear() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = ((((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _alaw_to_linear() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = (code >> 4) & 7
    step = ((code & 0x0F).astype(np.int32) << 4) + 8
    magnitude = np.where(segment, (step + 0x100) << np.maximum(segment.astype(np.int32) - 1, 0), step)
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


def _linear_to_ulaw() -> NDArray[np.uint8]:
    """Indexed by the sample's two bytes as an unsigned number; 14 bits count (G.711 table 2a)."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(sample), 8159) + 33
    segment = np.searchsorted(np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF]), magnitude)
    code = np.where(segment > 7, 0x7F, (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F))
    return (code ^ np.where(sample < 0, 0x7F, 0xFF)).astype(np.uint8)


def _linear_to_alaw() -> NDArray[np.uint8]:
    """Indexed as above; 13 bits count (G.711 table 1a)."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(sample < 0, -sample - 1, sample)
    segment = np.searchsorted(np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF]), magnitude)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return (code ^ np.where(sample < 0, 0x55, 0xD5)).astype(np.uint8)


_TO_LINEAR: Final = {PayloadType.PCMU: _ulaw_to_linear(), PayloadType.PCMA: _alaw_to_linear()}
_FROM_LINEAR: Final = {PayloadType.PCMU: _linear_to_ulaw(), PayloadType.PCMA: _linear_to_alaw()}
_BETWEEN: Final = {
    PayloadType.PCMU: _FROM_LINEAR[PayloadType.PCMA][_TO_LINEAR[PayloadType.PCMU].view("<u2")].tobytes(),
    PayloadType.PCMA: _FROM_LINEAR[PayloadType.PCMU][_TO_LINEAR[PayloadType.PCMA].view("<u2")].tobytes(),
}
