"""Waits for NOTIFY on a connection of its own; knows nothing of what a notification is about."""

from types import TracebackType
from typing import Self


class Listener:
    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def wait(self, timeout: float) -> bool:
        """True: something came, or the connection was just made anew (sweep); False: `timeout` seconds passed."""
        raise NotImplementedError
