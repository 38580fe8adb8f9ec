"""The program that decodes audio files, one after the other (`python -m`): a process that a hostile file may kill.

Content decides, never a name or a Content-Type; what is neither WAV, MP3, OGG nor FLAC is not looked into.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final, cast

import av
import av.logging
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from app.media.hand import CannotDo, Fence, Order, serve
from app.media.resample import RATE, Resampler, shape

MAX_SECONDS: Final = 3600
_MAX_BYTES: Final = 2 * RATE * MAX_SECONDS
_RATES: Final = range(1000, 384_001)
_MAX_CHANNELS: Final = 8

# Loaded it has 140 MB of addresses, 51 MB of them resident: the rest is what a file may take.
FENCE: Final = Fence(memory=448 * 1024 * 1024, cpu=30, file=_MAX_BYTES + 4096)

# Without these lists a "WAV file" may be a playlist, which libavformat would follow to any file or address that it
# names, and cover art would be decoded to learn its size.
_OPTIONS: Final = {
    "format_whitelist": "wav,mp3,ogg,flac",
    "codec_whitelist": (
        "pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_mulaw,pcm_alaw,"
        "mp3float,mp3,vorbis,opus,flac"
    ),
    "protocol_whitelist": "none",
    "probesize": "1000000",
}


def decode(order: Order, content: BinaryIO, sound: BinaryIO) -> None:
    """Read a file from `content`, write 16-bit mono 8 kHz to `sound`. Raises CannotDo."""
    try:
        with av.open(content, "r", options=_OPTIONS) as container:
            if not container.streams.audio:
                raise CannotDo("there is no audio in it")
            stream = container.streams.audio[0]
            codec = cast(
                "AudioCodecContext | None", stream.codec_context
            )  # PyAV's types do not know that it may be None
            if codec is None:
                raise CannotDo("its audio is of a kind that cannot be read")
            codec.thread_count = 1
            _write(_resampled(_frames(container.demux(stream))), sound)
    except (av.FFmpegError, ValueError, OverflowError, EOFError) as error:
        raise CannotDo("it is neither WAV, MP3, OGG nor FLAC, or is damaged") from error


def _frames(packets: Iterator["av.Packet[AudioStream]"]) -> Iterator[AudioFrame]:
    """A damaged packet in the middle costs its own audio only, as in any player; a file of nothing else is an error."""
    good, bad = 0, None
    while True:
        try:
            for frame in next(packets).decode():
                good += 1
                yield frame
        except StopIteration:
            break
        except av.InvalidDataError as error:
            bad = error
    if not good:
        raise bad or CannotDo("there is no audio in it")


def _resampled(frames: Iterator[AudioFrame]) -> Iterator[bytes]:
    """Rate, format or channels may change on the way: OGG files can be chained, MP3 frames stand alone."""
    resampler: Resampler | None = None
    for frame in frames:
        if frame.sample_rate not in _RATES or not 0 < frame.layout.nb_channels <= _MAX_CHANNELS:
            raise CannotDo(f"it has {frame.layout.nb_channels} channels at {frame.sample_rate} Hz")
        if resampler is None or resampler.shape != shape(frame):
            if resampler is not None:
                yield from resampler.finish()
            resampler = Resampler(frame)
        yield from resampler.push(frame)
    if resampler is not None:
        yield from resampler.finish()


def _write(samples: Iterator[bytes], sound: BinaryIO) -> None:
    written = 0
    for some in samples:
        written += len(some)
        if written > _MAX_BYTES:
            raise CannotDo(f"it is longer than {MAX_SECONDS // 60} minutes")
        sound.write(some)


if __name__ == "__main__":
    av.logging.set_level(None)
    serve(decode, FENCE)
