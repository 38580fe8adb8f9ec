"""Who hears whom: makes and ends the relays between two legs. Knows no packet and no socket."""

from app.media.packet import Buffer
from app.media.relay import End, Relay


def join(one: End, other: End, buffer: Buffer, *, both: bool) -> None:
    """Let `one` hear `other`, and the other way round if `both`. What either heard before, it hears no longer."""
    part(one)
    part(other)
    if one is other or one.stopped or other.stopped:
        return
    one.inflow = other.outflow = Relay(other, one, buffer)
    if both:
        other.inflow = one.outflow = Relay(one, other, buffer)


def part(leg: End) -> None:
    """Let `leg` hear nobody and nobody hear it."""
    for relay in (leg.inflow, leg.outflow):
        if relay is not None:
            relay.settle()
            relay.source.heard(relay.heard_at)
            relay.source.outflow = relay.target.inflow = None
