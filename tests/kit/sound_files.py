"""Sound files of every kind, made on the spot: what they hold is known, so what is heard can be compared with it."""

import io
import math
import struct

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def chirp(seconds: float = 2.0, rate: int = 8000, *, level: float = 12_000) -> Samples:
    """From 300 Hz up to 3,300 Hz: every moment is unlike every other."""
    at = np.arange(int(seconds * rate)) / rate
    return np.asarray(level * np.sin(2 * math.pi * (300 * at + 1500 * at * at / seconds)))


def encoded(
    container: str, codec: str, samples: Samples, *, rate: int = 48_000, channels: int = 1, **options: str
) -> bytes:
    """A file of `samples`, the same in every channel."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, options=options)
        if not isinstance(stream, AudioStream):
            raise TypeError(codec)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(
            np.repeat(samples.astype("<i2"), channels).reshape(1, -1), format="s16", layout=layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    return file.getvalue()


def wav(samples: Samples, *, rate: int = 8000, channels: int = 1) -> bytes:
    return encoded("wav", "pcm_s16le", samples, rate=rate, channels=channels)


def wav_by_hand(data: bytes, *, tag: int = 1, rate: int = 8000, channels: int = 1, bits: int = 16) -> bytes:
    """Whatever the header says."""
    block = channels * bits // 8
    fields = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits)
    form = b"WAVE" + b"fmt " + struct.pack("<I", len(fields)) + fields + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(form)) + form


def heard(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def likeness(pcm: bytes, source: Samples, *, shift: int = 400) -> float:
    """Correlation with `source` (8 kHz) at the best shift of at most `shift` samples either way."""
    sound, length = heard(pcm), len(source)
    padded = np.pad(sound, (shift, shift + max(0, length - len(sound))))
    size = len(padded) + length
    crossed = np.fft.irfft(np.fft.rfft(padded, size) * np.conj(np.fft.rfft(source, size)), size)
    best = int(np.argmax(crossed[: 2 * shift + 1]))
    return float(np.corrcoef(padded[best : best + length], source)[0, 1])


def strength(pcm: bytes, hertz: float) -> float:
    """Amplitude of the sine of that frequency."""
    sound = heard(pcm)
    turning = np.exp(-2j * math.pi * hertz * np.arange(len(sound)) / 8000)
    return float(2 * abs(np.dot(sound, turning)) / len(sound))
