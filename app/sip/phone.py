"""The SIP side of one worker: pyVoIP's VoIPPhone without its threads and its registration."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import ip_address

from app.calls.address import AddressPolicy, ip_literal
from app.calls.ports import Clock, DialogFacts, LegOrder
from app.calls.sid import CallSid
from app.runtime import log
from app.sip.account import SipAccount
from app.sip.admission import Admission
from app.sip.call import SipCall
from app.sip.conversation import Conversation
from app.sip.directory import Directory
from app.sip.endpoint import Endpoint
from app.sip.engine import CallRules, Engine
from app.sip.inbound import Inbound
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.pyvoip import PhoneStatus, VoIPCall, VoIPPhone
from app.sip.resolve import Resolver
from app.sip.strangers import Strangers
from app.sip.switchboard import Knows, OnArrival, Switchboard
from app.sip.tls import Security
from app.sip.trace import OnLeg, OnMessage
from app.sip.transaction import Timing
from app.sip.transport import TransportError, local_address_towards

_LOOK = 0.02  # seconds

_log = log.get(__name__)


class SipPhone(VoIPPhone):
    """Implements app.calls.ports.Phone. `start` before the first leg; one per worker and per event loop.

    It takes no calls before `take_calls`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        policy: AddressPolicy,
        media: MediaFactory,
        clock: Clock,
        advertised_host: str = "",
        name_server: str = "",
        security: Security | None = None,
        rules: CallRules | None = None,
        timing: Timing | None = None,
        on_message: OnMessage | None = None,
        on_leg: OnLeg | None = None,
    ) -> None:
        super().__init__(host, port, "", "", myIP=host, sipPort=port)
        self._media = media
        self._clock = clock
        self._advertised = advertised_host
        self._rules = rules or CallRules()
        self._switchboard = Switchboard(self, media, rate=self._rules.inbound_rate, on_leg=on_leg)
        self._inbound = Inbound(self.calls, self._switchboard)
        timing = timing or Timing()
        self.endpoint = Endpoint(
            on_request=self._inbound.on_request,
            on_ack=self._on_ack,
            clock=clock,
            timing=timing,
            advertised_host=advertised_host,
            security=security,
        )
        self.endpoint.on_message = on_message
        self._on_leg = on_leg
        self._inbound.endpoint = self.endpoint
        self._resolver = Resolver(policy, self.endpoint.reaches, Directory(name_server))
        self._admission = Admission(patience=timing.t1)
        self._engine: Engine | None = None
        self._strangers: Strangers | None = None

    @property
    def local(self) -> tuple[str, int]:
        """Address and port that SIP is bound to, once started."""
        return self.endpoint.local

    async def start(self) -> None:  # type: ignore[override]  # pyVoIP's registers and starts threads
        """Bind UDP, TCP and, if it is wanted, TLS; raises OSError when a port is taken."""
        await self.endpoint.open(self.myIP, self.sip.myPort)
        media_host = await _media_host(self._advertised, self.endpoint.local[0])
        self._engine = Engine(self.endpoint, self._resolver, self._clock, media_host, self._rules)
        self._switchboard.engine = self._engine
        self._strangers = Strangers(self.endpoint, self._clock)
        self._status = PhoneStatus.REGISTERED  # pyVoIP's word for ready
        self.NSD = True
        _log.info("sip.listening", host=self.local[0], port=self.local[1])

    async def stop(self, failed: bool = False) -> None:  # type: ignore[override]  # pyVoIP's stops threads
        """Close the sockets; legs that still run are not hung up: their owner does that first."""
        self.NSD = False
        self._status = PhoneStatus.FAILED if failed else PhoneStatus.INACTIVE
        if self._strangers is not None:
            await self._strangers.close()
        await self.endpoint.close()
        self._resolver.close()

    async def settle(self, seconds: float) -> None:
        """Wait until no leg needs the wire any more: BYEs answered, CANCELs followed by their 487, late 2xx ended."""
        for _ in range(int(seconds / _LOOK)):
            if not self.calls:
                return
            await asyncio.sleep(_LOOK)

    def leg(self, order: LegOrder) -> SipCall:
        """A new leg with its RTP port bound; raises NoFreePort, and RuntimeError before `start`."""
        if self._engine is None or self.get_status() is not PhoneStatus.REGISTERED:
            raise RuntimeError("the phone has not been started, or has been stopped")
        target = order.target
        account = SipAccount(
            self,
            server=target.host,
            port=target.port or (5061 if target.transport == "tls" else 5060),
            credentials=(order.username, order.password or "") if order.username else None,
            host=self._advertised or self.local[0],
            sip_port=self.local[1],
        )
        call = SipCall(self, self._engine, admission=self._admission, media=self._media, order=order, account=account)
        self.calls[call.call_id] = call
        if self._on_leg is not None:
            self._on_leg(call.call_id, order.call_sid, call)
        return call

    def take_calls(self, knows: Knows, on_arrival: OnArrival) -> None:
        """From now on an INVITE for a number that `knows` becomes a leg that `on_arrival` is told of, on the loop.

        What `on_arrival` raises is answered 500. Every other INVITE is answered 404 as before.
        """
        self._switchboard.open(knows, on_arrival)

    async def hang_up_stranger(self, facts: DialogFacts) -> "asyncio.Future[None] | None":
        """End a leg of a worker that died: BYE if it was confirmed, else CANCEL and, for 64·T1, ACK and BYE any 2xx.

        Returns once the request has left; the future is done when the peer has heard, or never will. The dead worker's
        own port is bound for it when that is free.
        """
        if self._on_leg is not None and "call_sid" in facts:
            self._on_leg(facts["call_id"], CallSid(facts["call_sid"]), None)
        return None if self._strangers is None else await self._strangers.hang_up(facts)

    def _on_ack(self, request: SipMessage) -> None:
        if not self._inbound.on_ack(request) and self._strangers is not None:
            self._strangers.on_ack(request)

    def release_ports(self, call: VoIPCall | None = None) -> None:
        """pyVoIP calls it when a call is collected: the last net under a leg that nobody ended."""
        if isinstance(call, Conversation):
            call.release()

    def request_port(self, blocking: bool = True) -> int:
        """pyVoIP's constructor of an incoming call asks for one: its leg has bound its own by then."""
        return 0


async def _media_host(advertised: str, bound: str) -> str:
    """The address that stands in our SDP: a name is resolved once, at start."""
    if not advertised or ip_literal(advertised):
        return advertised or bound
    with suppress(OSError):
        found = await asyncio.get_running_loop().getaddrinfo(advertised, None, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])
    _log.warning("sip.advertised_host_unresolved", host=advertised)
    if ip_address(bound).is_unspecified:
        with suppress(TransportError):
            return local_address_towards("2001:db8::1" if ":" in bound else "192.0.2.1")  # routed, never sent to
    return bound
