"""Decides what becomes of an INVITE that begins a call: refused without a trace, or an incoming leg.

Knows which numbers are ours only by asking, and nothing of what is done with a call.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from prometheus_client import Counter

from app.calls.address import ip_literal
from app.calls.errors import NoFreePort
from app.calls.ports import MOST_HOPS, Arrival, IncomingLeg
from app.calls.sid import CallSid
from app.calls.uri import ANONYMOUS, NameAddr, SipUri, UriError
from app.runtime import log
from app.sip import compose
from app.sip.account import SipAccount
from app.sip.arrival import SipArrival
from app.sip.build import Header, UnsafeText
from app.sip.compose import Here
from app.sip.crypto import Srtp
from app.sip.dialog import Dialog
from app.sip.endpoint import Incoming
from app.sip.engine import Engine
from app.sip.entry import Entry
from app.sip.headers import Address, HeaderError, Target, contact_uri
from app.sip.media_port import MediaFactory
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPStatus
from app.sip.rate import SourceRate
from app.sip.renegotiation import may_hold_sdp
from app.sip.sdp import Remote, UnusableSdp
from app.sip.session_timer import SMALLEST, too_small
from app.sip.trace import OnLeg
from app.sip.transport import TransportError
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.pyvoip import VoIPPhone

Knows = Callable[[str], bool]
OnArrival = Callable[[Arrival, IncomingLeg], None]

_RETRY = (("Retry-After", "5"),)  # seconds

_log = log.get(__name__)
_REFUSED = Counter("dial_sip_arrivals_refused_total", "INVITEs that were refused unheard", ["why"])


class Refusal(Exception):
    """What an INVITE is answered, without keeping anything of it."""

    def __init__(self, status: SIPStatus, why: str, *headers: Header) -> None:
        super().__init__(why)
        self.status = status
        self.headers = headers


class Switchboard:
    """Nobody is at home before it is `open` and has an engine."""

    def __init__(self, phone: "VoIPPhone", media: MediaFactory, *, rate: float, on_leg: OnLeg | None) -> None:
        self.engine: Engine | None = None
        self._phone = phone
        self._media = media
        self._on_leg = on_leg
        self._knows: Knows = _nobody
        self._on_arrival: OnArrival | None = None
        self._rate = SourceRate(rate)
        self._arrivals: dict[str, SipArrival] = {}  # by our tag
        self._invites: set[tuple[str, str, int]] = set()  # of arrivals: Call-ID, From tag, CSeq

    def open(self, knows: Knows, on_arrival: OnArrival) -> None:
        """`knows` tells a number of ours, `on_arrival` takes the call."""
        self._knows, self._on_arrival = knows, on_arrival

    def arrival(self, request: SipMessage) -> SipArrival | None:
        """The incoming leg that has our tag of this request."""
        return self._arrivals.get(request.to_tag or "")

    def receive(self, incoming: Incoming) -> None:
        """An INVITE outside of any dialog."""
        engine = self.engine
        if engine is None:
            return
        try:
            self._take(engine, incoming)
        except Refusal as refusal:
            _REFUSED.labels(str(int(refusal.status))).inc()
            _log.debug("sip.arrival_refused", source=incoming.source.host, why=str(refusal))
            engine.endpoint.refuse(incoming, refusal.status, headers=refusal.headers)

    def _take(self, engine: Engine, incoming: Incoming) -> None:
        request, on_arrival = incoming.request, self._on_arrival
        # Whatever the number: who tries them one after the other learns no faster which are ours.
        if not self._rate.admits(incoming.source.host, asyncio.get_running_loop().time()):
            raise Refusal(SIPStatus.SERVICE_UNAVAILABLE, "too many INVITEs from there", ("Retry-After", "2"))
        number = number_of(request.request_uri)
        if number is None or on_arrival is None or not self._knows(number):
            raise Refusal(SIPStatus.NOT_FOUND, "no number of ours")
        offer = self._examine(engine, incoming)
        account = self._account(incoming)
        usage = _usage(engine, incoming, account)
        arrival = _arrival(engine, incoming, number)
        mark = _mark(request)

        def follow(leg: SipArrival, call_sid: CallSid | None) -> None:
            if self._on_leg is not None:
                self._on_leg(request.call_id, call_sid, leg)

        def ended() -> None:
            self._arrivals.pop(account.local_tag, None)
            self._invites.discard(mark)

        entry = Entry(incoming, arrival, usage, offer, _media_host(engine, usage.here), follow, ended)
        try:
            leg = SipArrival(self._phone, engine, entry=entry, account=account, media=self._media)
        except NoFreePort as error:
            raise Refusal(SIPStatus.SERVICE_UNAVAILABLE, "no RTP port is free", *_RETRY) from error
        self._arrivals[account.local_tag] = leg
        self._invites.add(mark)
        self._phone.calls[leg.call_id] = leg
        follow(leg, None)
        leg.begin(lambda: self._hand_over(arrival, leg, on_arrival))

    def _hand_over(self, arrival: Arrival, leg: SipArrival, on_arrival: OnArrival) -> None:
        try:
            on_arrival(arrival, leg)
        except Exception:  # the loop's edge: the caller must not hear silence for ever
            _log.exception("sip.arrival_failed", source=arrival.source)
            leg.reject(int(SIPStatus.INTERNAL_SERVER_ERROR), SIPStatus.INTERNAL_SERVER_ERROR.phrase)

    def _examine(self, engine: Engine, incoming: Incoming) -> Remote | None:
        """The offer in it, if there is one; raises Refusal in the order of RFC 3261 §8.2."""
        request = incoming.request
        if _mark(request) in self._invites:
            raise Refusal(SIPStatus.LOOP_DETECTED, "the same request came another way")  # §8.2.2.2
        if _hops_left(request) == 0:  # what we do with the call may lead back to us: RFC 7332 §3
            raise Refusal(SIPStatus.TOO_MANY_HOPS, "Max-Forwards is 0")
        unknown = compose.unsupported(request)
        if unknown:
            raise Refusal(SIPStatus.BAD_EXTENSION, f"it requires {unknown}", ("Unsupported", unknown))
        if too_small(request):
            raise Refusal(SIPStatus.SESSION_INTERVAL_TOO_SMALL, "its session is too short", ("Min-SE", str(SMALLEST)))
        if contact_uri(request.first("contact")) is None:
            raise Refusal(SIPStatus.BAD_REQUEST, "its Contact is missing or no address")
        if engine.rules.srtp is Srtp.REQUIRED and incoming.source.transport != "tls":
            raise _unusable("DIAL_SRTP=required needs TLS for its keys")
        if not request.content:
            return None
        if not may_hold_sdp(request):
            raise Refusal(SIPStatus.UNSUPPORTED_MEDIA_TYPE, "its body is no SDP", *compose.READ)
        return self._offer(engine, incoming)

    def _offer(self, engine: Engine, incoming: Incoming) -> Remote:
        try:
            return incoming.request.sdp(engine.rules.srtp if incoming.source.transport == "tls" else Srtp.OFF)
        except UnusableSdp as error:
            raise _unusable(str(error)) from error

    def _account(self, incoming: Incoming) -> SipAccount:
        source = incoming.source
        return SipAccount(
            self._phone,
            server=source.host,
            port=source.port,
            credentials=None,
            host=self._phone.myIP,
            sip_port=self._phone.sip.myPort,
        )


def number_of(uri: str) -> str | None:
    """The user part of a Request-URI, unescaped, without its parameters and password."""
    try:
        user = Target.parse(uri).user
    except HeaderError:
        return None
    if not user:
        return None
    return unquote(user.partition(":")[0].partition(";")[0]) or None


def _nobody(number: str) -> bool:
    return False


def _unusable(why: str) -> Refusal:
    return Refusal(SIPStatus.NOT_ACCEPTABLE_HERE, why, ("Warning", f'399 dial-to-sip "{compose.plain(why)}"'))


def _mark(request: SipMessage) -> tuple[str, str, int]:
    return request.call_id, request.from_tag or "", request.cseq[0]


def _usage(engine: Engine, incoming: Incoming, account: SipAccount) -> DialogUsage:
    """The early dialog that our answers make (RFC 3261 §12.1.1); raises Refusal."""
    request, connection = incoming.request, incoming.connection
    flow = connection.remote if connection is not None else incoming.source
    target = contact_uri(request.first("contact")) or ""
    routes = request.all("record-route")
    try:
        dialog = Dialog(
            call_id=request.call_id,
            local_tag=account.local_tag,
            remote_tag=request.from_tag or "",
            from_value=str(Address.parse(request.first("to") or "").with_tag(account.local_tag)),
            to_value=str(Address.parse(request.first("from") or "")),
        )
        dialog.remote_target, dialog.route_set = target, tuple(routes)
        dialog.remote_cseq = request.cseq[0]
        here = _here(engine, incoming, [target, *(Address.parse(route).uri for route in routes[:1])])
        usage = DialogUsage(engine, account, dialog, here=here, fallback=flow, is_flow=connection is not None)
        usage.rehearse()
    except (HeaderError, UnsafeText) as error:
        raise Refusal(SIPStatus.BAD_REQUEST, str(error)) from error
    except TransportError as error:
        raise Refusal(SIPStatus.SERVICE_UNAVAILABLE, str(error), *_RETRY) from error
    return usage


def _here(engine: Engine, incoming: Incoming, hops: list[str]) -> Here:
    """How the caller sees us. One sips: anywhere makes ours one (RFC 3261 §12.1.1)."""
    request, source = incoming.request, incoming.source
    host, port = engine.endpoint.address_towards(source.host)
    if source.transport == "tls" and incoming.connection is not None:
        port = engine.endpoint.tls_port or incoming.connection.local[1]
    userinfo = Target.parse(request.request_uri).user
    is_secure = any(uri.lower().startswith("sips:") for uri in (request.request_uri, *hops))
    return Here(source.transport, host, port, userinfo, secure=is_secure and source.transport == "tls")


def _media_host(engine: Engine, here: Here) -> str:
    return here.host if ip_literal(here.host) else engine.media_host


def _arrival(engine: Engine, incoming: Incoming, number: str) -> Arrival:
    request = incoming.request
    return Arrival(
        at=engine.clock.now(),
        number=number,
        caller=_caller(request, incoming.source.host),
        called=_uri(request.request_uri) or SipUri("sip", incoming.source.host, number),
        source=incoming.source.host,
        forwarded_from=_forwarder(request),
        headers=tuple((name, value) for name, value in request.raw_headers if name[:2] in ("X-", "x-")),
        hops_left=_hops_left(request),
    )


def _hops_left(request: SipMessage) -> int:
    """Its Max-Forwards; who sends none, or none that is a number, has the usual one (RFC 3261 §16.3, RFC 2543)."""
    value = request.first("max-forwards") or ""
    return min(int(value), MOST_HOPS) if value.isascii() and value.isdigit() and len(value) < 10 else MOST_HOPS


def _caller(request: SipMessage, source: str) -> NameAddr:
    """From, without its tag. Who calls from a tel: URI is a user of wherever it came from; what is none, is nobody."""
    try:
        address = Address.parse(request.first("from") or "")
    except HeaderError:
        return ANONYMOUS
    uri = _uri(address.uri)
    scheme, _, number = address.uri.partition(":")
    if uri is None and scheme.lower() == "tel":
        uri = _uri(f"sip:{number.partition(';')[0]}@{f'[{source}]' if ':' in source else source}")
    return NameAddr(uri, address.display) if uri is not None else ANONYMOUS


def _forwarder(request: SipMessage) -> str | None:
    """The newest Diversion (RFC 5806), bare as all addresses that customers are told; a tel: URI as it is."""
    text = contact_uri(request.first("diversion")) or ""
    uri = _uri(text)
    return uri.bare() if uri is not None else text.partition(";")[0] or None


def _uri(text: str) -> SipUri | None:
    try:
        return SipUri.parse(text)
    except UriError:
        return None
