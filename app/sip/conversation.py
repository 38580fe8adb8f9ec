"""What a call of either direction is: pyVoIP's VoIPCall with media, a dialog, its changes and one way to end.

Knows no customer and no record, and not how the dialog came to be: app/sip/call.py and app/sip/arrival.py do.
"""

import asyncio
import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec

from app.calls.audio import Audio
from app.calls.outcome import Outcome, Reason, hung_up
from app.calls.ports import DialogFacts, Ended, Goodbye, Moved, Pressed, Signal, Silence
from app.sip.account import SipAccount
from app.sip.endpoint import Incoming
from app.sip.engine import Engine
from app.sip.keys import By, KeyPresses
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.peer import PeerRequests
from app.sip.pyvoip import CallState, PayloadType, SIPMessage, SIPStatus, VoIPCall
from app.sip.renegotiation import Renegotiation
from app.sip.sdp import Remote
from app.sip.session import Session
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

P = ParamSpec("P")

_OFFERED = {0: PayloadType.PCMU, 8: PayloadType.PCMA, 101: PayloadType.EVENT}


class Parting:
    """Implements Goodbye. Apart from the call, which need not live for as long as something late may come."""

    __slots__ = ("_over", "dialog")

    def __init__(self) -> None:
        self.dialog: DialogFacts | None = None
        self._over = False

    @property
    def heard(self) -> bool:
        return self._over

    def over(self) -> None:
        """Nothing is left to be said."""
        self._over = True


