"""Requests that come in: to the call whose dialog they are in, else the refusal that RFC 3261 asks for."""

from collections.abc import Mapping

from app.sip import compose
from app.sip.call import SipCall
from app.sip.endpoint import Endpoint, Incoming
from app.sip.message import SipMessage
from app.sip.pyvoip import SIPStatus, VoIPCall

_OPTIONS = (*compose.CAPABILITIES, ("Accept", compose.SDP))
_GONE = SIPStatus.CALL_OR_TRANSACTION_DOESNT_EXIST
_IN_DIALOG_ONLY = frozenset({"BYE", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY"})
_UNDERSTOOD = frozenset({"100rel", "timer"})


class Inbound:
    """`calls` by Call-ID, as pyVoIP's phone keeps them."""

    def __init__(self, calls: Mapping[str, VoIPCall]) -> None:
        self._calls = calls
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
            known = endpoint.invite_of(request) is not None
            endpoint.refuse(incoming, SIPStatus.OK if known else _GONE)  # too late: we answer INVITEs at once
        elif request.to_tag is not None:
            call = self._calls.get(request.call_id)
            if not isinstance(call, SipCall) or not call.receive(incoming):
                endpoint.refuse(incoming, _GONE)
        else:
            self._out_of_dialog(endpoint, incoming)

    def on_ack(self, request: SipMessage) -> None:
        call = self._calls.get(request.call_id)
        if isinstance(call, SipCall):
            call.receive_ack(request)

    def _out_of_dialog(self, endpoint: Endpoint, incoming: Incoming) -> None:
        request = incoming.request
        method = request.method_name
        unknown = [option for option in request.all("require") if option.lower() not in _UNDERSTOOD]
        if method in _IN_DIALOG_ONLY:
            endpoint.refuse(incoming, _GONE)
        elif method not in ("OPTIONS", "INVITE"):
            endpoint.refuse(incoming, SIPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", compose.ALLOW),))
        elif not request.request_uri.lower().startswith(("sip:", "sips:")):
            endpoint.refuse(incoming, SIPStatus.UNSUPPORTED_URI_SCHEME)
        elif method == "INVITE":
            endpoint.refuse(incoming, SIPStatus.NOT_FOUND)
        elif unknown:
            endpoint.refuse(
                incoming, SIPStatus.BAD_EXTENSION, headers=(("Unsupported", compose.plain(", ".join(unknown))),)
            )
        else:
            endpoint.refuse(incoming, SIPStatus.OK, headers=_OPTIONS)
