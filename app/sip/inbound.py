"""Requests that come in: to the call whose dialog they are in, else the refusal that RFC 3261 asks for."""

from collections.abc import Mapping

from app.sip import compose
from app.sip.conversation import Conversation
from app.sip.endpoint import Endpoint, Incoming
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPStatus, VoIPCall
from app.sip.switchboard import Switchboard

_OPTIONS = (*compose.CAPABILITIES, ("Accept", compose.SDP))
_GONE = SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST
_IN_DIALOG_ONLY = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY"})


class Inbound:
    """`calls` by Call-ID, as pyVoIP's phone keeps them; those that came in the `switchboard` knows by our tag."""

    def __init__(self, calls: Mapping[str, VoIPCall], switchboard: Switchboard) -> None:
        self._calls = calls
        self._switchboard = switchboard
        self.endpoint: Endpoint | None = None

    def on_request(self, incoming: Incoming) -> None:
        endpoint, request = self.endpoint, incoming.request
        if endpoint is None:
            return
        problem = request.validate()
        if request.version != "SIP/2.0":
            endpoint.refuse(incoming, SIPStatus.SIP_VERSION_NOT_SUPPORTED)
        elif problem is not None:
            endpoint.refuse(incoming, SIPStatus.BAD_REQUEST, f"Bad Request: {problem}")
        elif request.method_name == "CANCEL":
            self._cancel(endpoint, incoming)
        elif request.to_tag is not None:
            call = self._call_of(request)
            if call is None or not call.receive(incoming):
                endpoint.refuse(incoming, _GONE)
        else:
            self._out_of_dialog(endpoint, incoming)

    def on_ack(self, request: SipMessage) -> bool:
        """Whether it is for a call of ours."""
        call = self._call_of(request)
        if call is not None:
            call.receive_ack(request)
        return call is not None

    def _call_of(self, request: SipMessage) -> Conversation | None:
        """By our tag first: both legs of a call to a number of ours have its Call-ID."""
        found = self._switchboard.arrival(request) or self._calls.get(request.call_id)
        return found if isinstance(found, Conversation) else None

    def _cancel(self, endpoint: Endpoint, incoming: Incoming) -> None:
        """Answered whether it comes in time or too late, with the tag of the INVITE's answer (§9.2)."""
        invite = endpoint.invite_of(incoming.request)
        if invite is None:
            endpoint.refuse(incoming, _GONE)
            return
        exchange = endpoint.serve(incoming)
        exchange.to_tag = invite.to_tag or invite.request.to_tag or ""
        exchange.respond(SIPStatus.OK)
        if invite.on_cancel is not None:
            invite.on_cancel()

    def _out_of_dialog(self, endpoint: Endpoint, incoming: Incoming) -> None:
        request = incoming.request
        method = request.method_name
        unknown = compose.unsupported(request)
        if method in _IN_DIALOG_ONLY:
            endpoint.refuse(incoming, _GONE)
        elif method not in ("OPTIONS", "INVITE"):
            endpoint.refuse(incoming, SIPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", compose.ALLOW),))
        elif not request.request_uri.lower().startswith(("sip:", "sips:")):
            endpoint.refuse(incoming, SIPStatus.UNSUPPORTED_URI_SCHEME)
        elif method == "INVITE":
            self._switchboard.receive(incoming)
        elif unknown:
            endpoint.refuse(incoming, SIPStatus.BAD_EXTENSION, headers=(("Unsupported", unknown),))
        else:
            endpoint.refuse(incoming, SIPStatus.OK, headers=_OPTIONS)
