"""Our answers to one INVITE of a peer: provisionals, a refusal, or the 2xx until its ACK; and what may undo them.

Knows CANCEL, PRACK, ACK and Expires (RFC 3261 §13.3, RFC 3262), not media and not outcomes.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from app.sip import compose
from app.sip.acknowledgement import AwaitedAck
from app.sip.build import Header
from app.sip.exchange import ServerExchange
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPStatus
from app.sip.reliable import OurProvisionals, demands, offers
from app.sip.transaction import Timing

_AGAIN = 60.0  # seconds: proxies forget an INVITE that is silent for three minutes (§13.3.1.1)
_LONGEST_WAIT = 3600  # seconds that we believe of an Expires


class AnswerUser(Protocol):
    """Who answers."""

    def on_canceled(self, why: str | None = None) -> None:
        """The peer wants no answer any more, and none has been given."""

    def on_no_prack(self) -> None: ...

    def on_ack(self, request: SipMessage) -> None: ...

    def on_no_ack(self) -> None:
        """64·T1 after the 2xx."""


class Answering:
    def __init__(self, exchange: ServerExchange, timing: Timing, user: AnswerUser) -> None:
        self.is_open = True  # no final response has been sent
        self.acknowledged = False  # the 2xx, or nobody waits for that any more: a BYE may leave (§15)
        self._exchange: ServerExchange | None = exchange
        self._timing = timing
        self._user = user
        self._invite = exchange.request
        self._provisionals = OurProvisionals(exchange, timing, user.on_no_prack)
        self._awaited: AwaitedAck | None = None
        self._again: asyncio.TimerHandle | None = None
        self._expiry = self._until_expired()
        exchange.on_cancel = self.cancel
        exchange.on_ack = self._on_ack
        exchange.respond(SIPStatus.TRYING)

    @property
    def can_be_reliable(self) -> bool:
        return offers(self._invite)

    @property
    def holds_sdp(self) -> bool:
        """Whether a 2xx must wait for a PRACK."""
        return self._provisionals.holds_sdp

    def provisional(self, code: int, headers: Sequence[Header], body: bytes = b"") -> None:
        """Repeated each minute; with SDP reliably where that can be, else only where it must be."""
        if not self.is_open:
            return
        reliably = demands(self._invite) or bool(body and self.can_be_reliable)
        self._provisionals.send(code, headers, body=body, reliably=reliably)
        if self._again is not None:
            self._again.cancel()
        again = b"" if reliably else body
        self._again = asyncio.get_running_loop().call_later(_AGAIN, self.provisional, code, headers, again)

    def refuse(self, code: int, phrase: str | None, headers: Sequence[Header] = ()) -> ServerExchange | None:
        """A final response 300-699, and what repeats it until its ACK. Without `phrase` the usual one."""
        exchange = self._exchange
        if self.is_open and exchange is not None:
            self._close_provisionals()
            exchange.respond(code, compose.plain(phrase) if phrase is not None else None, headers=headers)
        return exchange

    def accept(self, headers: Sequence[Header], body: bytes) -> None:
        """A 200, repeated until its ACK."""
        if self.is_open and self._exchange is not None:
            self._close_provisionals()
            kind = compose.SDP if body else None
            self._exchange.respond(SIPStatus.OK, headers=headers, body=body, content_type=kind)
            self._awaited = AwaitedAck(self._exchange, self._timing, self._on_no_ack)

    def receive_ack(self, request: SipMessage) -> bool:
        """Whether it is that of our 2xx, come for the first time."""
        if self._awaited is None or request.cseq[0] != self._invite.cseq[0]:
            return False
        self._awaited.settle()
        self._awaited = None
        self.acknowledged = True
        self._user.on_ack(request)
        return True

    def receive_prack(self, request: SipMessage) -> bool:
        """Whether it acknowledges a provisional of ours; call `proceed` when it has been answered."""
        return self._provisionals.acknowledge(request)

    def proceed(self) -> None:
        self._provisionals.proceed()

    def cancel(self) -> None:
        """A CANCEL, or a BYE before the answer; after it there is nothing to cancel (§9.2)."""
        if self.is_open:
            self._user.on_canceled()

    def close(self) -> None:
        """Nobody waits for anything any more; what has been sent is repeated for as long as its transaction lives."""
        self._close_provisionals()
        if self._awaited is not None:
            self._awaited.settle()
            self._awaited = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.on_cancel = exchange.on_ack = None

    def _on_ack(self, request: SipMessage) -> None:
        """An ACK with the branch of the INVITE, as some write it."""
        self.receive_ack(request)

    def _on_no_ack(self) -> None:
        self._awaited = None
        self.acknowledged = True
        self._user.on_no_ack()

    def _until_expired(self) -> asyncio.TimerHandle | None:
        value = self._invite.first("expires") or ""
        if not value.isascii() or not value.isdigit() or len(value) > 9 or not 0 < int(value) <= _LONGEST_WAIT:
            return None
        return asyncio.get_running_loop().call_later(int(value), self._expired)

    def _expired(self) -> None:
        if self.is_open:
            self._user.on_canceled("the INVITE's Expires has passed")

    def _close_provisionals(self) -> None:
        self.is_open = False
        self._provisionals.close()
        for handle in (self._again, self._expiry):
            if handle is not None:
                handle.cancel()
        self._again = self._expiry = None
