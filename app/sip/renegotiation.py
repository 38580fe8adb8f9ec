"""Changes to a running session (RFC 3261 §14, RFC 3311, RFC 4028): the peer's re-INVITE and UPDATE, and our refresh."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from app.calls.outcome import Outcome, because, hung_up
from app.runtime import loop
from app.sip import compose
from app.sip.acknowledgement import AwaitedAck
from app.sip.build import Header
from app.sip.crypto import Srtp
from app.sip.exchange import ServerExchange
from app.sip.headers import contact_uri
from app.sip.message import SipMessage
from app.sip.multipart import media_type
from app.sip.pyvoip import SIPStatus
from app.sip.sdp import Remote, UnusableSdp
from app.sip.session_timer import SMALLEST, SessionTimer, demanded, granted, least, settled, too_small
from app.sip.transaction import State
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.conversation import Conversation

_GLARE = (2.1, 4.0)  # seconds that the owner of the Call-ID waits after a 491 (RFC 3261 §14.1)


class Renegotiation:
    def __init__(self, call: "Conversation") -> None:
        self._call = call
        self._pending: AwaitedAck | None = None  # of a re-INVITE
        self._resolving = ""  # the method of an offer whose media is looked up
        self._answers = 0  # that were heard or given: of those whose media is looked up, the newest counts
        self._refreshing = False
        self._expects_refresh = False  # of the peer: it runs out without
        self._least = 0  # seconds: the longest Min-SE that was heard
        self._timer: asyncio.TimerHandle | None = None
        self._peer_updates = False
        self._is_closed = False

    def close(self) -> None:
        self._is_closed = True
        self._settle()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the peer's requests

    def receive(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        """A re-INVITE or UPDATE."""
        request = exchange.request
        objection = self._call.objection(usage, request)
        self._least = max(self._least, least(request))
        is_offer = bool(request.content) or request.method_name == "INVITE"
        if too_small(request):
            exchange.respond(SIPStatus.SESSION_INTERVAL_TOO_SMALL, headers=(("Min-SE", str(SMALLEST)),))
        elif (is_offer and (self._pending is not None or self._resolving)) or (
            self._resolving == request.method_name == "UPDATE"
        ):
            exchange.respond(SIPStatus.INTERNAL_SERVER_ERROR, headers=(("Retry-After", "1"),))  # §14.2, RFC 3311 §5.2
        elif is_offer and self._refreshing:
            exchange.respond(SIPStatus.REQUEST_PENDING)
        elif objection is not None:
            retry = objection is SIPStatus.INTERNAL_SERVER_ERROR
            exchange.respond(objection, headers=(("Retry-After", "1"),) if retry else ())
        elif request.content and not may_hold_sdp(request):
            exchange.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, headers=compose.READ)
        elif request.content:
            self._consider(usage, exchange)
        else:
            body = self._offer() if request.method_name == "INVITE" else b""
            self._accept(usage, exchange, body)

    def receive_ack(self, request: SipMessage) -> None:
        """The ACK of our 2xx to a re-INVITE; it brings the answer when the offer was ours."""
        pending = self._pending
        if pending is None or request.cseq[0] != pending.exchange.request.cseq[0]:
            return
        self._settle()
        usage = self._call.usage
        if usage is not None and not pending.exchange.request.content:
            self._take_answer(usage, request)

    def _take_answer(self, usage: DialogUsage, message: SipMessage) -> None:
        """To an offer of ours. Where it cannot be used, what was agreed before goes on."""
        try:
            remote = message.sdp(self._srtp())
        except UnusableSdp:
            return
        self._answers += 1
        address = self._call.engine.resolver.media(remote.address)
        if address is None:
            loop.spawn(self._resolve_answer(usage, remote, self._answers), name="sip.media_address")
        elif isinstance(address, str):
            self._call.change(usage, remote, address)

    async def _resolve_answer(self, usage: DialogUsage, remote: Remote, number: int) -> None:
        address = await self._call.engine.resolver.media_named(remote.address)
        if isinstance(address, str) and number == self._answers and not self._is_closed:
            self._call.change(usage, remote, address)

    def _consider(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        try:
            remote = exchange.request.sdp(self._srtp())
        except UnusableSdp as error:
            _refuse(exchange, str(error))
            return
        address = self._call.engine.resolver.media(remote.address)
        if address is None:
            self._resolving = exchange.request.method_name
            exchange.on_cancel = partial(exchange.respond, SIPStatus.REQUEST_TERMINATED)
            loop.spawn(self._resolve(usage, exchange, remote), name="sip.media_address")
        else:
            self._take(usage, exchange, remote, address)

    async def _resolve(self, usage: DialogUsage, exchange: ServerExchange, remote: Remote) -> None:
        if exchange.request.method_name == "INVITE":
            exchange.respond(SIPStatus.TRYING)
        address = await self._call.engine.resolver.media_named(remote.address)
        self._resolving = ""
        exchange.on_cancel = None
        if self._is_closed:
            exchange.respond(SIPStatus.REQUEST_TERMINATED)  # §15.1.2
        elif exchange.state < State.COMPLETED:
            self._take(usage, exchange, remote, address)

    def _take(self, usage: DialogUsage, exchange: ServerExchange, remote: Remote, address: str | Outcome) -> None:
        session = self._call.session
        if isinstance(address, Outcome) or session is None:
            _refuse(exchange, (address.detail or "") if isinstance(address, Outcome) else "no media")
            return
        self._answers += 1
        body = session.answer(remote)
        self._accept(usage, exchange, body)
        self._call.change(usage, remote, address)

    def _accept(self, usage: DialogUsage, exchange: ServerExchange, body: bytes) -> None:
        request = exchange.request
        headers: list[Header] = [("Contact", usage.here.contact), *compose.CAPABILITIES]
        timer = granted(request)
        if timer is not None:
            headers += timer[1]
            self._arm(timer[0])
        elif self._timer is not None and self._expects_refresh:
            self._timer.cancel()  # a refresh that names no interval ends the timer (RFC 4028 §7.2)
        exchange.respond(SIPStatus.OK, headers=headers, body=body, content_type=compose.SDP if body else None)
        if request.method_name == "INVITE":
            self._await_ack(exchange)
        if usage.dialog.refresh(contact_uri(request.first("contact"))):
            usage.aim(self._call.moved)

    def _srtp(self) -> Srtp | None:
        return self._call.session.srtp if self._call.session is not None else None

    def _offer(self) -> bytes:
        return self._call.session.local.offer() if self._call.session is not None else b""

    def _await_ack(self, exchange: ServerExchange) -> None:
        self._pending = AwaitedAck(exchange, self._call.engine.endpoint.timing, self._never_acknowledged)

    def _never_acknowledged(self) -> None:
        self._pending = None
        self._call.break_off(because(self._peer_is_gone, "the peer never acknowledged its re-INVITE"))

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.settle()

    @property
    def _peer_is_gone(self) -> Outcome:
        return hung_up(self._call.peers_reason)

    # -- session timer

    def begin_timer(self, response: SipMessage) -> None:
        """The 2xx of our INVITE settles who refreshes."""
        self._peer_updates = _knows_update(response)
        timer = settled(response, request_is_ours=True)
        if timer is not None:
            self._arm(timer)

    def grant_timer(self, invite: SipMessage) -> list[Header]:
        """The same in our 2xx to the peer's INVITE: its headers."""
        self._peer_updates = _knows_update(invite)
        self._least = least(invite)
        timer = granted(invite)
        if timer is None:
            return []
        self._arm(timer[0])
        return timer[1]

    def _arm(self, timer: SessionTimer) -> None:
        if self._is_closed:
            return
        self._expects_refresh = not timer.ours
        self._start(timer.due, self._refresh if timer.ours else self._expire, timer)

    def _start(self, seconds: float, what: Callable[[SessionTimer], None], timer: SessionTimer) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, what, timer)

    def _expire(self, timer: SessionTimer) -> None:
        self._call.break_off(because(self._peer_is_gone, "the peer let the session timer run out"))

    def _refresh(self, timer: SessionTimer) -> None:
        usage = self._call.usage
        if usage is None or self._pending is not None:
            self._arm(timer)
            return
        timer = replace(timer, interval=max(timer.interval, self._least))
        headers: list[Header] = [
            ("Contact", usage.here.contact),
            ("Session-Expires", timer.value(request_is_ours=True)),
            *([("Min-SE", str(self._least))] if self._least else []),  # else a proxy may shorten it (RFC 4028 §7.1)
            *compose.CAPABILITIES,
        ]
        self._refreshing = True
        method, body = ("UPDATE", b"") if self._peer_updates else ("INVITE", self._offer())
        usage.request(
            method, lambda response: self._refreshed(usage, method, response, timer), headers=headers, body=body
        )

    def _refreshed(self, usage: DialogUsage, method: str, response: SipMessage | None, timer: SessionTimer) -> None:
        self._refreshing = False
        if self._is_closed:
            if response is not None and response.status_code < 300 and method == "INVITE":
                usage.acknowledge(response.cseq[0])
        elif response is None or response.status_code in (408, 481):
            self._call.break_off(because(self._peer_is_gone, "the session could not be refreshed"))
        elif response.status_code == int(SIPStatus.REQUEST_PENDING):
            self._start(random.uniform(*_GLARE), self._refresh, timer)
        elif response.status_code < 300:
            if method == "INVITE":
                usage.acknowledge(response.cseq[0])
                self._take_answer(usage, response)
            self._arm(settled(response, request_is_ours=True) or timer)
            if usage.dialog.refresh(contact_uri(response.first("contact"))):
                usage.aim(self._call.moved)
        elif response.status_code == int(SIPStatus.SESSION_INTERVAL_TOO_SMALL) and (
            longer := demanded(response, timer)
        ):
            self._least = max(self._least, longer.interval)
            self._refresh(longer)
        else:
            self._arm(timer)  # refused this time (488…): the session lives until it expires


def _refuse(exchange: ServerExchange, why: str) -> None:
    """488, and the session goes on as it was (§14.2)."""
    exchange.respond(SIPStatus.NOT_ACCEPTABLE_HERE, headers=(("Warning", f'399 dial-to-sip "{compose.plain(why)}"'),))


def may_hold_sdp(request: SipMessage) -> bool:
    """Whether the type of its body is one that we read (else 415); sloppy peers leave it out."""
    kind = media_type(request.content_type or compose.SDP)
    plain = (request.first("content-encoding") or "identity").lower() == "identity"
    return plain and (kind == compose.SDP or kind.startswith("multipart/"))


def _knows_update(message: SipMessage) -> bool:
    return any("UPDATE" in value.upper().split(",") for value in message.all("allow"))
