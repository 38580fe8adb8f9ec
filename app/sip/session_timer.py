"""Session timers (RFC 4028) as values: who refreshes, when, and when the session is dead. Starts no timer itself."""

import re
from dataclasses import dataclass, replace

from app.sip.build import Header
from app.sip.message import SipMessage

SMALLEST = 90  # seconds, RFC 4028 §4
_SOONEST = 0.5  # seconds between two refreshes, whatever the peer asks for

_VALUE = re.compile(r"\s*+([0-9]{1,9})\s*+(?:;.*)?\Z", re.DOTALL)
_REFRESHER = re.compile(r";\s*+refresher\s*+=\s*+(uac|uas)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """What a 2xx or a refresh settled, as we see it."""

    interval: int  # seconds
    ours: bool  # we refresh, else the peer does
    asked: int = 0  # seconds that the peer wrote, if fewer than it may: it counts by them all the same

    @property
    def due(self) -> float:
        """Seconds until the next thing to do: our refresh at the half (§7.2), or giving the peer up (§10)."""
        if self.ours:
            return max(_SOONEST, (self.asked or self.interval) / 2)
        return self.interval - min(32.0, self.interval / 3)

    def value(self, *, request_is_ours: bool) -> str:
        """As in Session-Expires; uac is whoever sent the request that it stands in or answers."""
        return f"{self.interval};refresher={'uac' if self.ours == request_is_ours else 'uas'}"


def settled(message: SipMessage, *, request_is_ours: bool) -> SessionTimer | None:
    """The timer that `message` settles: a 2xx to our request, or a request of the peer. None: no timer.

    A request that leaves the choice to us makes the peer refresh: it has asked for the timer.
    """
    value = message.first("session-expires")
    match = _VALUE.match(value or "")
    if match is None or value is None:
        return None
    asked = int(match[1])
    interval = max(SMALLEST, asked)
    refresher = _REFRESHER.search(value)
    ours = request_is_ours if refresher is None else (refresher[1].lower() == "uac") == request_is_ours
    return SessionTimer(interval, ours=ours, asked=asked if asked < interval else 0)


def granted(request: SipMessage) -> tuple[SessionTimer, list[Header]] | None:
    """The timer that a 2xx of ours to `request` settles, and its headers (§9).

    A proxy may have asked for it: a peer that knows no timers does not refresh, and is not required to know them.
    """
    timer = settled(request, request_is_ours=False)
    if timer is None:
        return None
    knows = any(option.lower() == "timer" for name in ("supported", "require") for option in request.all(name))
    if not knows:
        timer = replace(timer, ours=True)
    headers = [("Session-Expires", timer.value(request_is_ours=False))]
    return timer, headers if timer.ours and not knows else [*headers, ("Require", "timer")]


def too_small(request: SipMessage) -> bool:
    """Whether a request asks for less than we do (§9: 422)."""
    match = _VALUE.match(request.first("session-expires") or "")
    return match is not None and int(match[1]) < SMALLEST


def least(message: SipMessage) -> int:
    """The fewest seconds that a 422, or a request of the peer, allows; 0 when it names none."""
    match = _VALUE.match(message.first("min-se") or "")
    return int(match[1]) if match is not None else 0


def demanded(refusal: SipMessage, timer: SessionTimer) -> SessionTimer | None:
    """What a 422 to our refresh asks for (§7.3); None: no more than it was offered."""
    interval = least(refusal)
    return SessionTimer(interval, timer.ours) if interval > timer.interval else None
