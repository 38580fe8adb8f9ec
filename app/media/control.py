"""When and what one leg reports by RTCP, and what its peer reported. Knows no socket."""

import random
import secrets
import time
from typing import Final

from app.media.leg import RtpLeg
from app.media.rtcp import Block, Heard, SenderInfo, compound

_INTERVAL: Final = 5.0  # seconds; RFC 3550 §6.2 asks for this minimum
_NTP_UNITS: Final = 65536  # a second, in LSR and DLSR


class Control:
    """The interval varies by half to both sides, so that calls placed together don't report together (§6.2)."""

    __slots__ = ("_cname", "_due_at", "_last_report")

    def __init__(self) -> None:
        self._cname = secrets.token_urlsafe(12)  # 96 random bits per session, tells nothing (RFC 7022 §4.2)
        self._due_at = float("inf")
        self._last_report: tuple[int, float] | None = None  # the peer's newest SR, and when it came

    def begin(self, now: float) -> None:
        """The first report comes after half an interval (§6.2)."""
        self._due_at = now + _varied() / 2

    @property
    def due_at(self) -> float:
        """When to report next."""
        return self._due_at

    def hear(self, heard: Heard, now: float) -> None:
        """Remember the peer's sender report, to which ours refers."""
        if heard.sender_report is not None:
            self._last_report = heard.sender_report, now

    def report(self, leg: RtpLeg, now: float) -> bytes:
        """The report that is due."""
        self._due_at = now + _varied()
        return self._compound(leg, now, bye=False)

    def farewell(self, leg: RtpLeg, now: float) -> bytes:
        """The last report, with BYE (§6.6)."""
        return self._compound(leg, now, bye=True)

    def _compound(self, leg: RtpLeg, now: float, *, bye: bool) -> bytes:
        out = leg.outgoing
        sender = SenderInfo(time.time(), out.clock(now), out.packets, out.octets) if out.packets else None
        return compound(out.ssrc, self._cname, sender=sender, block=self._block(leg, now), bye=bye)

    def _block(self, leg: RtpLeg, now: float) -> Block | None:
        source = leg.reception
        if source is None:
            return None
        report, at = self._last_report or (0, now)
        return Block(
            ssrc=source.ssrc,
            fraction_lost=source.fraction_lost(),
            lost=source.lost,
            highest=source.highest,
            jitter=int(source.jitter),
            last_report=report,
            delay=int((now - at) * _NTP_UNITS),
        )


def _varied() -> float:
    return _INTERVAL * random.uniform(0.5, 1.5)
