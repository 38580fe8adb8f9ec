"""Makes one press of what came by two ways: many phones send a key as telephone event and as INFO. Knows no call."""

import asyncio
from collections.abc import Callable
from typing import Literal

By = Literal["rtp", "info", "tone"]

_APART = 0.2  # seconds that the two may lie apart, besides the time that the key was held down
_LONGEST = 5.0  # seconds that we believe a key was held down


class KeyPresses:
    """Tells each press once.

    A bridge passes telephone events on as packets, so of two ways the event is the one to be told: from a peer that has
    sent one, an INFO waits for its twin. Whoever has sent either needs no ear for its tones: they are echoes.
    Gateways let the beginning of a tone through before they make an event of it: their first key may come as both.
    """

    def __init__(self, tell: Callable[[str, By], None]) -> None:
        self._tell = tell
        self._sends_events = self._sends_info = False
        self._unmatched: dict[By, tuple[str, float]] = {}  # the newest press of each way: key, loop time
        self._waiting: dict[str, asyncio.TimerHandle] = {}  # INFO that may have a twin, by key

    def close(self) -> None:
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()

    def event(self, key: str) -> None:
        """A telephone event (RFC 4733): it is told when the key goes down."""
        self._sends_events = True
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            waiting.cancel()
            self._tell(key, "rtp")
        elif not (self._is_twin_of("info", key, _APART) or self._is_twin_of("tone", key, _APART)):
            self._unmatched["rtp"] = key, _now()
            self._tell(key, "rtp")

    def info(self, key: str, held: float = 0.0) -> None:
        """An INFO: most phones send it when the key goes up, `held` seconds after the event began."""
        self._sends_info = True
        apart = _APART + min(held, _LONGEST)
        if self._is_twin_of("rtp", key, apart) or self._is_twin_of("tone", key, apart):
            return
        if self._sends_events and key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().call_later(_APART, self._alone, key)
        else:
            self._unmatched["info"] = key, _now()
            self._tell(key, "info")

    def tone(self, key: str) -> None:
        """A tone in the peer's audio."""
        if not (self._sends_events or self._sends_info):
            self._unmatched["tone"] = key, _now()
            self._tell(key, "tone")

    def _alone(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._tell(key, "info")

    def _is_twin_of(self, other: By, key: str, seconds: float) -> bool:
        """Whether the other way has told this press; each press has one twin, so that ``55`` stays two."""
        found = self._unmatched.get(other)
        if found is None or found[0] != key or _now() - found[1] > seconds:
            return False
        del self._unmatched[other]
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
