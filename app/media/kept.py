"""Sounds that were had lately, up to so many bytes; the one unused longest gives way. Fetches and makes none."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from app.calls.audio import Pcm
from app.calls.sources import MediaVersion

_PER_SOUND = 512  # bytes for key and bookkeeping: many empty sounds count, too


@dataclass(frozen=True, slots=True)
class Kept:
    sound: Pcm
    fresh_until: float = float("inf")  # on the loop's clock
    version: MediaVersion | None = None


class Shelf:
    """The longest sound there may be, an hour, has room, if only alone."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._used = 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()

    @property
    def used(self) -> int:
        """Bytes."""
        return self._used

    def get(self, key: Hashable) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: Hashable, kept: Kept) -> None:
        self.drop(key)
        size = _size(kept)
        if size > self._room:
            return
        self._kept[key] = kept
        self._used += size
        while self._used > self._room:
            _, oldest = self._kept.popitem(last=False)
            self._used -= _size(oldest)

    def drop(self, key: Hashable) -> None:
        """Safe to call twice."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._used -= _size(kept)

    def clear(self) -> None:
        self._kept.clear()
        self._used = 0


def _size(kept: Kept) -> int:
    return len(kept.sound) + _PER_SOUND