class Conversation(VoIPCall):
    """Its RTP port is bound while it lives; raises NoFreePort when made."""

    peers_reason: ClassVar[Reason]  # why it is over when the peer hangs up

    def __init__(
        self,
        phone: "VoIPPhone",
        engine: Engine,
        *,
        account: SipAccount,
        media: MediaFactory,
        state: CallState,
        request: SipMessage,
    ) -> None:
        self.signals: asyncio.Queue[Signal] = asyncio.Queue()
        self.engine = engine
        self.account = account
        self.usage: DialogUsage | None = None  # the dialog; where we called, the confirmed one
        self.session: Session | None = None
        self.parting = Parting()
        self._over = False
        self._answered = False  # acknowledged, and there is audio
        self._let_go: Callable[[], None] | None = None  # of the connection that the dialog lives on
        self._renegotiation: Renegotiation | None = None
        self._media = media.open(dtmf=_weakly(self._heard_event))
        self._media.on_silence = _weakly(self._on_silence)
        self._media.on_tone = _weakly(self._heard_tone)
        self._presses = KeyPresses(_weakly(self._on_press))
        ports: Any = {self._media.local_port: _OFFERED}  # as pyVoIP passes them, not as it types them
        super().__init__(phone, state, request, 0, account.myIP, ports, "sendrecv")
        self.sip = account
        account.on_bye = self._say_goodbye

    # -- app.calls.ports.PhoneLeg and IncomingLeg

    @property
    def audio(self) -> Audio:
        return self._media

    def hang_up(self) -> Goodbye | None:
        if not self._over:
            self._leave()
        return None if self.parting.heard else self.parting

    @abstractmethod
    def _leave(self) -> None:
        """Hang up, in whatever way the state asks for."""

    # -- what the peer says

    @abstractmethod
    def usage_of(self, request: SipMessage) -> DialogUsage | None:
        """The dialog of ours that a request with our tag is in."""

    @abstractmethod
    def objection(self, usage: DialogUsage, request: SipMessage) -> SIPStatus | None:
        """Why the session cannot be changed by this re-INVITE or UPDATE right now."""

    def receive(self, incoming: Incoming) -> bool:
        """A request of the peer in one of this call's dialogs; False: in none of them."""
        request = incoming.request
        usage = self.usage_of(request) if request.to_tag == self.account.local_tag else None
        if usage is None:
            return False
        PeerRequests(self).receive(usage, self.engine.endpoint.serve(incoming))
        return True

    def receive_ack(self, request: SipMessage) -> None:
        if self._renegotiation is not None:
            self._renegotiation.receive_ack(request)

    def receive_prack(self, request: SipMessage) -> bytes | None:
        """The SDP of the answer; None: it acknowledges nothing of ours."""
        return None

    def pracked(self) -> None:
        """The PRACK has been answered: what waited for it may go on."""

    def peer_hung_up(self, usage: DialogUsage, request: SipMessage) -> None:
        """A BYE came."""
        usage.ended = True
        if usage is self.usage:
            request.headers["Call-ID"] = self.call_id
            self.phone.callback(request)  # pyVoIP finds the call and ends it by `bye`
            request.release()

    def press(self, key: str, held: float) -> None:
        """A key came by INFO, held down for some seconds."""
        self._presses.info(key, held)

    @property
    def renegotiation(self) -> Renegotiation:
        """Made when it is first needed: most sessions never change."""
        if self._renegotiation is None:
            self._renegotiation = Renegotiation(self)
        return self._renegotiation

    def change(self, usage: DialogUsage, remote: Remote, address: str) -> None:
        """What a re-INVITE or UPDATE agreed is in force."""
        if self.session is not None:
            self.session.change(remote, address)

    def break_off(self, outcome: Outcome) -> None:
        """End an established dialog with a BYE and `outcome`."""
        self._say_goodbye()
        self._end(outcome)

    def moved(self) -> None:
        """The dialog changed: whoever rescues it must know."""
        if not self._over:
            self._tell(Moved(self.facts()))

    @abstractmethod
    def facts(self) -> DialogFacts:
        """What a stranger needs to end this leg, as it is now."""

    def release(self) -> None:
        """Return the port, whatever the state."""
        self._media.stop()

    # -- pyVoIP's names

    def create_rtp_clients(
        self, codecs: dict[int, PayloadType], ip: str, port: int, request: SIPMessage, baseport: int
    ) -> None:
        """pyVoIP calls it with what it negotiated; the sockets have been bound for long."""
        if self.session is not None:
            self.RTPClients.append(self.session.client())

    def hangup(self) -> None:
        """BYE; raises pyVoIP's InvalidStateError unless the call is answered."""
        super().hangup()
        self.phone.calls[self.call_id] = self  # until the BYE is answered: the peer's may cross it

    def bye(self) -> None:
        """The peer's BYE."""
        super().bye()
        self._end(hung_up(self.peers_reason))
        self._forget()

    # --

    def _heard_event(self, key: str) -> None:
        self._presses.event(key)

    def _heard_tone(self, key: str) -> None:
        self._presses.tone(key)

    def _on_press(self, key: str, by: By) -> None:
        if not self._over:
            self.dtmf_callback(key)
            self._tell(Pressed(self.engine.clock.now(), key, by))

    def _on_silence(self) -> None:
        if not self._over:
            self._tell(Silence(self.engine.clock.now()))

    def _end(self, outcome: Outcome) -> None:
        """The one way out: returns the port, says it once."""
        if self._over:
            return
        self._over = True
        self._presses.close()
        self._stop_renegotiating()
        self._media.stop()
        self.state = CallState.ENDED
        self._tell(Ended(self.engine.clock.now(), outcome))

    def _say_goodbye(self) -> None:
        if self.usage is not None:
            self.usage.bye(self._said_goodbye)

    def _said_goodbye(self, response: SipMessage | None) -> None:
        self._forget()

    def _forget(self) -> None:
        """Nothing more can come for this call.

        What refers to each other is taken apart, so that a call is freed when it ends and not by a collection that
        comes thousands of calls later.
        """
        self._stop_renegotiating()  # a re-INVITE may have crossed our BYE
        self.phone.calls.pop(self.call_id, None)
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()
        self.account.on_bye = None
        self._depart()

    def _depart(self) -> None:
        """The peer has heard that it is over."""
        self.parting.over()

    def _stop_renegotiating(self) -> None:
        if self._renegotiation is not None:
            self._renegotiation.close()
            self._renegotiation = None

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
