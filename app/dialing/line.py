"""One leg as verbs see it: its record, its audio, the keys that its party presses. Knows neither phone nor document."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.calls.audio import Audio
from app.dialing.record import Record


class KeyPad:
    """Tells each key to everybody who listens at that moment; what nobody listens to is forgotten."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Queue[str]] = []

    def press(self, key: str) -> None:
        for listener in self._listeners:
            listener.put_nowait(key)

    @contextmanager
    def listen(self) -> Iterator["asyncio.Queue[str]"]:
        """The keys from now on."""
        keys: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(keys)
        try:
            yield keys
        finally:
            self._listeners.remove(keys)


class Line(Protocol):
    """A leg that verbs can be performed on."""

    @property
    def record(self) -> Record: ...

    @property
    def audio(self) -> Audio: ...

    @property
    def keys(self) -> KeyPad: ...

    def ring(self) -> None:
        """Let the party of an inbound call know that it will be answered; of others nothing is left to do."""

    async def answer(self) -> None:
        """See to it that its party hears: an inbound call is answered, of others nothing is left to do."""
