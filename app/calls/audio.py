"""What is said and heard on one leg, as a call's logic sees it: linear audio, keys, bridges and recordings. No packets.

Audio is 16-bit little-endian mono at 8,000 samples a second everywhere (`Pcm`).
"""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

Pcm = bytes

RATE = 8000  # samples a second


class Playback(Protocol):
    """Something that is being played on one leg."""

    @property
    def done(self) -> "asyncio.Future[bool]":
        """True: it was played to its end; False: it was stopped, or the leg ended."""

    def stop(self) -> None:
        """At the next frame; what waits behind it goes on. Safe to call twice."""


class Audio(Protocol):
    """One leg's audio. Everything is harmless before media flows (it waits) and after the leg's end (it is done)."""

    def play(self, sound: Pcm, *, times: int = 1) -> Playback:
        """Say `sound` after what is being played already; `times` 0 repeats it until it is stopped.

        While something is played the bridge's other party is not heard.
        """

    def press(self, keys: str) -> Playback:
        """Press keys (0-9 * # A-D, w for half a second): RFC 4733 events, or tones where the peer takes no events."""

    @property
    def has_events(self) -> bool:
        """Whether the peer said that it sends its keys as events (RFC 4733): then its tones are nobody's keys."""

    def listen_for_tones(self, on: bool) -> None:
        """Whether tones in the peer's audio are told as `Pressed`; a peer that has sent an event or INFO needs none."""

    def bridge(self, other: "Audio") -> None:
        """Each hears the other until `part`: packets untouched where both use one codec, else transcoded; keys too.

        Holds, moves and codec changes of either side are survived; the end of either parts them.
        """

    def overhear(self, other: "Audio") -> None:
        """This one hears `other` (early media), which hears nothing of it; until `bridge` or `part`."""

    def part(self) -> None:
        """Leave the bridge, if there is one; both hear comfort silence."""


class TakeEnd(StrEnum):
    """Why a take ended."""

    STOPPED = "stopped"
    SILENCE = "silence"
    MAX_LENGTH = "max-length"
    LEG_ENDED = "leg-ended"
    FAILED = "failed"  # the disk is full, …


class FilePath(Protocol):
    """A file's path, as `pathlib` has it; nobody opens it here."""

    def __fspath__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A finished take: a WAV file that is whole, on this machine."""

    path: FilePath
    seconds: float
    channels: int
    size: int  # bytes
    end: TakeEnd
    spoken: bool = True  # false: only silence was heard, by a take that ends with silence


class Take(Protocol):
    """A recording while it runs. What was heard until a second ago is on disk, as a WAV file that can be read."""

    @property
    def done(self) -> "asyncio.Future[Taken]":
        """Set when the take ended, by itself or by `stop`, and its file is whole."""

    def stop(self) -> None:
        """Safe to call twice."""


@dataclass(frozen=True, slots=True)
class TakeOrder:
    """What to record. One channel: everything that was said and heard, mixed. Two: the first is the caller's."""

    name: str  # the recording's sid: names the file
    channels: Literal[1, 2] = 1
    max_seconds: float = 86_400
    silence: float | None = None  # seconds without speech after which it ends by itself


class Recorder(Protocol):
    """Makes recordings on this machine's disk."""

    def begin(self, order: TakeOrder, *, caller: Audio | None, callee: Audio | None) -> Take:
        """Record what these two say (None: silence, nobody is there). Raises OSError when no file can be made.

        For one leg alone (`<Record>`) it is the `caller`, and the callee is None.
        """
