"""Transactions in motion: performs what app/sip/transaction.py asks for with real timers and a way to send.

Knows which message belongs to it, not why it was sent.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from app.sip import build
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPStatus
from app.sip.stream import Connection
from app.sip.transaction import Action, Input, State, Step, Table, Timing, Transaction
from app.sip.transport import Hop, TransportError

Key = tuple[str, ...]


class ResponseUser(Protocol):
    """Who sent a request and hears what became of it."""

    def on_response(self, response: SipMessage) -> None: ...

    def on_timeout(self) -> None:
        """Nobody answered in 64·T1."""

    def on_unsendable(self, why: str) -> None:
        """The transport gave up."""


class Unheard:
    """The user of a request whose answer changes nothing."""

    def on_response(self, response: SipMessage) -> None: ...

    def on_timeout(self) -> None: ...

    def on_unsendable(self, why: str) -> None: ...


UNHEARD = Unheard()


class Carrier(Protocol):
    """What an exchange needs of the endpoint."""

    timing: Timing

    def transmit(self, hop: Hop, data: bytes) -> Connection | None:
        """Send; the connection it went over, if any. Raises TransportError."""

    def reply(self, hop: Hop, data: bytes, connection: Connection | None) -> None:
        """Send a response where RFC 3261 §18.2.2 says; never raises."""

    def forget(self, exchange: "Exchange") -> None: ...


class Exchange:
    """The timers of one transaction and the doing of its steps."""

    __slots__ = ("_machine", "_timers", "carrier", "key")

    def __init__(self, carrier: Carrier, key: Key, table: Table, *, reliable: bool) -> None:
        self.carrier = carrier
        self.key = key
        self._machine = Transaction(table, carrier.timing, reliable=reliable)
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def state(self) -> State:
        return self._machine.state

    def feed(self, event: Input, message: SipMessage | None = None) -> bool:
        """Whether the input meant something."""
        step = self._machine.feed(event)
        if step is None:
            return False
        self._perform(step, message)
        return True

    def close(self) -> None:
        """Stop without a word: the endpoint closes."""
        self._stop_timers()
        self._machine.state = State.TERMINATED

    def _perform(self, step: Step, message: SipMessage | None) -> None:
        if step.stop:
            self._stop_timers()
        at_once: Input | None = None
        for timer in step.start:
            delay = self._machine.delay(timer)
            if delay == 0.0:
                at_once = timer
            elif delay is not None:
                self._timers.append(asyncio.get_running_loop().call_later(delay, self.feed, timer))
        if step.state is State.TERMINATED:
            self.carrier.forget(self)
        for action in step.do:
            self._do(action, message)
        if at_once is not None:
            self.feed(at_once)

    @abstractmethod
    def _do(self, action: Action, message: SipMessage | None) -> None:
        """Perform one action."""

    def _stop_timers(self) -> None:
        for handle in self._timers:
            handle.cancel()
        self._timers.clear()


class ClientExchange(Exchange):
    """A request of ours and the answers to it."""

    __slots__ = ("_connection", "_may_retry", "_request", "_why", "data", "hop", "user")

    def __init__(self, carrier: Carrier, key: Key, table: Table, *, hop: Hop, data: bytes, user: ResponseUser) -> None:
        super().__init__(carrier, key, table, reliable=hop.transport != "udp")
        self.hop = hop
        self.data = data
        self.user: ResponseUser = user
        self._request: SipMessage | None = None
        self._connection: Connection | None = None
        self._may_retry = False
        self._why = ""

    @property
    def request(self) -> SipMessage:
        """The request as a message."""
        if self._request is None:
            self._request = SipMessage.decode(self.data)
        return self._request

    def begin(self) -> None:
        self._perform(self._machine.begin(), None)

    def receive(self, response: SipMessage) -> None:
        code = response.status_code
        self.feed(Input.PROVISIONAL if code < 200 else Input.SUCCESS if code < 300 else Input.FAILURE, response)

    def lost(self, why: str) -> None:
        """The transport cannot carry this any more.

        A connection that had stood idle may have been closed by the peer just before we wrote: that is worth one
        more try on a new one, and if the request did arrive, this is a retransmission to its receiver.
        """
        self._connection = None
        if self._may_retry and self.state in (State.CALLING, State.TRYING):
            self._may_retry = False
            self._send(self.data)
            return
        self._why = why
        self.feed(Input.TRANSPORT_ERROR)

    def close(self) -> None:
        super().close()
        self._let_go()
        self.user = UNHEARD  # the two refer to each other

    def _do(self, action: Action, message: SipMessage | None) -> None:
        if action is Action.SEND:
            self._send(self.data)
        elif action is Action.PASS_UP and message is not None:
            self.user.on_response(message)
        elif action is Action.ACK and message is not None:
            self._send(build.ack_for(self.request, message))
        elif action is Action.TIMED_OUT:
            self._let_go()
            self.user.on_timeout()
        elif action is Action.FAILED:
            self._let_go()
            self.user.on_unsendable(self._why)

    def _send(self, data: bytes) -> None:
        try:
            connection = self.carrier.transmit(self.hop, data)
        except TransportError as error:
            asyncio.get_running_loop().call_soon(self.lost, str(error))
            return
        if connection is not None and connection is not self._connection:
            self._let_go()
            self._may_retry = connection.stands
            self._connection = connection
            connection.watch(self, self.lost)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.unwatch(self)
            self._connection = None

    def _perform(self, step: Step, message: SipMessage | None) -> None:
        if step.state is State.TERMINATED:
            self._let_go()
        super()._perform(step, message)
        if step.state is State.TERMINATED:
            self.user = UNHEARD  # as in `close`


class ServerExchange(Exchange):
    """A request of a peer and our answers to it."""

    __slots__ = (
        "_connection",
        "_last",
        "_last_event",
        "call_id",
        "on_ack",
        "on_cancel",
        "on_unacknowledged",
        "request",
        "source",
        "to_tag",
    )

    def __init__(
        self,
        carrier: Carrier,
        key: Key,
        table: Table,
        *,
        request: SipMessage,
        source: Hop,
        connection: Connection | None,
    ) -> None:
        super().__init__(carrier, key, table, reliable=source.transport != "udp")
        self.request = request
        self.call_id = request.call_id
        self.source = source
        self.to_tag = ""  # for a To that has none yet
        self.on_ack: Callable[[SipMessage], None] | None = None  # of a 2xx
        self.on_unacknowledged: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None  # of an INVITE that may have no final answer yet
        self._connection = connection
        self._last = b""
        self._last_event = Input.PROVISIONAL

    def respond(
        self,
        status: SIPStatus | int,
        phrase: str | None = None,
        *,
        headers: Sequence[build.Header] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> None:
        """Answer; a second final answer is discarded (RFC 3261 §17.2.2). Without `phrase` the usual one."""
        code = int(status)
        data = build.response(
            self.request,
            code,
            phrase,
            to_tag=self.to_tag or None,
            headers=headers,
            body=body,
            content_type=content_type,
            source=(self.source.host, self.source.port),
        )
        event = Input.PROVISIONAL if code < 200 else Input.SUCCESS if code < 300 else Input.FAILURE
        before = self._last, self._last_event
        self._last, self._last_event = data, event
        if not self.feed(event):
            self._last, self._last_event = before

    def settle(self) -> None:
        """Whoever had to has looked at the request: of one that has its final answer little need be kept."""
        if self.state >= State.COMPLETED:
            self.request.shrink()

    def repeat(self) -> None:
        """Send the newest answer to an INVITE again: a 2xx (RFC 3261 §13.3.1.4) or a provisional (RFC 3262 §3)."""
        self.feed(self._last_event)

    def _do(self, action: Action, message: SipMessage | None) -> None:
        if action is Action.SEND:
            if self._last:
                self.carrier.reply(self.source, self._last, self._connection)
        elif action is Action.PASS_UP and message is not None:
            if self.on_ack is not None:
                self.on_ack(message)
        elif action is Action.TIMED_OUT and self.on_unacknowledged is not None:
            self.on_unacknowledged()
