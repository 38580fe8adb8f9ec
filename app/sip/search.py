"""Looks for somebody who answers: INVITE after INVITE, over challenges, redirections and addresses.

Knows who may be asked next, not what is said once somebody has answered.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from app.calls.outcome import UNREACHABLE, Outcome, Reason, because, of_response
from app.calls.ports import LegOrder
from app.runtime import loop
from app.sip import compose
from app.sip.account import Chain, SipAccount
from app.sip.build import Header, UnsafeText, token
from app.sip.compose import Here, Invite
from app.sip.engine import Engine
from app.sip.headers import HeaderError, Target
from app.sip.invitation import Invitation
from app.sip.itinerary import Itinerary
from app.sip.message import SipMessage
from app.sip.transport import Hop, TransportError
from app.sip.usage import DialogUsage

_LONGEST_OVER_UDP = 1300  # bytes, RFC 3261 §18.1.1
_TCP_PATIENCE = 1.0  # seconds before a long INVITE goes over UDP after all
_APART = 0.02  # seconds between an ACK and the next INVITE on a stream: SIPp takes both at once for one too many


class Seeker(Protocol):
    """Who wants to talk."""

    def offer(self, here: Here) -> bytes:
        """The SDP of the INVITE."""

    def offers_otherwise(self) -> bool:
        """The offer was refused: whether `offer` has another one to make."""

    def on_progress(self, invitation: Invitation, response: SipMessage) -> None: ...

    def on_success(self, invitation: Invitation, response: SipMessage) -> None: ...

    def on_moving(self) -> None:
        """Another INVITE is about to leave."""

    def on_nobody(self, outcome: Outcome) -> None:
        """Nobody answered, and nobody is left to ask."""

    def on_unwanted(self, usage: DialogUsage) -> None:
        """After `stop`: somebody has answered all the same, and is being hung up."""

    def on_finished(self) -> None:
        """After `stop`: nothing is left of it on the wire."""


class _Nobody:
    """The seeker of a search that is over."""

    def offer(self, here: Here) -> bytes:
        return b""

    def offers_otherwise(self) -> bool:
        return False

    def on_progress(self, invitation: Invitation, response: SipMessage) -> None: ...

    def on_success(self, invitation: Invitation, response: SipMessage) -> None: ...

    def on_moving(self) -> None: ...

    def on_nobody(self, outcome: Outcome) -> None: ...

    def on_unwanted(self, usage: DialogUsage) -> None: ...

    def on_finished(self) -> None: ...


_NOBODY = _Nobody()


class Search:
    def __init__(self, engine: Engine, account: SipAccount, order: LegOrder, seeker: Seeker) -> None:
        self.heard = False  # any response, of any attempt
        self._engine = engine
        self._account = account
        self._seeker: Seeker = seeker
        self._target = order.target
        self._user = order.caller.uri.user
        self._hops = str(order.hops)
        self.call_id = account.gen_call_id()
        self._from = compose.from_value(order.caller, account.local_tag)
        self._to = compose.to_value(order.target)
        self._extra: list[Header] = [
            ("X-CallSid", order.call_sid),
            ("X-AccountSid", order.account_sid),
            *((token(name), value) for name, value in order.target.decoded_headers()),
            *compose.CAPABILITIES,
        ]
        self._itinerary = Itinerary(str(order.target.as_request_uri()))
        self._chain = Chain()
        self._stopped = False
        self.invitation: Invitation | None = None  # the newest

    async def prepare(self) -> Outcome | None:
        """Resolve the target and write the INVITE; the outcome when there is nowhere to send it."""
        places = self._kept_secure(await self._engine.resolver.hops(self._next_uri))
        if isinstance(places, Outcome):
            return places
        self._itinerary.hops = list(places)
        return await self._prepare_next(because(UNREACHABLE, "no address"))

    def send(self) -> None:
        """Let the prepared INVITE leave."""
        if self.invitation is not None and not self._stopped:
            self.invitation.send()

    def stop(self) -> None:
        """Nobody wants an answer any more; safe to call twice."""
        self._stopped = True
        if self.invitation is not None:
            self.invitation.abandon()
        else:
            self._seeker.on_finished()

    def part(self, then: Callable[[], None]) -> None:
        """The seeker is gone; late answers are dealt with by the invitation alone. `then`: none can come any more."""
        self._stopped = True
        self._seeker = _NOBODY
        if self.invitation is not None:
            self.invitation.part(then)
        else:
            then()

    # -- InviteUser

    def on_progress(self, invitation: Invitation, response: SipMessage) -> None:
        self.heard = True
        self._seeker.on_progress(invitation, response)

    def on_success(self, invitation: Invitation, response: SipMessage) -> None:
        self.heard = True
        self._seeker.on_success(invitation, response)

    def on_failure(self, invitation: Invitation, response: SipMessage) -> None:
        self.heard = True
        code = response.status_code
        outcome = of_response(code, response.reason_phrase)
        if code in (401, 407) and self._account.accept_challenge(response, self._chain):
            self._go(invitation.hop, outcome)
            return
        if code == 488 and self._seeker.offers_otherwise():
            self._go(invitation.hop, outcome)
            return
        if 300 <= code < 400:
            self._itinerary.redirect(response)
        elif code == 503 and (hop := self._itinerary.next_hop()) is not None:
            self._go(hop, outcome)
            return
        if code >= 600:  # §21.6: nobody else need be asked
            self._seeker.on_nobody(outcome)
        else:
            self._ask_next_target(outcome)

    def on_silent(self, invitation: Invitation) -> None:
        self._seeker.on_nobody(because(UNREACHABLE, "no response of any kind"))

    def on_unsendable(self, invitation: Invitation, why: str) -> None:
        outcome = because(UNREACHABLE, why)
        hop = self._itinerary.next_hop()
        if hop is not None:
            self._go(hop, outcome)
        else:
            self._ask_next_target(outcome)

    # A refused one may be answered by another branch while the next one is on its way: its end is not the search's.

    def on_unwanted(self, invitation: Invitation, usage: DialogUsage) -> None:
        if self._stopped and invitation is self.invitation:
            self._seeker.on_unwanted(usage)

    def on_finished(self, invitation: Invitation) -> None:
        if self._stopped and invitation is self.invitation:
            self._seeker.on_finished()

    # --

    def _go(self, hop: Hop, otherwise: Outcome) -> None:
        """Ask there now; a long INVITE tries TCP first, which takes a moment."""
        try:
            invitation = self._write(hop)
        except (TransportError, UnsafeText) as error:
            self._seeker.on_nobody(replace(otherwise, detail=str(error)))
            return
        if self._is_too_long(invitation):
            loop.spawn(self._go_over_tcp(invitation), name="sip.long_invite")
        elif hop.transport == "udp":
            self._leave(invitation)
        else:
            asyncio.get_running_loop().call_later(_APART, self._leave, invitation)

    async def _go_over_tcp(self, invitation: Invitation) -> None:
        self._leave(await self._over_tcp_if_it_can(invitation))

    def _leave(self, invitation: Invitation) -> None:
        if self._stopped:
            self._seeker.on_finished()
            return
        self.invitation = invitation
        self._seeker.on_moving()
        self.send()

    def _ask_next_target(self, outcome: Outcome) -> None:
        uri = self._itinerary.next_target()
        if uri is None:
            self._seeker.on_nobody(outcome)
        elif (places := self._engine.resolver.literal(self._next_uri)) is not None:
            self._ask_places(self._kept_secure(places), outcome)
        else:
            loop.spawn(self._ask_named(outcome), name="sip.redirect")

    async def _ask_named(self, outcome: Outcome) -> None:
        self._ask_places(self._kept_secure(await self._engine.resolver.hops(self._next_uri)), outcome)

    @property
    def _next_uri(self) -> str:
        """Where the INVITE goes, on its way to the target: to the outbound proxy if there is one."""
        return self._engine.rules.proxy or self._itinerary.uri

    def _kept_secure(self, places: list[Hop] | Outcome) -> list[Hop] | Outcome:
        """A proxy without TLS must not see a call to sips: (RFC 3261 §26.2.2)."""
        if isinstance(places, Outcome) or not self._itinerary.is_secure:
            return places
        over_tls = [hop for hop in places if hop.transport == "tls"]
        return over_tls or because(UNREACHABLE, "sips: needs TLS, and DIAL_SIP_PROXY has none")

    def _ask_places(self, places: list[Hop] | Outcome, outcome: Outcome) -> None:
        if self._stopped:
            self._seeker.on_finished()
        elif isinstance(places, Outcome):
            denied = places.reason is Reason.ADDRESS_DENIED
            why = replace(places if denied else outcome, sip_code=outcome.sip_code, sip_reason=outcome.sip_reason)
            self._ask_next_target(why)
        else:
            if not self._is_same_host(self._itinerary.uri):
                self._account.forget_credentials()
            self._chain = Chain()
            self._itinerary.hops = list(places)
            self._go(self._itinerary.hops.pop(0), outcome)

    def _is_same_host(self, uri: str) -> bool:
        try:
            return Target.parse(uri).host == self._target.host
        except HeaderError:
            return False

    async def _prepare_next(self, outcome: Outcome) -> Outcome | None:
        """Write the INVITE for the first address that a packet of ours can leave for."""
        while (hop := self._itinerary.next_hop()) is not None:
            try:
                invitation = self._write(hop)
            except (TransportError, UnsafeText) as error:
                outcome = because(UNREACHABLE, str(error))
                continue
            if self._is_too_long(invitation):
                invitation = await self._over_tcp_if_it_can(invitation)
            self.invitation = invitation
            return None
        return outcome

    def _is_too_long(self, invitation: Invitation) -> bool:
        """RFC 3261 §18.1.1, unless the customer wrote which transport to use."""
        return (
            invitation.hop.transport == "udp"
            and invitation.size > _LONGEST_OVER_UDP
            and Target.parse(self._engine.rules.proxy or str(self._target)).param("transport") is None
        )

    async def _over_tcp_if_it_can(self, invitation: Invitation) -> Invitation:
        tcp = invitation.hop._replace(transport="tcp")
        if await self._engine.endpoint.tcp.can_connect(tcp, _TCP_PATIENCE):
            return self._write(tcp)
        return invitation

    def _here(self, hop: Hop) -> Here:
        host, port = self._engine.endpoint.sent_by(hop)
        return Here(hop.transport, host, port, self._user, secure=self._itinerary.is_secure)

    def _write(self, hop: Hop) -> Invitation:
        """The INVITE for `hop`, with the next CSeq number; raises TransportError and UnsafeText."""
        here = self._here(hop)
        branch = self._account.gen_branch()
        uri = self._itinerary.uri
        via = here.via(branch)
        cseq = self._account.inviteCounter.next()
        credentials = self._account.authorization("INVITE", uri)
        headers: list[Header] = [
            ("Via", via),
            *[("Route", route) for route in self._engine.rules.routes],
            ("Max-Forwards", self._hops),
            ("From", self._from),
            ("To", self._to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} INVITE"),
            ("Contact", here.contact),
            *credentials,
            *self._extra,
        ]
        data = compose.request("INVITE", uri, headers, body=self._seeker.offer(here))
        invite = Invite(hop, branch, data, uri, via, self._from, self._to, self.call_id, cseq, tuple(credentials))
        return Invitation(self._engine, self._account, invite, here, self)
