"""One leg: pyVoIP's VoIPCall on our signalling. Tells in order what happened to it; knows no customer and no record."""

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from app.calls.address import ip_literal
from app.calls.outcome import CANCELED_BY_API, UNUSABLE_SDP, Outcome, Reason, because, hung_up
from app.calls.ports import Answered, DialogFacts, Ended, LegOrder, Moved, Progress, Signal, Silence
from app.runtime import log, loop
from app.sip.account import SipAccount
from app.sip.admission import Admission, Ticket
from app.sip.compose import Here
from app.sip.crypto import Srtp
from app.sip.endpoint import Incoming
from app.sip.engine import Engine
from app.sip.invitation import Invitation
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.peer import PeerRequests
from app.sip.pyvoip import CallState, PayloadType, SIPMessage, TransmitType, VoIPCall
from app.sip.reliable import ReliableProvisionals
from app.sip.renegotiation import Renegotiation
from app.sip.sdp import Remote, UnusableSdp
from app.sip.search import Search
from app.sip.session import Session
from app.sip.transport import TransportError
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

P = ParamSpec("P")

_log = log.get(__name__)

_OFFERED = {0: PayloadType.PCMU, 8: PayloadType.PCMA, 101: PayloadType.EVENT}


class SipCall(VoIPCall):
    """Implements app.calls.ports.PhoneLeg. Its RTP port is bound while it lives; raises NoFreePort when made."""

    def __init__(
        self,
        phone: "VoIPPhone",
        engine: Engine,
        *,
        admission: Admission,
        media: MediaFactory,
        order: LegOrder,
        account: SipAccount,
    ) -> None:
        self.signals: asyncio.Queue[Signal] = asyncio.Queue()
        self.engine = engine
        self.account = account
        self._admission = admission
        self._ticket: Ticket | None = None
        self._over = False
        self._acknowledged = False  # the 2xx: from then on a BYE may be sent
        self._answered = False  # and there is audio
        self._let_go: Callable[[], None] | None = None  # of the connection that the dialog lives on
        self._seen: tuple[int, str] | None = None  # the provisional told last
        self._early: dict[str, SipMessage] = {}  # answers in provisionals, by remote tag
        self._reliable = ReliableProvisionals()
        self.usage: DialogUsage | None = None  # the confirmed dialog
        self.session: Session | None = None
        self._call_sid = order.call_sid
        self._search = Search(engine, account, order, self)
        self._media = media.open(dtmf=_weakly(self.dtmf_callback))  # after everything else that may raise
        self._media.on_silence = _weakly(self._on_silence)
        self._renegotiation: Renegotiation | None = None
        self._draft = _draft(self._search.call_id)
        ports: Any = {self._media.local_port: _OFFERED}  # as pyVoIP passes them, not as it types them
        super().__init__(phone, CallState.DIALING, self._draft, 0, account.myIP, ports, "sendrecv")
        self.sip = account
        account.on_bye = self._say_goodbye

    # -- PhoneLeg

    @property
    def heard(self) -> bool:
        return self._search.heard

    async def prepare(self) -> DialogFacts | Outcome:
        outcome = await self._search.prepare()
        if outcome is not None:
            self.on_nobody(outcome)
            return outcome
        return self.facts()

    def invite(self) -> None:
        if not self._over and self._ticket is None:
            self._ticket = self._admission.enter(self._search.send)

    def hang_up(self) -> None:
        if self._over:
            return
        if self._answered:
            self.hangup()
        elif self.usage is None:
            self._search.stop()
        elif self._acknowledged:
            self._say_goodbye()
        self._end(hung_up(Reason.API) if self._answered else CANCELED_BY_API)

    # -- what the search says

    def offer(self, here: Here) -> bytes:
        if self.session is None:
            address = here.host if ip_literal(here.host) else self.engine.media_host
            self.session = Session(self._media, address, self.engine.rules.srtp)
        private = here.transport == "tls"
        if self.engine.rules.srtp is Srtp.REQUIRED and not private:
            raise TransportError("DIAL_SRTP=required needs TLS for its keys: dial sips: or transport=tls")
        return self.session.first_offer(str(TransmitType(self.sendmode)), private=private)

    def on_progress(self, invitation: Invitation, response: SipMessage) -> None:
        self._leave_window()
        code, tag = response.status_code, response.to_tag or ""
        if tag and code > 100:
            usage = invitation.establish(response)
            if not self._reliable.accept(usage, response):
                return
            if response.content:
                self._early[tag] = response
        if self._seen != (code, tag):  # a peer may flood: what repeats itself says nothing new
            self._seen = (code, tag)
            at = self.engine.clock.now()
            self._tell(Progress(at, code, response.reason_phrase, 180 <= code <= 183, self.facts(tag)))

    def on_success(self, invitation: Invitation, response: SipMessage) -> None:
        self._leave_window()
        usage = self.usage = invitation.establish(response)
        usage.aim(lambda: self._confirm(usage, invitation, response))

    def on_moving(self) -> None:
        self._tell(Moved(self.facts()))

    def on_nobody(self, outcome: Outcome) -> None:
        self._forget()
        self._end(outcome)

    def on_finished(self) -> None:
        self._forget()

    # -- what the peer says

    def receive(self, incoming: Incoming) -> bool:
        """A request of the peer in one of this call's dialogs; False: in none of them."""
        invitation = self._search.invitation
        request = incoming.request
        if invitation is None or request.to_tag != self.account.local_tag:
            return False
        usage = invitation.usage(request.from_tag)
        if usage is None:
            return False
        PeerRequests(self).receive(usage, self.engine.endpoint.serve(incoming))
        return True

    def receive_ack(self, request: SipMessage) -> None:
        if self._renegotiation is not None:
            self._renegotiation.receive_ack(request)

    @property
    def renegotiation(self) -> Renegotiation:
        """Made when it is first needed: most sessions never change."""
        if self._renegotiation is None:
            self._renegotiation = Renegotiation(self)
        return self._renegotiation

    def peer_hung_up(self, usage: DialogUsage, request: SipMessage) -> None:
        """A BYE came; early dialogs end with the INVITE's final answer."""
        usage.ended = True
        if usage is self.usage:
            self.phone.callback(request)  # pyVoIP finds the call and ends it by `bye`
            request.release()

    def break_off(self, outcome: Outcome) -> None:
        """End an established dialog with a BYE and `outcome`."""
        self._say_goodbye()
        self._end(outcome)

    def moved(self) -> None:
        """The dialog changed: whoever rescues it must know."""
        if not self._over:
            self._tell(Moved(self.facts()))

    def release(self) -> None:
        """Return the port, whatever the state."""
        self._media.stop()

    # -- pyVoIP's names

    def create_rtp_clients(
        self, codecs: dict[int, PayloadType], ip: str, port: int, request: SIPMessage, baseport: int
    ) -> None:
        """pyVoIP's `answered` calls it with what it negotiated; the sockets have been bound for long."""
        if self.session is not None:
            self.RTPClients.append(self.session.client())

    def hangup(self) -> None:
        """BYE; raises pyVoIP's InvalidStateError unless the call is answered."""
        super().hangup()
        self.phone.calls[self.call_id] = self  # until the BYE is answered: the peer's may cross it

    def bye(self) -> None:
        """The peer's BYE."""
        super().bye()
        self._end(hung_up(Reason.CALLEE_HANGUP))

    # --

    def facts(self, remote_tag: str | None = None) -> DialogFacts:
        """What a stranger needs to end this leg, as it is now."""
        invitation = self._search.invitation
        if invitation is None:
            return DialogFacts()
        invite, hop = invitation.invite, invitation.hop
        usage = self.usage or invitation.usage(remote_tag)
        facts = DialogFacts(
            call_sid=self._call_sid,
            transport=hop.transport,
            destination=[hop.host, hop.port],
            domain=invitation.hop.domain,
            local=list(self.engine.endpoint.local),
            via=invite.via,
            request_uri=invite.uri,
            from_=invite.from_value,
            to=invite.to_value,
            call_id=invite.call_id,
            cseq=invite.cseq,
            routes=self.engine.rules.routes,
            state="proceeding" if self.heard else "calling",
        )
        if usage is not None:
            facts["to"] = usage.dialog.to_value
            facts["routes"] = list(usage.dialog.route_set)
            facts["remote_target"] = usage.dialog.remote_target
            if usage.dialog.confirmed:
                facts["state"] = "confirmed"
                facts["cseq"] = usage.dialog.local_cseq
                facts["transport"] = usage.hop.transport
                facts["destination"] = [usage.hop.host, usage.hop.port]
                facts["domain"] = usage.hop.domain
        return facts

    def _confirm(self, usage: DialogUsage, invitation: Invitation, response: SipMessage) -> None:
        """The next hop is known: acknowledge first, whatever comes of it."""
        self._acknowledged = True
        invitation.acknowledge(usage)
        if self._over:
            self._say_goodbye()
        elif usage.problem is not None:
            self.break_off(usage.problem)
        else:
            self._read_answer(response)

    def _read_answer(self, response: SipMessage) -> None:
        source = response if response.content else self._early.get(response.to_tag or "", response)
        try:
            remote = source.sdp(self.session.srtp if self.session is not None else None)
        except UnusableSdp as error:
            self.break_off(because(UNUSABLE_SDP, str(error)))
            return
        address = self.engine.resolver.media(remote.address)
        if address is None:
            loop.spawn(self._resolve_media(response, source, remote), name="sip.media_address")
        else:
            self._talk(response, source, remote, address)

    async def _resolve_media(self, response: SipMessage, source: SipMessage, remote: Remote) -> None:
        address = await self.engine.resolver.media_named(remote.address)
        if not self._over:
            self._talk(response, source, remote, address)

    def _talk(self, response: SipMessage, source: SipMessage, remote: Remote, address: str | Outcome) -> None:
        if isinstance(address, Outcome) or self.session is None:
            self.break_off(address if isinstance(address, Outcome) else UNUSABLE_SDP)
            return
        self.session.agree(remote, address)
        self.answered(source)  # pyVoIP: payload types, RTP client, its start, state
        source.release()
        self._answered = True
        if self.usage is not None:
            self._let_go = self.engine.endpoint.hold(self.usage.hop)
        codec = self.RTPClients[0].preference
        _log.debug("sip.answered", call_id=self.call_id, status=str(response.status), codec=f"{codec}/{codec.rate}")
        if response.first("session-expires"):
            self.renegotiation.begin_timer(response)
        headers = tuple((name, value) for name, value in response.raw_headers if name[:2] in ("X-", "x-"))
        at = self.engine.clock.now()
        self._tell(Answered(at, response.status_code, response.reason_phrase, headers, self.facts()))

    def _on_silence(self) -> None:
        if not self._over:
            self._tell(Silence(self.engine.clock.now()))

    def _end(self, outcome: Outcome) -> None:
        """The one way out: returns the port, says it once."""
        if self._over:
            return
        self._over = True
        self._leave_window()
        if self._renegotiation is not None:
            self._renegotiation.close()
            self._renegotiation = None
        self._media.stop()
        self.state = CallState.ENDED
        self._tell(Ended(self.engine.clock.now(), outcome))

    def _say_goodbye(self) -> None:
        if self.usage is not None:
            self.usage.bye(self._said_goodbye)

    def _said_goodbye(self, response: SipMessage | None) -> None:
        self._forget()

    def _forget(self) -> None:
        """Nothing more can come for this call. Whoever may hear late answers does so without it.

        What refers to each other is taken apart, so that a call is freed when it ends and not by a collection that
        comes thousands of calls later.
        """
        self.phone.calls.pop(self.call_id, None)
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()
        self._draft.release()
        self.account.on_bye = None
        self._search.part()

    def _leave_window(self) -> None:
        if self._ticket is not None:
            self._ticket.leave()

    def _tell(self, signal: Signal) -> None:
        self.signals.put_nowait(signal)


def _weakly(method: Callable[P, None]) -> Callable[P, None]:
    """`method` of an object that is not kept alive by it."""
    reference = weakref.WeakMethod(method)

    def call(*arguments: P.args, **named: P.kwargs) -> None:
        alive = reference()
        if alive is not None:
            alive(*arguments, **named)

    return call


def _draft(call_id: str) -> SipMessage:
    """What pyVoIP's constructor and `answered` look at: the request that will leave has been written by then."""
    return SipMessage.decode(f"INVITE sip:draft SIP/2.0\r\nTo: <sip:draft>\r\nCall-ID: {call_id}\r\n\r\n".encode())
