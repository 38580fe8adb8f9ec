"""Whoever listens to what a peer says, packet by packet: a recording, or the ear for tones. Knows no socket."""

from collections.abc import Callable
from typing import Protocol

from app.media.pyvoip import PayloadType

Heard = tuple[PayloadType, int, float, bytes]  # codec, RTP timestamp, when it came (loop's clock), payload


class Tap(Protocol):
    """Listens to one leg from `RtpSession.tap` to `untap` or the leg's end."""

    @property
    def heard(self) -> Callable[[Heard], object]:
        """Called for each audio packet, late ones included, doubles not."""

    def ended(self) -> None:
        """The leg ended."""
