"""What the peer asks inside a dialog: BYE, re-INVITE, UPDATE, OPTIONS, INFO and what is refused. Sends no INVITE."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.sip import compose
from app.sip.build import Header
from app.sip.exchange import ServerExchange
from app.sip.multipart import media_type
from app.sip.pyvoip import SIPStatus
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.conversation import Conversation

# Some write the event codes of RFC 4733 §3.2 for * and # (10, 11) and A to D.
_KEY = rb"(1[0-5](?![0-9])|[0-9*#A-D](?![0-9A-Z*#]))"
_SIGNAL = re.compile(rb"(?:\A|[\r\n])[ \t]*+Signal[ \t]*+=[ \t]*+" + _KEY, re.IGNORECASE)
_DURATION = re.compile(rb"(?:\A|[\r\n])[ \t]*+Duration[ \t]*+=[ \t]*+([0-9]{1,6})", re.IGNORECASE)
_DIGIT = re.compile(rb"\s*+" + _KEY + rb"\s*+\Z", re.IGNORECASE)
_CODES = {b"10": "*", b"11": "#", b"12": "A", b"13": "B", b"14": "C", b"15": "D"}
_ACCEPTED = (("Accept", "application/dtmf-relay, application/dtmf"),)


class PeerRequests:
    """One call's answers to its peer; every request gets one, at once."""

    def __init__(self, call: "Conversation") -> None:
        self._call = call

    def receive(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        request = exchange.request
        answer = _ANSWERS.get(request.method_name)
        if answer is None:
            exchange.respond(SIPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", compose.ALLOW),))
        elif not usage.dialog.in_order(request.cseq[0]):
            exchange.respond(SIPStatus.INTERNAL_SERVER_ERROR)  # §12.2.2
        elif request.method_name == "BYE":
            answer(self, usage, exchange)  # whatever it requires: who hangs up is gone
        elif usage.ended:
            exchange.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST)
        elif unknown := compose.unsupported(request):
            exchange.respond(SIPStatus.BAD_EXTENSION, headers=(("Unsupported", unknown),))
        else:
            answer(self, usage, exchange)

    def _bye(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        exchange.respond(SIPStatus.OK)
        self._call.peer_hung_up(usage, exchange.request)

    def _change(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        self._call.renegotiation.receive(usage, exchange)

    def _options(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        headers: tuple[Header, ...] = (*compose.CAPABILITIES, ("Accept", compose.SDP))
        exchange.respond(SIPStatus.OK, headers=headers)

    def _info(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        request = exchange.request
        kind = media_type(request.content_type or "")
        if kind == "application/dtmf-relay":
            found = _SIGNAL.search(request.content)
        elif kind == "application/dtmf":
            found = _DIGIT.match(request.content) or _SIGNAL.search(request.content)
        elif not request.content:
            found = None  # RFC 6086 §4.2.2: an empty INFO is a keep-alive
        else:
            exchange.respond(SIPStatus.UNSUPPORTED_MEDIA_TYPE, headers=_ACCEPTED)
            return
        exchange.respond(SIPStatus.OK)
        if found is not None:
            duration = _DURATION.search(request.content)
            key = _CODES.get(found[1]) or found[1].decode().upper()
            self._call.press(key, int(duration[1]) / 1000 if duration else 0.0)

    def _refer(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        exchange.respond(SIPStatus.DECLINE)

    def _notify(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        exchange.respond(SIPStatus.BAD_EVENT)  # RFC 6665: we have subscribed to nothing

    def _prack(self, usage: DialogUsage, exchange: ServerExchange) -> None:
        answer = self._call.receive_prack(exchange.request)
        if answer is None:
            exchange.respond(SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST)  # RFC 3262 §3
        else:
            exchange.respond(SIPStatus.OK, body=answer, content_type=compose.SDP if answer else None)
            self._call.pracked()


_ANSWERS: dict[str, Callable[[PeerRequests, DialogUsage, ServerExchange], None]] = {
    "BYE": PeerRequests._bye,
    "INVITE": PeerRequests._change,
    "UPDATE": PeerRequests._change,
    "OPTIONS": PeerRequests._options,
    "INFO": PeerRequests._info,
    "REFER": PeerRequests._refer,
    "NOTIFY": PeerRequests._notify,
    "PRACK": PeerRequests._prack,
}
