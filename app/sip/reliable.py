"""Reliable provisionals (RFC 3262): the peer's are PRACKed once, in order; ours repeated till then. Knows no call."""

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.sip import compose
from app.sip.build import Header
from app.sip.exchange import ServerExchange
from app.sip.message import SipMessage
from app.sip.transaction import Timing
from app.sip.usage import DialogUsage, ignore

_RACK = re.compile(r"\s*+([0-9]{1,10})\s++([0-9]{1,10})\s++([A-Za-z]+)\s*+\Z")


class ReliableProvisionals:
    """The newest RSeq of each early dialog."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def accept(self, usage: DialogUsage, response: SipMessage) -> bool:
        """Whether the response counts: not a repeated one, nor one that overtook another (§4)."""
        if not demands(response):
            return True
        number = _number(response.first("rseq"))
        if number is None:
            return True
        tag = usage.dialog.remote_tag
        newest = self._newest.get(tag)
        if newest is not None and number != newest + 1:
            return False
        self._newest[tag] = number
        sequence, method = response.cseq
        usage.request("PRACK", ignore, headers=(("RAck", f"{number} {sequence} {method}"),))
        return True


class _Provisional(NamedTuple):
    code: int
    headers: Sequence[Header]
    body: bytes
    reliably: bool


class OurProvisionals:
    """What we answer to one INVITE before its final response.

    One that is reliable is repeated at T1, 2·T1, 4·T1… until its PRACK, and the next one waits for that (§3);
    without it in 64·T1 `on_none` is called.
    """

    def __init__(self, exchange: ServerExchange, timing: Timing, on_none: Callable[[], None]) -> None:
        self._exchange = exchange
        self._timing = timing
        self._on_none = on_none
        self._number = secrets.randbelow(2**31 - 2**16) + 1
        self._cseq = exchange.request.cseq[0]
        self._unacknowledged: _Provisional | None = None
        self._next: _Provisional | None = None
        self._known: set[int] = set()  # RSeq numbers whose PRACK has not come
        self._repeat: asyncio.TimerHandle | None = None

    @property
    def holds_sdp(self) -> bool:
        """Whether SDP is under way that no PRACK has acknowledged: a 2xx must wait for that (§3)."""
        return any(one is not None and one.reliably and one.body for one in (self._unacknowledged, self._next))

    def send(self, code: int, headers: Sequence[Header], *, body: bytes = b"", reliably: bool) -> None:
        """Now, or after the PRACK that is waited for; of several that wait the newest goes."""
        provisional = _Provisional(code, headers, body, reliably)
        if self._unacknowledged is not None:
            if self._next is None or not self._next.body:  # one that has SDP is not forgotten
                self._next = provisional
            return
        kind = compose.SDP if body else None
        if not reliably:
            self._exchange.respond(code, headers=headers, body=body, content_type=kind)
            return
        self._number += 1
        self._known.add(self._number)
        self._unacknowledged = provisional
        own = (("Require", "100rel"), ("RSeq", str(self._number)))
        self._exchange.respond(code, headers=(*headers, *own), body=body, content_type=kind)
        self._repeat_after(self._timing.t1, self._timing.lifetime)

    def acknowledge(self, prack: SipMessage) -> bool:
        """Whether this PRACK is for one of ours that had none; the next one leaves with `proceed`."""
        match = _RACK.match(prack.first("rack") or "")
        if match is None or int(match[2]) != self._cseq or match[3] != "INVITE" or int(match[1]) not in self._known:
            return False
        self._known.remove(int(match[1]))
        if int(match[1]) == self._number:
            self._stop_repeating()
            self._unacknowledged = None
        return True

    def proceed(self) -> None:
        """Send what waited for the PRACK."""
        following, self._next = self._next, None
        if following is not None:
            self.send(following.code, following.headers, body=following.body, reliably=following.reliably)

    def close(self) -> None:
        """A final response goes: nothing is repeated any more, though a PRACK may still come."""
        self._stop_repeating()
        self._unacknowledged = self._next = None

    def _repeat_after(self, seconds: float, left: float) -> None:
        loop = asyncio.get_running_loop()
        self._repeat = loop.call_later(min(seconds, left), self._repeated, seconds, left - seconds)

    def _repeated(self, seconds: float, left: float) -> None:
        if left <= 0:
            self.close()
            self._on_none()
            return
        self._exchange.repeat()
        self._repeat_after(2 * seconds, left)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None


def demands(message: SipMessage) -> bool:
    """Whether it requires 100rel."""
    return "100rel" in (option.lower() for option in message.all("require"))


def offers(message: SipMessage) -> bool:
    """Whether its sender can do 100rel."""
    return demands(message) or "100rel" in (option.lower() for option in message.all("supported"))


def _number(text: str | None) -> int | None:
    """RSeq: 1 to 2^32 - 1 (§7.1)."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    return int(text)
