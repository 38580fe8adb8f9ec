"""Ends calls that another worker placed or took before it died, from the facts it stored. Knows no call object."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable

from app.calls.ports import Clock, DialogFacts
from app.runtime import log
from app.sip import build, compose
from app.sip.dialog import routing
from app.sip.endpoint import Endpoint, Incoming
from app.sip.headers import Address, HeaderError, Via, contact_uri
from app.sip.message import SipMessage
from app.sip.transport import Hop

Local = tuple[str, int]

_log = log.get(__name__)

# Whoever is started at the dead worker's port wants it back; a peer that stays silent would hold it for 64·T1.
_BORROWED_AT_MOST = 10.0  # seconds
_REFUSALS = 4  # of an INVITE, before a BYE tells what they could not: 7.5 s at most
_CSEQ_LEAP = 100  # past a PRACK or refresh that was sent after the facts were stored; gaps are legal (§12.2.2)


class Strangers:
    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._own = endpoint
        self._clock = clock
        self._borrowed: dict[Local, Endpoint] = {}
        self._ending: Counter[Local] = Counter()  # strangers that still need the borrowed address
        self._unanswered: dict[str, _Unanswered] = {}  # by Call-ID
        self._opening = asyncio.Lock()

    async def hang_up(self, facts: DialogFacts) -> "asyncio.Future[None]":
        """The request has left when this returns; the future is done when the peer has heard, or never will."""
        endpoint = await self._endpoint_for(facts)
        local = endpoint.local
        self._ending[local] += 1
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def over() -> None:
            self._ended(local)
            if not heard.done():
                heard.set_result(None)

        if facts.get("state") == "incoming":
            self._refuse(endpoint, facts, over)
        elif facts.get("state") == "confirmed":
            _Stranger(endpoint, facts, over).bye()
        else:
            _Stranger(endpoint, facts, over).cancel()
        return heard

    def _refuse(self, endpoint: Endpoint, facts: DialogFacts, on_over: Callable[[], None]) -> None:
        call_id = facts["call_id"]

        def over() -> None:
            self._unanswered.pop(call_id, None)
            on_over()

        unanswered = self._unanswered[call_id] = _Unanswered(endpoint, facts, over)
        unanswered.refuse()

    def on_ack(self, request: SipMessage) -> None:
        """An ACK that belongs to no call of ours."""
        unanswered = self._unanswered.get(request.call_id)
        if unanswered is not None:
            unanswered.over()

    async def close(self) -> None:
        for endpoint in self._borrowed.values():
            await endpoint.close()
        self._borrowed.clear()

    async def _endpoint_for(self, facts: DialogFacts) -> Endpoint:
        """The dead worker's own address if it is free now: its peers know no other.

        Kept while a stranger needs it and no longer: a new worker may want to take the dead one's place.
        """
        host, port = (*facts.get("local", []), "", 0)[:2]
        local = (str(host), int(port))
        if not local[0] or local == self._own.local:
            return self._own
        async with self._opening:
            if local in self._borrowed:
                return self._borrowed[local]
            endpoint = Endpoint(
                on_request=_ignore,
                on_ack=self.on_ack,
                clock=self._clock,
                timing=self._own.timing,
                security=self._own.security,
            )
            try:
                await endpoint.open(*local, listens_for_tls=False)
            except OSError as error:
                _log.info("sip.port_not_borrowed", port=local[1], why=error.strerror)
                return self._own
            endpoint.on_message = self._own.on_message
            self._borrowed[local] = endpoint
            at_most = min(_BORROWED_AT_MOST, endpoint.timing.lifetime)
            asyncio.get_running_loop().call_later(at_most, self._give_back, endpoint)
            return endpoint

    def _ended(self, local: Local) -> None:
        self._ending[local] -= 1
        if not self._ending[local]:
            del self._ending[local]
            asyncio.get_running_loop().call_later(self._own.timing.t1, self._give_back_idle, local)

    def _give_back_idle(self, local: Local) -> None:
        if local in self._borrowed and not self._ending[local]:
            self._give_back(self._borrowed[local])

    def _give_back(self, endpoint: Endpoint) -> None:
        local = next((local for local, borrowed in self._borrowed.items() if borrowed is endpoint), None)
        if local is not None:
            del self._borrowed[local]
            closing = asyncio.ensure_future(endpoint.close())
            closing.add_done_callback(lambda done: done.exception())


class _Farewell:
    """The user of a stranger's BYE: whatever is answered, the call is over (§15.1.1)."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over

    def on_response(self, response: SipMessage) -> None:
        if response.status_code >= 200:
            self._over()

    def on_timeout(self) -> None:
        self._over()

    def on_unsendable(self, why: str) -> None:
        self._over()


