"""How many set-ups may be in flight at once; the others wait their turn. Knows nothing of SIP.

Mandatory: without a window 2,000 new calls/s collapsed to 79, with 31,000 retransmissions; with 64, nothing failed.
"""

import asyncio
from collections import deque
from collections.abc import Callable

WINDOW = 64


class Ticket:
    """One set-up: waiting, in flight, or done."""

    __slots__ = ("_admission", "_expiry", "_start", "in_flight")

    def __init__(self, admission: "Admission", start: Callable[[], None]) -> None:
        self._admission = admission
        self._start: Callable[[], None] | None = start
        self._expiry: asyncio.TimerHandle | None = None
        self.in_flight = False

    def go(self, seconds: float) -> None:
        start, self._start = self._start, None
        if start is not None:
            self.in_flight = True
            self._expiry = asyncio.get_running_loop().call_later(seconds, self.leave)
            start()

    def leave(self) -> None:
        """The first answer came, or the set-up is over before its turn; safe to call twice."""
        self._start = None
        if self._expiry is not None:
            self._expiry.cancel()
        if self.in_flight:
            self.in_flight = False
            self._admission.left()

    @property
    def is_waiting(self) -> bool:
        return self._start is not None


class Admission:
    """First come, first served. A set-up leaves the window with its first answer, or after `patience` seconds.

    A phone that rings, or a target that never answers, holds nobody else up.
    """

    def __init__(self, patience: float, window: int = WINDOW) -> None:
        self._patience = patience
        self._window = window
        self._in_flight = 0
        self._waiting: deque[Ticket] = deque()

    def enter(self, start: Callable[[], None]) -> Ticket:
        """Call `start` when there is room: now, or later."""
        ticket = Ticket(self, start)
        self._waiting.append(ticket)
        self._admit()
        return ticket

    def left(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self._window:
            ticket = self._waiting.popleft()
            if ticket.is_waiting:
                self._in_flight += 1
                ticket.go(self._patience)
