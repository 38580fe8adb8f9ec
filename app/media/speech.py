"""Text to `Pcm`, in a crew of speech processes. Knows no voice: those are in the processes' program."""

import os
import time
from typing import Final

from prometheus_client import Histogram

from app.calls.audio import RATE, Pcm
from app.calls.sources import SourceError
from app.media.crew import Crew, CrewError, Rules

_PROGRAM: Final = "app.media.speaker"
_MAX_SECONDS: Final = 3600  # of speech; 4,096 digits in the slowest language come to a third of that

_SECONDS = Histogram(
    "dial_speech_seconds",
    "Time to speak a text, waiting for a process included.",
    buckets=(0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)


class Speaker:
    """eSpeak NG's voices. Texts are spoken in the order in which they come."""

    def __init__(self, *, hands: int | None = None, seconds: float = 20.0) -> None:
        hands = hands or max(2, min(4, (os.cpu_count() or 1) // 2))
        self._crew = Crew(Rules(_PROGRAM, hands, seconds, most=2 * RATE * _MAX_SECONDS))

    async def speak(self, text: str, *, voice: str | None, language: str | None) -> Pcm:
        """Raises SourceError."""
        started = time.monotonic()
        order = {"text": text, "voice": voice, "language": language}
        try:
            return await self._crew.do(order)
        except CrewError as error:
            raise SourceError(f"the text cannot be spoken: {error}") from None
        finally:
            _SECONDS.observe(time.monotonic() - started)

    async def stop(self) -> None:
        await self._crew.stop()

    @property
    def pids(self) -> list[int]:
        """Of its processes."""
        return self._crew.pids
