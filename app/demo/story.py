"""What was seen during the demo, as plain values in the order it was seen; judges and draws nothing."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.calls.event import Event

Side = Literal["product", "callee"]

_BY_STATUS = {"initiated": Event.INITIATED, "ringing": Event.RINGING, "in-progress": Event.ANSWERED}


@dataclass(frozen=True, slots=True)
class SipSeen:
    """One SIP message as the callee saw it."""

    at: float  # seconds since the dial request
    by: Side  # who sent it
    text: str  # "INVITE", "180 Ringing", "200 OK (BYE)"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request at the receiver."""

    at: float  # seconds since the dial request
    message_id: str
    parameters: Mapping[str, str]
    attempt: int  # how often this delivery has arrived, this time included
    answered: int  # the HTTP status it got
    problem: str | None  # why its signature is wrong, None when it is right

    @property
    def event(self) -> Event:
        return _BY_STATUS.get(self.status, Event.COMPLETED)

    @property
    def status(self) -> str:
        return self.parameters.get("CallStatus", "")

    @property
    def sequence(self) -> str:
        return self.parameters.get("SequenceNumber", "")


@dataclass(slots=True)
class Story:
    """Grows while the demo runs; `told` is called with each line that is new."""

    told: Callable[[str | SipSeen | Arrival], None] = lambda _: None
    doing: str = ""
    steps: list[str] = field(default_factory=list)  # what was done, and how it went
    sip: list[SipSeen] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    rtp_received: int = 0  # packets, by the callee
    rtp_sent: int = 0
    call: Mapping[str, Any] | None = None  # the parent as the API shows it, newest look
    deliveries: tuple[Mapping[str, Any], ...] = ()  # of the leg, as the API shows them
    _since: float | None = None

    @property
    def leg(self) -> Mapping[str, Any] | None:
        legs = self.call.get("legs") if self.call else None
        return legs[0] if legs else None

    def begin(self) -> None:
        """Times count from here: the dial request leaves."""
        self._since = time.monotonic()

    @property
    def now(self) -> float:
        return 0.0 if self._since is None else time.monotonic() - self._since

    def step(self, text: str) -> None:
        """What is being done now; `done` says how it went."""
        self.doing = text

    def done(self, text: str) -> None:
        self.doing = ""
        self.steps.append(text)
        self.told(text)

    def sip_message(self, by: Side, text: str) -> None:
        seen = SipSeen(self.now, by, text)
        self.sip.append(seen)
        self.told(seen)

    def arrived(self, message_id: str, parameters: Mapping[str, str], *, answered: int, problem: str | None) -> None:
        attempt = 1 + sum(earlier.message_id == message_id for earlier in self.arrivals)
        arrival = Arrival(self.now, message_id, parameters, attempt, answered, problem)
        self.arrivals.append(arrival)
        self.told(arrival)
