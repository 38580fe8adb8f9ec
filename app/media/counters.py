"""What one leg's media came to: plain numbers per packet, added to the metrics at the end. Decides nothing."""

from dataclasses import dataclass

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
    unauthentic: int = 0  # SRTP that is not the peer's, was changed, or has come before
    unknown_type: int = 0  # payload type that was not negotiated
    duplicates: int = 0
    late: int = 0  # out of order; still taken
    jumps: int = 0  # sequence number far away and without a successor
    unsent: int = 0  # the socket refused

    def settle(self) -> dict[str, int]:
        """Add to the metrics; returns what is not zero, for the log."""
        counted: dict[str, int] = {}
        for name in self.__slots__:
            if count := getattr(self, name):
                counted[name] = count
                if (metric := _METRICS.get(name)) is not None:
                    metric.inc(count)
        return counted


# Children are looked up once: labels() takes 3 µs, and asdict() with six of them took 36 µs per call.
_IGNORING = ("strangers", "malformed", "unauthentic", "unknown_type", "duplicates", "jumps", "unsent")
_METRICS = {
    "received": _PACKETS.labels("in"),
    "sent": _PACKETS.labels("out"),
    **{why: _IGNORED.labels(why) for why in _IGNORING},
}
