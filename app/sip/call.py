"""A leg that we call: it looks for somebody who answers and tells in order what happened. Knows no record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.calls.address import ip_literal
from app.calls.outcome import CANCELED_BY_API, UNUSABLE_SDP, Outcome, Reason, because, hung_up
from app.calls.ports import Answered, DialogFacts, LegOrder, Moved, Progress
from app.runtime import log, loop
from app.sip.account import SipAccount
from app.sip.admission import Admission, Ticket
from app.sip.compose import Here
from app.sip.conversation import Conversation
from app.sip.crypto import Srtp
from app.sip.engine import Engine
from app.sip.invitation import Invitation
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.multipart import find_sdp
from app.sip.pyvoip import CallState, SIPStatus, TransmitType
from app.sip.reliable import ReliableProvisionals
from app.sip.sdp import Remote, UnusableSdp
from app.sip.search import Search
from app.sip.session import Session
from app.sip.transport import TransportError
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

_log = log.get(__name__)


@dataclass(slots=True)
class _Answer:
    """The SDP that answers our offer in one dialog."""

    source: SipMessage  # that brought it
    remote: Remote
    address: str | None = None  # of its c=, once it is known and allowed


class SipCall(Conversation):
    """Implements app.calls.ports.PhoneLeg. Its RTP port is bound while it lives; raises NoFreePort when made."""

    peers_reason = Reason.CALLEE_HANGUP

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
        self._admission = admission
        self._ticket: Ticket | None = None
        self._acknowledged = False  # the 2xx: from then on a BYE may be sent
        self._is_left = False  # a BYE came while a name of the 2xx was looked up
        self._seen: tuple[int, str, bool] | None = None  # the provisional told last
        self._answers: dict[str, _Answer] = {}  # by remote tag, those in provisionals too
        self._early: str | None = None  # the tag of the early dialog that is heard
        self._reliable = ReliableProvisionals()
        self._call_sid = order.call_sid
        self._search = Search(engine, account, order, self)
        self._draft = _draft(self._search.call_id)
        super().__init__(phone, engine, account=account, media=media, state=CallState.DIALING, request=self._draft)

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

    def _leave(self) -> None:
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

    def offers_otherwise(self) -> bool:
        return self.session is not None and self.session.was_refused()

    def on_progress(self, invitation: Invitation, response: SipMessage) -> None:
        self._leave_window()
        code, tag = response.status_code, response.to_tag or ""
        if tag and code > 100:
            usage = invitation.establish(response)
            if not self._reliable.accept(usage, response):
                return
            if response.content:
                self._hear_early(invitation, response)
        self._progress(response)

    def on_success(self, invitation: Invitation, response: SipMessage) -> None:
        self._leave_window()
        usage = self.usage = invitation.establish(response)
        usage.aim(lambda: self._confirm(usage, invitation, response))

    def on_unwanted(self, usage: DialogUsage) -> None:
        self.parting.dialog = self.facts(usage.dialog.remote_tag)

    def on_moving(self) -> None:
        self._answers.clear()
        self._reliable = ReliableProvisionals()  # RSeq counts for one INVITE (RFC 3262 §3), whatever the tag
        if self._early is not None and self.session is not None:
            self._early = None
            self.session.fall_silent()
        self._tell(Moved(self.facts()))

    def on_nobody(self, outcome: Outcome) -> None:
        self._forget()
        self._end(outcome)

    def on_finished(self) -> None:
        self._forget()

    # -- what the peer says

    def usage_of(self, request: SipMessage) -> DialogUsage | None:
        invitation = self._search.invitation
        return invitation.usage(request.from_tag) if invitation is not None else None

    def objection(self, usage: DialogUsage, request: SipMessage) -> SIPStatus | None:
        if usage is self.usage:
            return None
        if request.method_name == "INVITE":  # ours has no answer yet (RFC 3261 §14.2), or another fork's
            return SIPStatus.REQUEST_PENDING if self.usage is None else SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST
        unanswered = request.content and usage.dialog.remote_tag not in self._answers
        return SIPStatus.REQUEST_PENDING if unanswered else None  # RFC 3311 §5.2

    def bye(self) -> None:
        """The peer's. It was answered first, and whoever watches must hear of that first."""
        if self._answered or self._over:
            super().bye()
        else:
            self._is_left = True

    def change(self, usage: DialogUsage, remote: Remote, address: str) -> None:
        tag = usage.dialog.remote_tag
        if usage is not self.usage and tag in self._answers:
            known = self._answers[tag]
            self._answers[tag] = _Answer(known.source, remote, address)
        if usage is self.usage or tag == self._early:
            super().change(usage, remote, address)

    # --

    def facts(self, remote_tag: str | None = None) -> DialogFacts:
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
            facts.update(usage.facts())
        return facts

    # -- audio before the answer

    def _hear_early(self, invitation: Invitation, response: SipMessage) -> None:
        """SDP in a provisional: the newest is heard until a 2xx says whose is the last word (RFC 3960 §3)."""
        tag = response.to_tag or ""
        remote = self._read(response)
        known = self._answers.get(tag)
        if remote is None or self.usage is not None or (known is not None and known.remote == remote):
            return
        self._answers.pop(tag, None)  # the newest stands last
        answer = self._answers[tag] = _Answer(response, remote)

        def go_on(address: str | Outcome) -> None:
            self._begin_early(invitation, tag, answer, address)

        self._with_address(remote, go_on)

    def _begin_early(self, invitation: Invitation, tag: str, answer: _Answer, address: str | Outcome) -> None:
        is_newest = next(reversed(self._answers), None) == tag and self._answers[tag] is answer
        wanted = is_newest and invitation is self._search.invitation and self.usage is None and not self._over
        if not wanted or isinstance(address, Outcome) or self.session is None:
            return  # a refused address hears nothing; if the 2xx says no better, the call ends with it
        answer.address = address
        self._early = tag
        self.session.agree(answer.remote, address)
        self.session.begin_early()
        if self._seen is not None and self._seen[1] == tag:  # the name in c= took its time: say it again
            self._progress(answer.source)

    def _progress(self, response: SipMessage) -> None:
        code, tag = response.status_code, response.to_tag or ""
        now = (code, tag, self._early is not None)
        if self._seen != now:  # a peer may flood: what repeats itself says nothing new
            self._seen = now
            at, ringing = self.engine.clock.now(), 180 <= code <= 183
            self._tell(Progress(at, code, response.reason_phrase, ringing, self.facts(tag), now[2]))

    # -- the answer

    def _confirm(self, usage: DialogUsage, invitation: Invitation, response: SipMessage) -> None:
        """The next hop is known: acknowledge first, whatever comes of it."""
        self._acknowledged = True
        invitation.acknowledge(usage)
        if self._over:
            self._say_goodbye()
        elif usage.problem is not None:
            self._break_off(response, usage.problem)
        else:
            self._read_answer(response)

    def _read_answer(self, response: SipMessage) -> None:
        answer = self._answers.get(response.to_tag or "")
        if answer is None or find_sdp(response.content, response.content_type) is not None:
            try:
                answer = _Answer(response, response.sdp(self.session.srtp if self.session is not None else None))
            except UnusableSdp as error:
                self._break_off(response, because(UNUSABLE_SDP, str(error)))
                return
        final = answer
        if final.address is not None:
            self._talk(response, final, final.address)
        else:
            self._with_address(final.remote, lambda address: self._talk(response, final, address))

    def _talk(self, response: SipMessage, answer: _Answer, address: str | Outcome) -> None:
        if self._over:
            return
        if isinstance(address, Outcome) or self.session is None:
            self._break_off(response, address if isinstance(address, Outcome) else UNUSABLE_SDP)
            return
        self._answers.clear()
        self.session.agree(answer.remote, address)
        self.session.answered()
        self.answered(answer.source)  # pyVoIP: payload types, RTP client, its start, state
        answer.source.release()
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
        if self._is_left:
            self.bye()

    def _break_off(self, answer: SipMessage, outcome: Outcome) -> None:
        """Nobody can talk after this 2xx; the record says all the same that it came."""
        self.break_off(replace(outcome, sip_code=answer.status_code, sip_reason=answer.reason_phrase or None))

    def _read(self, response: SipMessage) -> Remote | None:
        try:
            return response.sdp(self.session.srtp if self.session is not None else None)
        except UnusableSdp:
            return None

    def _with_address(self, remote: Remote, then: Callable[[str | Outcome], None]) -> None:
        """At once for an address in c=, later for a name."""
        address = self.engine.resolver.media(remote.address)
        if address is None:
            loop.spawn(self._resolve_media(remote.address, then), name="sip.media_address")
        else:
            then(address)

    async def _resolve_media(self, name: str, then: Callable[[str | Outcome], None]) -> None:
        then(await self.engine.resolver.media_named(name))

    # --

    def _end(self, outcome: Outcome) -> None:
        self._leave_window()
        super()._end(outcome)
        if self._is_left:
            self._forget()  # no BYE of ours will be answered

    def _forget(self) -> None:
        """Whoever may hear late answers does so without the call."""
        super()._forget()
        self._draft.release()

    def _depart(self) -> None:
        """A 2xx that nobody has waited for since timer B may come still: it will be hung up without us."""
        self._search.part(self.parting.over)

    def _leave_window(self) -> None:
        if self._ticket is not None:
            self._ticket.leave()


def _draft(call_id: str) -> SipMessage:
    """What pyVoIP's constructor and `answered` look at: the request that will leave has been written by then."""
    return SipMessage.decode(f"INVITE sip:draft SIP/2.0\r\nTo: <sip:draft>\r\nCall-ID: {call_id}\r\n\r\n".encode())
