"""The requests we send inside one dialog, which RFC 5057 calls an invite dialog usage: ACK, BYE, PRACK, UPDATE…

Finds their next hop, answers challenges and repeats ACKs. Knows no media and not why it is asked.
"""

from collections.abc import Callable, Sequence

from app.calls.outcome import UNREACHABLE, Outcome, Reason, because
from app.calls.ports import DialogFacts
from app.runtime import log, loop
from app.sip import compose
from app.sip.account import Chain, SipAccount
from app.sip.build import Header
from app.sip.compose import Here
from app.sip.dialog import Dialog, Routing
from app.sip.engine import Engine
from app.sip.headers import HeaderError
from app.sip.message import SipMessage
from app.sip.resolve import Places
from app.sip.transport import Hop, TransportError

_log = log.get(__name__)

Done = Callable[[SipMessage | None], None]  # the final response, None when none came


def ignore(response: SipMessage | None) -> None:
    """For a request whose answer changes nothing."""


class DialogUsage:
    def __init__(
        self, engine: Engine, account: SipAccount, dialog: Dialog, *, here: Here, fallback: Hop, is_flow: bool = False
    ) -> None:
        self.engine = engine
        self.account = account
        self.dialog = dialog
        self.here = here
        self.hop = fallback  # until `aim` knows better, and whenever that is refused
        self.problem: Outcome | None = None  # why `hop` is not where the dialog says
        self.ended = False  # a BYE has gone either way
        self._fallback = fallback
        self._is_flow = is_flow  # the fallback is a connection that the peer made: it may listen nowhere
        self._aimed_at: str | None = None
        self._ack: tuple[Hop, bytes] | None = None

    def facts(self) -> DialogFacts:
        """The dialog's share of what a stranger needs to end it."""
        dialog, hop = self.dialog, self.hop
        facts = DialogFacts(to=dialog.to_value, routes=list(dialog.route_set), remote_target=dialog.remote_target)
        if dialog.confirmed:
            facts["state"] = "confirmed"
            facts["cseq"] = dialog.local_cseq
            facts["transport"] = hop.transport
            facts["destination"] = [hop.host, hop.port]
            facts["domain"] = hop.domain
        return facts

    def aim(self, then: Callable[[], None]) -> None:
        """Call `then` once `hop` is where the dialog's next request goes: at once for an address, later for a name.

        A next hop that is refused or cannot be resolved sets `problem`, and `hop` is where the INVITE was answered:
        the peer still learns that it is over, and the refused address gets nothing.
        """
        try:
            next_hop = self.dialog.routing().next_hop
        except HeaderError as error:
            self._take(because(UNREACHABLE, f"the route cannot be used: {error}"), None)
            then()
            return
        if next_hop == self._aimed_at and not self._has_lost_flow:
            then()
        elif (places := self.engine.resolver.literal(next_hop)) is not None:
            self._take(places, next_hop)
            then()
        else:
            loop.spawn(self._resolve(next_hop, then), name="sip.resolve")

    def rehearse(self) -> None:
        """Raises HeaderError or UnsafeText when what the peer sent cannot stand in a request of ours."""
        path = self.dialog.routing()
        compose.request("BYE", path.request_uri, self._headers("BYE", 1, "z9hG4bK", path))

    def acknowledge(self, cseq: int, credentials: Sequence[Header] = ()) -> None:
        """ACK the 2xx of an INVITE (RFC 3261 §13.2.2.4): a branch of its own, kept for repeats.

        `credentials` are those of the INVITE, verbatim: an ACK cannot be challenged (§22.1).
        """
        routing = self._routing()
        headers = self._headers("ACK", cseq, self.account.gen_branch(), routing)
        data = compose.request("ACK", routing.request_uri, [*headers, *credentials])
        self._ack = (self.hop, data)
        self.repeat_ack()

    def repeat_ack(self) -> None:
        """The same bytes to the same place, for every 2xx that comes again."""
        if self._ack is not None:
            self.engine.endpoint.send(*self._ack)

    def bye(self, done: Done = ignore) -> None:
        """End the dialog; 408, 481 or no answer at all end it just the same (§15.1.1)."""
        if not self.ended:
            self.ended = True
            self.request("BYE", done)

    def request(
        self,
        method: str,
        done: Done,
        *,
        headers: Sequence[Header] = (),
        body: bytes = b"",
    ) -> None:
        """Send a request and tell `done` its final answer; challenges are answered on the way."""
        pending = InDialogRequest(self, method, done, headers=headers, body=body)
        self.aim(pending.send)

    def _headers(self, method: str, cseq: int, branch: str, routing: Routing) -> list[Header]:
        dialog = self.dialog
        return [
            ("Via", self._seen().via(branch)),
            *[("Route", route) for route in routing.routes],
            compose.MAX_FORWARDS,
            ("From", dialog.from_value),
            ("To", dialog.to_value),
            ("Call-ID", dialog.call_id),
            ("CSeq", f"{cseq} {method}"),
        ]

    def _seen(self) -> Here:
        """How we are seen from `hop`, which need not be where the INVITE went."""
        here, hop = self.here, self.hop
        if hop.transport == here.transport:
            return here
        try:
            return here.over(hop.transport, self.engine.endpoint.sent_by(hop)[1])
        except TransportError:
            return here.over(hop.transport, here.port)

    def _routing(self) -> Routing:
        try:
            return self.dialog.routing()
        except HeaderError:
            return Routing(self.dialog.remote_target, self.dialog.route_set, self.dialog.remote_target)

    def _take(self, places: Places, next_hop: str | None) -> None:
        self._aimed_at = next_hop
        if isinstance(places, Outcome) and places.reason is not Reason.ADDRESS_DENIED and self._flow_stands:
            self.problem, self.hop = None, self._fallback  # sip:bob@phone.invalid;transport=tls is reached all the same
        elif isinstance(places, Outcome):
            self.problem, self.hop = places, self._fallback
            _log.warning("sip.next_hop_refused", call_id=self.dialog.call_id, detail=places.detail)
        elif self.here.secure and places[0].transport != "tls":
            self.problem = because(UNREACHABLE, "sips: needs TLS on every hop, and the dialog's next one has none")
            self.hop = self._fallback
        else:
            self.problem, self.hop = None, self._on_known_flow(places[0], next_hop or "")

    def _on_known_flow(self, hop: Hop, uri: str) -> Hop:
        """A Contact at the very address that answered over TCP means that connection, though it forgets to say so.

        By the letter (RFC 3263 §4.1) it is UDP; phones that write a bare Contact over TCP listen on TCP alone.
        A connection that came from the same host is used while it stands: behind NAT, or without a certificate, there
        is no other way (RFC 5923 would have it say so).
        """
        known = self._fallback
        if self._flow_stands and (hop.host, hop.transport) == (known.host, known.transport):
            return known
        if (hop.host, hop.port) != (known.host, known.port):
            return hop
        # The same transport: over TLS, whoever is there has proved already to be the domain that was called.
        return known if hop.transport == known.transport or ";transport=" not in uri.lower() else hop

    @property
    def _flow_stands(self) -> bool:
        return self._is_flow and self.engine.endpoint.stands(self._fallback)

    @property
    def _has_lost_flow(self) -> bool:
        return self._is_flow and self.hop == self._fallback and not self._flow_stands

    async def _resolve(self, next_hop: str, then: Callable[[], None]) -> None:
        self._take(await self.engine.resolver.hops(next_hop), next_hop)
        then()


