"""The hook that sees every SIP message on its way in or out. Keeps nothing and must cost next to nothing."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from app.calls.sid import CallSid

Address = tuple[str, int]


class WireMessage(NamedTuple):
    """One message as it is on the wire."""

    direction: Literal["in", "out"]
    transport: str
    local: Address
    remote: Address
    data: bytes
    at: datetime


OnMessage = Callable[[WireMessage], None]  # called on the event loop: must return at once and raise nothing
# A Call-ID, the leg's sid, and the leg unless it is a stranger's. An incoming leg has no sid at first: what was seen of
# it, its INVITE included, is to be kept until it is told once more with one.
OnLeg = Callable[[str, CallSid | None, object | None], None]
