"""Whoever listens to what a peer says, packet by packet: a recording, or the ear for tones. Knows no socket."""

from collections.abc import Callable
from typing import Protocol

from app.media.pyvoip import PayloadType

# One packet, or some without a gap: codec, RTP timestamp, when the first one came (loop's clock) or would have come by
# the earliest of them, all payloads, and how long each is.
Heard = tuple[PayloadType, int, float, bytes, int]


class Tap(Protocol):
    """Listens to one leg from `RtpSession.tap` to `untap` or the leg's end."""

    @property
    def prompt(self) -> bool:
        """Whether it wants each packet at once; else a bridge hands over many at a time, when the leg is settled."""

    @property
    def heard(self) -> Callable[[Heard], object]:
        """Called for all audio packets, late ones included, doubles not."""

    def ended(self) -> None:
        """The leg ended."""