class InDialogRequest:
    """One request in a dialog until its final answer, over as many challenges as the account allows."""

    def __init__(self, usage: DialogUsage, method: str, done: Done, *, headers: Sequence[Header], body: bytes) -> None:
        self._usage = usage
        self._method = method
        self._done = done
        self._headers = headers
        self._body = body
        self._chain = Chain()
        self._is_done = False

    def send(self) -> None:
        usage, method = self._usage, self._method
        routing = usage._routing()
        branch = usage.account.gen_branch()
        headers = usage._headers(method, usage.dialog.next_cseq(), branch, routing)
        headers += usage.account.authorization(method, routing.request_uri)
        headers += self._headers
        data = compose.request(method, routing.request_uri, headers, body=self._body)
        usage.engine.endpoint.request(usage.hop, data, self, branch=branch, method=method)

    def on_response(self, response: SipMessage) -> None:
        code = response.status_code
        if code in (401, 407) and self._usage.account.accept_challenge(response, self._chain):
            self.send()
        elif code >= 200:
            self._finish(response)

    def on_timeout(self) -> None:
        self._finish(None)

    def on_unsendable(self, why: str) -> None:
        self._finish(None)

    def _finish(self, response: SipMessage | None) -> None:
        if not self._is_done:
            self._is_done = True
            done, self._done = self._done, ignore
            done(response)
        elif response is not None and response.status_code < 300:
            self._usage.repeat_ack()  # the 2xx of a re-INVITE again
