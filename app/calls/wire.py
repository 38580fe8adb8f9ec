"""One SIP message of a leg as it is kept for people to look at: credentials masked. Knows no syntax of SIP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.calls.sid import CallSid

Address = tuple[str, int]  # IP literal, port
Sense = Literal["sent", "received"]


@dataclass(frozen=True, slots=True)
class WireCopy:
    """A copy of one message that was on the wire."""

    call_sid: CallSid  # the leg's
    seq: int  # from 0 within one leg and process
    at: datetime
    direction: Sense
    transport: str  # udp, tcp, tls
    local: Address
    remote: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many messages of a leg are not kept, so far: over its limit, or lost before they were stored."""

    call_sid: CallSid
    at: datetime
    messages: int


def address_text(address: Address) -> str:
    """``192.0.2.1:5060`` or ``[2001:db8::1]:5060``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(text: str) -> Address:
    """The reverse of `address_text`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
