"""Audio files to `Pcm`, in a crew of decoding processes. Knows no codec: those are in the processes' program."""

import os
import time
from typing import Final

from prometheus_client import Histogram

from app.calls.audio import RATE, Pcm
from app.calls.sources import SourceError
from app.media.crew import Crew, CrewError, HandLost, Rules

MAX_SECONDS: Final = 3600  # of audio; the program refuses more
_PROGRAM: Final = "app.media.decoder"

_SECONDS = Histogram(
    "dial_decode_seconds",
    "Time to decode an audio file, waiting for a process included.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60),
)


class Decoder:
    """WAV (PCM, float, µ-law, A-law), MP3, OGG (Vorbis, Opus) and FLAC, any rate, up to eight channels."""

    def __init__(self, *, hands: int | None = None, seconds: float = 60.0) -> None:
        hands = hands or max(2, min(4, (os.cpu_count() or 1) // 2))
        self._crew = Crew(Rules(_PROGRAM, hands, seconds, most=2 * RATE * MAX_SECONDS))

    async def decode(self, content: bytes) -> Pcm:
        """Raises SourceError."""
        started = time.monotonic()
        try:
            return await self._crew.do({}, content)
        except HandLost:
            raise SourceError("the file cannot be decoded") from None
        except CrewError as error:
            raise SourceError(f"the file cannot be decoded: {error}") from None
        finally:
            _SECONDS.observe(time.monotonic() - started)

    async def stop(self) -> None:
        await self._crew.stop()

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return self._crew.pids
