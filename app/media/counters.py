"""What one leg's media came to: plain numbers per packet, added to the metrics at the end. Decides nothing."""

from dataclasses import asdict, dataclass

from prometheus_client import Counter

_PACKETS = Counter("dial_rtp_packets", "RTP packets, counted when the leg ends", ["direction"])
_IGNORED = Counter("dial_rtp_ignored", "RTP and RTCP packets ignored, counted when the leg ends", ["why"])


@dataclass(slots=True)
class Counters:
    """One leg's. Changes with every packet, so it is not frozen."""

    received: int = 0  # valid RTP of the peer, late ones included
    sent: int = 0
    rtcp_received: int = 0
    rtcp_sent: int = 0
    keys: int = 0  # DTMF keys heard
    strangers: int = 0  # from elsewhere than the peer
    malformed: int = 0  # neither RTP nor RTCP
    unknown_type: int = 0  # payload type that was not negotiated
    duplicates: int = 0
    late: int = 0  # out of order; still taken
    jumps: int = 0  # sequence number far away and without a successor
    unsent: int = 0  # the socket refused

    def settle(self) -> dict[str, int]:
        """Add to the metrics; returns what is not zero, for the log."""
        _PACKETS.labels("in").inc(self.received)
        _PACKETS.labels("out").inc(self.sent)
        for why in ("strangers", "malformed", "unknown_type", "duplicates", "jumps", "unsent"):
            if count := getattr(self, why):
                _IGNORED.labels(why).inc(count)
        return {name: count for name, count in asdict(self).items() if count}