class _Canceled:
    """The user of a stranger's CANCEL.

    The facts may be older than the call: the dead worker acknowledged a 2xx before it could write that down. Then the
    CANCEL comes too late, the INVITE gets no other answer, and only a BYE ends the call (§9.1, §15).
    """

    def __init__(self, stranger: "_Stranger", patience: float) -> None:
        self._stranger = stranger
        self._patience = patience

    def on_response(self, response: SipMessage) -> None:
        if response.status_code >= 200:
            # A 200 to the CANCEL has the tag that the INVITE was answered with (§9.2).
            to = response.to_value if response.status_code < 300 else ""
            asyncio.get_running_loop().call_later(self._patience, self._stranger.bye_unheard, to)

    def on_timeout(self) -> None:
        self._stranger.bye_unheard("")

    def on_unsendable(self, why: str) -> None:
        self._stranger.over()


class _Stranger:
    """The INVITE or dialog of somebody who is gone."""

    def __init__(self, endpoint: Endpoint, facts: DialogFacts, on_over: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._on_over: Callable[[], None] | None = on_over
        self._facts = facts
        host, port = facts["destination"]
        self._hop = Hop(facts["transport"], str(host), int(port), facts.get("domain", ""))
        self._via = Via.parse(facts["via"])
        self._branch = self._via.branch or ""
        self._acks: dict[str, bytes] = {}
        self._heard = False  # a final answer to the INVITE

    def over(self) -> None:
        """Nothing more can come; safe to reach twice."""
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over()

    def bye(self) -> None:
        self._bye(self._facts["to"])

    def bye_unheard(self, to: str) -> None:
        """After a CANCEL that changed nothing: end the dialog whose tag is known, from the facts or from `to`."""
        known = next((value for value in (self._facts["to"], to) if _has_tag(value)), None)
        if known is not None and not self._heard:
            self._bye(known)

    def cancel(self) -> None:
        """Whether a provisional is known or not: the facts may be older than it."""
        endpoint, branch = self._endpoint, self._branch
        endpoint.answer_late(branch, "INVITE", self)
        asyncio.get_running_loop().call_later(endpoint.timing.lifetime, self._forget)
        data = build.cancel_for(self._invite())
        endpoint.request(self._hop, data, _Canceled(self, endpoint.timing.t1), branch=branch, method="CANCEL")

    def on_response(self, response: SipMessage) -> None:
        """A late answer to the INVITE: its ACK, and a BYE for a 2xx."""
        code, tag = response.status_code, response.to_tag or ""
        self._heard = self._heard or code >= 200
        if code >= 300:
            self._endpoint.send(self._hop, build.ack_for(self._invite(), response))
            self.over()
        elif code >= 200 and tag in self._acks:
            self._endpoint.send(self._hop, self._acks[tag])
        elif code >= 200:
            target = contact_uri(response.first("contact")) or self._facts["request_uri"]
            routes = list(reversed(response.all("record-route")))
            to = response.to_value
            self._acks[tag] = self._request("ACK", target, to, routes, False)
            self._request("BYE", target, to, routes, True)

    def on_timeout(self) -> None: ...

    def on_unsendable(self, why: str) -> None: ...

    def _forget(self) -> None:
        self._endpoint.ignore_late(self._branch, "INVITE")
        self.over()

    def _bye(self, to: str) -> None:
        facts = self._facts
        self._request("BYE", facts.get("remote_target") or facts["request_uri"], to, facts.get("routes", []), True)

    def _request(self, method: str, target: str, to: str, routes: list[str], is_transaction: bool) -> bytes:
        """Sent where the INVITE went: that address was checked when the call was placed."""
        facts = self._facts
        branch = f"z9hG4bK{secrets.token_hex(12)}"
        path = routing(target, routes)
        cseq = facts["cseq"] + (_CSEQ_LEAP if is_transaction else 0)
        headers = [
            ("Via", f"{_sent_by(self._via)};rport;branch={branch}"),
            *(("Route", route) for route in path.routes),
            compose.MAX_FORWARDS,
            ("From", facts["from_"]),
            ("To", to),
            ("Call-ID", facts["call_id"]),
            ("CSeq", f"{cseq} {method}"),
        ]
        data = compose.request(method, path.request_uri, headers)
        if is_transaction:
            self._endpoint.request(self._hop, data, _Farewell(self.over), branch=branch, method=method)
        else:
            self._endpoint.send(self._hop, data)
        return data

    def _invite(self) -> SipMessage:
        """As much of the INVITE as its CANCEL and ACK repeat."""
        facts = self._facts
        lines = [
            f"INVITE {facts['request_uri']} SIP/2.0",
            f"Via: {facts['via']}",
            *(f"Route: {route}" for route in ([] if facts.get("remote_target") else facts.get("routes", []))),
            f"From: {facts['from_']}",
            f"To: {_without_tag(facts['to'])}",
            f"Call-ID: {facts['call_id']}",
            f"CSeq: {facts['cseq']} INVITE",
        ]
        return SipMessage.decode("\r\n".join([*lines, "", ""]).encode())


class _Unanswered:
    """A caller that waits for somebody who is gone to answer its INVITE.

    The facts may be older than the call, as with a CANCEL: where a 2xx had left, a refusal is ignored, nobody
    acknowledges it, and only a BYE ends the call.
    """

    def __init__(self, endpoint: Endpoint, facts: DialogFacts, on_over: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._facts = facts
        self._on_over: Callable[[], None] | None = on_over
        host, port = facts["destination"]
        self._hop = Hop(facts["transport"], str(host), int(port))
        self._repeat: asyncio.TimerHandle | None = None
        self._refusal = self._write()

    def refuse(self, sent: int = 0) -> None:
        """Now, and T1, 3·T1 and 7·T1 later, as long as no ACK comes."""
        if sent == _REFUSALS:
            self._bye()
            return
        self._endpoint.send(self._hop, self._refusal)
        wait = self._endpoint.timing.t1 * 2**sent
        self._repeat = asyncio.get_running_loop().call_later(wait, self.refuse, sent + 1)

    def over(self) -> None:
        """It has heard; safe to reach twice."""
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over()

    def _write(self) -> bytes:
        facts = self._facts
        lines = [
            f"INVITE {facts['request_uri']} SIP/2.0",
            f"Via: {facts['via']}",
            f"From: {facts['from_']}",
            f"To: {facts['to']}",
            f"Call-ID: {facts['call_id']}",
            f"CSeq: {facts['cseq']} INVITE",
        ]
        invite = SipMessage.decode("\r\n".join([*lines, "", ""]).encode())
        return build.response(invite, 503, headers=(("Retry-After", "5"),), source=(self._hop.host, self._hop.port))

    def _bye(self) -> None:
        facts = self._facts.copy()
        facts["from_"], facts["to"] = facts["to"], facts["from_"]
        facts["via"] = f"SIP/2.0/{self._hop.transport.upper()} {facts['sent_by']}"
        facts["cseq"] = 0
        _Stranger(self._endpoint, facts, self.over).bye()


def _sent_by(via: Via) -> str:
    return f"SIP/2.0/{via.transport} {via.sent_by}"


def _without_tag(value: str) -> str:
    """A CANCEL's To is that of the INVITE, which had no tag (§9.1)."""
    address = Address.parse(value)
    return str(Address(address.uri, address.display, tuple(p for p in address.params if p[0].lower() != "tag")))


def _has_tag(value: str) -> bool:
    try:
        return any(name.lower() == "tag" for name, _ in Address.parse(value).params)
    except HeaderError:
        return False


def _ignore(incoming: Incoming) -> None:
    """Nobody here knows the dead worker's dialogs."""
