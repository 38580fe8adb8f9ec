"""A leg that calls us: one INVITE answered as it is told, and a leg like any other afterwards.

Knows no number and no record; whether it may come in at all has been decided (app/sip/switchboard.py).
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from app.calls.outcome import CANCELED_BY_API, UNUSABLE_SDP, Outcome, Reason, because, hung_up, of_response
from app.calls.ports import Answered, DialogFacts, Goodbye
from app.calls.sid import CallSid
from app.calls.status import Status
from app.runtime import log, loop
from app.sip import compose
from app.sip.account import SipAccount
from app.sip.answering import Answering
from app.sip.build import Header
from app.sip.conversation import Conversation, Parting
from app.sip.engine import Engine
from app.sip.entry import Entry
from app.sip.exchange import ServerExchange
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.pyvoip import CallState, SIPStatus
from app.sip.sdp import Remote, UnusableSdp
from app.sip.session import Session
from app.sip.transaction import State
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

_CALLER_LEFT = Outcome(Status.CANCELED, Reason.CALLER_HANGUP)

_log = log.get(__name__)


class SipArrival(Conversation):
    """Implements app.calls.ports.IncomingLeg. Its RTP port is bound while it lives; raises NoFreePort when made."""

    peers_reason = Reason.CALLER_HANGUP

    def __init__(
        self, phone: "VoIPPhone", engine: Engine, *, entry: Entry, account: SipAccount, media: MediaFactory
    ) -> None:
        self.arrival = entry.arrival
        self._entry = entry
        self._call_sid: CallSid | None = None
        self._answering: Answering | None = None
        self._wants_answer = False
        self._answered_at: datetime | None = None
        self._said = b""  # our SDP, once it has been said
        self._said_reliably = False
        self._is_ringing = False
        invite = self._invite = entry.incoming.request
        # pyVoIP keeps its calls by Call-ID; ours may have that very one, when a number of ours is called through us.
        invite.headers["Call-ID"] = f"{invite.call_id};{account.local_tag}"
        super().__init__(phone, engine, account=account, media=media, state=CallState.RINGING, request=invite)
        self.usage = entry.usage
        self._private = entry.incoming.source.transport == "tls"
        self.session: Session = Session(self._media, entry.media_host, engine.rules.srtp)
        self.session.listen_for(private=self._private)
        account.on_answer = self._describe_answer
        account.out = _WayBack(self._accept)

    def begin(self, ready: Callable[[], None]) -> None:
        """Take the INVITE on; `ready` is called once it is certain that audio and requests can go to the caller.

        Otherwise it is refused here, and nobody else need know.
        """
        endpoint, incoming = self.engine.endpoint, self._entry.incoming
        exchange = endpoint.serve(incoming)
        exchange.to_tag = self.account.local_tag
        if incoming.connection is not None:
            self._let_go = endpoint.hold(incoming.connection.remote)
        self._answering = Answering(exchange, endpoint.timing, self)
        self._entry.usage.aim(lambda: self._check(ready))

    # -- IncomingLeg

    def follow(self, call_sid: CallSid) -> None:
        self._call_sid = call_sid
        self._entry.follow(self, call_sid)

    def ring(self) -> None:
        if not self._is_ringing:
            self._provisional(180)

    def open_early(self) -> None:
        """Without 100rel an offer of ours would have no answer: then it only rings (RFC 3261 §13.2.1)."""
        answering = self._open
        if answering is None or self._said:
            return
        if self._entry.offer is None and not answering.can_be_reliable:
            self.ring()
            return
        self._said, self._said_reliably = self._describe(), answering.can_be_reliable
        if self._entry.offer is not None:
            self.gen_ms()  # pyVoIP: starts the RTP clients
        self._provisional(183, self._said)

    def answer(self) -> None:
        answering = self._open
        if answering is None:
            return
        self._wants_answer = answering.holds_sdp  # after its PRACK (RFC 3262 §3)
        if not self._wants_answer:
            super().answer()  # pyVoIP: starts the RTP clients, asks for our SDP, sends, state

    def reject(self, code: int, phrase: str) -> Goodbye | None:
        self._refuse(code, phrase, of_response(code, phrase))
        return None if self.parting.heard else self.parting

    def _leave(self) -> None:
        if self._open is not None:
            self._refuse(480, None, CANCELED_BY_API)
        else:
            self.hangup()
            self._end(hung_up(Reason.API))

    def facts(self) -> DialogFacts:
        facts = self._entry.facts(self.account.gen_branch)
        if self._call_sid is not None:
            facts["call_sid"] = self._call_sid
        return facts

    # -- what the caller says

    def usage_of(self, request: SipMessage) -> DialogUsage | None:
        usage, invite = self._entry.usage, self._invite
        is_ours = request.call_id == invite.call_id and (request.from_tag or "") == (invite.from_tag or "")
        return usage if is_ours else None

    def objection(self, usage: DialogUsage, request: SipMessage) -> SIPStatus | None:
        is_acknowledged = self._answering is not None and self._answering.acknowledged
        if request.method_name == "INVITE":  # RFC 3261 §14.2: not before the first one has ended
            return None if is_acknowledged else SIPStatus.INTERNAL_SERVER_ERROR
        if not request.content or is_acknowledged or self._is_agreed:
            return None
        # RFC 3311 §5.2: an offer that waits for its answer, theirs or ours.
        return SIPStatus.INTERNAL_SERVER_ERROR if self._entry.offer is not None else SIPStatus.REQUEST_PENDING

    def receive_ack(self, request: SipMessage) -> None:
        if self._answering is None or self.usage_of(request) is None or not self._answering.receive_ack(request):
            super().receive_ack(request)

    def receive_prack(self, request: SipMessage) -> bytes | None:
        if self._answering is None or not self._answering.receive_prack(request):
            return None
        if not request.content:
            return b""
        if self.session.remote is None:
            self._take_answer(request)
            return b""
        try:  # an offer, now that the first one is answered (RFC 3262 §5)
            remote = request.sdp(self.session.srtp)
        except UnusableSdp:
            return b""
        address = self.engine.resolver.media(remote.address)
        if not isinstance(address, str):
            return b""
        body = self.session.answer(remote)
        self.session.change(remote, address)
        return body

    def pracked(self) -> None:
        if self._answering is not None:
            self._answering.proceed()
            if self._wants_answer:
                self.answer()

    def peer_hung_up(self, usage: DialogUsage, request: SipMessage) -> None:
        if self._open is not None:
            usage.ended = True
            self.on_canceled()
        else:
            super().peer_hung_up(usage, request)

    # -- AnswerUser

    def on_canceled(self, why: str | None = None) -> None:
        self._refuse(487, None, _CALLER_LEFT if why is None else because(_CALLER_LEFT, why))

    def on_no_prack(self) -> None:
        outcome = because(of_response(504), "the caller never acknowledged a provisional response")
        self._refuse(504, None, outcome)

    def on_ack(self, request: SipMessage) -> None:
        if self._over:
            self._say_goodbye()
        elif self.session.remote is None:
            self._take_answer(request)
        else:
            self._talk()

    def on_no_ack(self) -> None:
        if self._over:
            self._say_goodbye()
        else:
            self.break_off(because(hung_up(self.peers_reason), "the caller never acknowledged our answer"))

    # -- before anybody is told

    def _check(self, ready: Callable[[], None]) -> None:
        """Where requests and audio would go; names take their time."""
        offer, problem = self._entry.offer, self._entry.usage.problem
        if problem is not None:
            self._turn_away(403 if problem.reason is Reason.ADDRESS_DENIED else 400, problem)
        elif offer is None:
            self._begun(ready)
        elif (address := self.engine.resolver.media(offer.address)) is not None:
            self._check_media(offer, address, ready)
        else:
            loop.spawn(self._resolve_media(offer, ready), name="sip.media_address")

    async def _resolve_media(self, offer: Remote, ready: Callable[[], None]) -> None:
        self._check_media(offer, await self.engine.resolver.media_named(offer.address), ready)

    def _check_media(self, offer: Remote, address: str | Outcome, ready: Callable[[], None]) -> None:
        if isinstance(address, Outcome):
            self._turn_away(488, address)
        elif not self._over:
            self.session.agree(offer, address)
            self.RTPClients.append(self.session.client())
            self._begun(ready)

    def _begun(self, ready: Callable[[], None]) -> None:
        if not self._over:  # canceled while a name was looked up
            ready()

    def _turn_away(self, code: int, problem: Outcome) -> None:
        _log.info("sip.arrival_refused", source=self.arrival.source, code=code, detail=problem.detail)
        warning = f'399 dial-to-sip "{compose.plain(problem.detail or "")}"'
        self._refuse(code, None, problem, warning=warning)

    # -- what we say

    @property
    def _open(self) -> Answering | None:
        """There while no final response has been sent."""
        answering = self._answering
        return answering if answering is not None and answering.is_open and not self._over else None

    @property
    def _is_agreed(self) -> bool:
        """Whether one offer has had its answer for certain."""
        if self._entry.offer is None:
            return self.session.remote is not None
        return self._said_reliably and not (self._answering is not None and self._answering.holds_sdp)

    def _provisional(self, code: int, body: bytes = b"") -> None:
        if self._open is not None:
            self._is_ringing = True
            self._open.provisional(code, self._headers(), body)

    def _refuse(self, code: int, phrase: str | None, outcome: Outcome, *, warning: str | None = None) -> None:
        """A final response 300-699, which ends it."""
        if self._open is not None:
            headers = [("Warning", warning)] if warning else []
            if code == 503:  # without it a proxy makes a 500 of it (RFC 3261 §21.5.4)
                headers.append(("Retry-After", "5"))
            exchange = self._open.refuse(code, phrase, headers)
            self._end(outcome)
            self._forget()
            if exchange is not None and outcome is not _CALLER_LEFT:  # who canceled knows that it is over
                self.parting = _Refusal(exchange)

    def _describe(self) -> bytes:
        """Our SDP: the answer, or an offer where the caller made none."""
        if self._entry.offer is None:
            return self.session.first_offer("sendrecv", private=self._private)
        return self.session.answer(self._entry.offer)

    def _describe_answer(self) -> str:
        """For pyVoIP; nothing when a reliable provisional has said it (RFC 3262 §5)."""
        if self._said_reliably:
            return ""
        self._said = self._said or self._describe()
        return self._said.decode()

    def _accept(self, body: bytes) -> None:
        if self._open is not None:
            headers = [*self._headers(), *self.renegotiation.grant_timer(self._invite)]
            self._answered_at = self.engine.clock.now()
            self._entry.usage.dialog.confirmed = True
            self._open.accept(headers, body)
            self.session.answered()

    def _headers(self) -> list[Header]:
        return [("Contact", self._entry.usage.here.contact), *compose.CAPABILITIES]

    # -- how it goes on

    def _take_answer(self, message: SipMessage) -> None:
        """The caller's answer to our offer, in a PRACK or in the ACK."""
        try:
            remote = message.sdp(self.session.srtp)
        except UnusableSdp as error:
            self._give_up(because(UNUSABLE_SDP, str(error)))
            return
        address = self.engine.resolver.media(remote.address)
        if address is None:
            loop.spawn(self._resolve_answer(remote), name="sip.media_address")
        else:
            self._agree(remote, address)

    async def _resolve_answer(self, remote: Remote) -> None:
        self._agree(remote, await self.engine.resolver.media_named(remote.address))

    def _agree(self, remote: Remote, address: str | Outcome) -> None:
        if self._over:
            return
        if isinstance(address, Outcome):
            self._give_up(address)
            return
        self.session.agree(remote, address)
        self.RTPClients.append(self.session.client())
        self.gen_ms()  # pyVoIP: starts the RTP clients
        if self._answering is not None and self._answering.acknowledged:
            self._talk()

    def _give_up(self, outcome: Outcome) -> None:
        if self._open is not None:
            self._refuse(488, None, outcome)
        else:
            self.break_off(outcome)

    def _talk(self) -> None:
        if not self._over and not self._answered:
            self._answered = True
            at = self._answered_at or self.engine.clock.now()
            self._tell(Answered(at, 200, SIPStatus.OK.phrase, (), self.facts()))

    def _say_goodbye(self) -> None:
        """Not before the ACK (RFC 3261 §15): `on_ack` and `on_no_ack` come back to it."""
        if self._answering is not None and self._answering.acknowledged:
            super()._say_goodbye()

    def _forget(self) -> None:
        super()._forget()
        if self._answering is not None:
            self._answering.close()
            self._answering = None
        self.account.on_answer = self.account.out = None
        self._invite.release()
        self._entry.ended()


class _Refusal(Parting):
    """Heard when its ACK has come, or can come no more."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: ServerExchange) -> None:
        super().__init__()
        self._exchange = exchange

    @property
    def heard(self) -> bool:
        return self._exchange.state is not State.COMPLETED


class _WayBack:
    """What pyVoIP takes for its SIP socket when it answers."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def sendto(self, data: bytes, address: object) -> None:
        self._send(data)
