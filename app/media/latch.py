"""Who the peer is on the wire: the negotiated address, or behind NAT the first valid source, once. Knows no socket.

Without this anybody who guesses a port could listen and speak (RTP bleed).
"""

import ipaddress
from typing import Final

from app.media.packet import Packet

Source = tuple[str, int]

_PROBATION: Final = 4  # packets in sequence from one source with one SSRC (RFC 3550 A.1 asks for 2)


class Latch:
    """Judges every packet's source until it has settled, and afterwards lets only that source in."""

    __slots__ = ("_candidate", "_latched", "_run", "negotiated", "peer", "settled")

    def __init__(self, address: str, port: int) -> None:
        self.negotiated: Source = (address, port)
        self.peer: Source = (address, port)  # where to send
        self.settled = False  # the negotiated address itself has sent: nothing can change any more
        self._latched = False  # onto another source; that happens once
        self._candidate: tuple[Source, int] | None = None
        self._run = (0, 0)  # packets in sequence from the candidate, the sequence number that comes next

    @property
    def behind_nat(self) -> bool:
        """Whether packets come from another source than was negotiated."""
        return self._latched and not self.settled

    def admits(self, source: Source) -> bool:
        """Whether `source` is the peer for certain: asked of every packet, so it is cheap."""
        return self.settled and source == self.peer

    def judge(self, source: Source, packet: Packet) -> bool:
        """Whether this packet, which no certainty admits, is the peer's."""
        if source == self.negotiated:
            self.peer, self.settled = source, True  # always wins: whoever came first behind its back is out
            return True
        if self.settled:
            return False
        if self._latched:
            return source == self.peer
        return self._may_be_nat(source[0]) and self._passes(source, packet)

    def _may_be_nat(self, host: str) -> bool:
        """A NAT changes the port, and the address when the peer named one from behind it."""
        return host == self.negotiated[0] or _is_inner(self.negotiated[0])

    def _passes(self, source: Source, packet: Packet) -> bool:
        run, expected = self._run
        if self._candidate != (source, packet.ssrc) or packet.sequence != expected:
            run = 0
        run += 1
        self._candidate = (source, packet.ssrc)
        self._run = run, (packet.sequence + 1) & 0xFFFF
        if run < _PROBATION:
            return False
        self.peer, self._latched = source, True
        return True


def _is_inner(address: str) -> bool:
    """Private, shared (RFC 6598) or link-local: means nothing outside its own network. Loopback has no NAT."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not parsed.is_global and not parsed.is_loopback and not parsed.is_unspecified
