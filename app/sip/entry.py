"""One INVITE that may come in: what was read out of it, and what a stranger must know to answer or end its call.

Says nothing on the wire (app/sip/arrival.py does) and decides nothing (app/sip/switchboard.py did).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.calls.ports import Arrival, DialogFacts
from app.calls.sid import CallSid
from app.sip.endpoint import Incoming
from app.sip.sdp import Remote
from app.sip.usage import DialogUsage

if TYPE_CHECKING:
    from app.sip.arrival import SipArrival


@dataclass(frozen=True, slots=True)
class Entry:
    incoming: Incoming
    arrival: Arrival
    usage: DialogUsage  # early; nothing has been sent in it
    offer: Remote | None  # None: the offer is ours to make
    media_host: str  # where the caller shall send its RTP
    follow: Callable[["SipArrival", CallSid], None]  # whose call it is
    ended: Callable[[], None]  # nothing more can come for it

    def facts(self, new_branch: Callable[[], str]) -> DialogFacts:
        """What `DialogFacts` has of an incoming leg: how to refuse it, and once it is confirmed, how to end it."""
        incoming, usage = self.incoming, self.usage
        invite, dialog = incoming.request, usage.dialog
        reopened = list(_reopened(incoming))
        facts = DialogFacts(
            transport=incoming.source.transport,
            destination=reopened,
            domain="",
            local=list(usage.engine.endpoint.local),
            via=", ".join(invite.all("via")),
            sent_by=usage.here.sent_by,
            request_uri=invite.request_uri,
            from_=dialog.to_value,
            to=dialog.from_value,
            call_id=dialog.call_id,
            cseq=invite.cseq[0],
            routes=list(dialog.route_set),
            remote_target=dialog.remote_target,
            state="incoming",
        )
        if dialog.confirmed:
            facts.update(usage.facts())
            facts["from_"] = dialog.from_value
            facts["via"] = usage.here.via(new_branch())
            if incoming.connection is not None and usage.hop == incoming.connection.remote:
                facts["destination"] = reopened  # nobody but us can write on that connection
        return facts


def _reopened(incoming: Incoming) -> tuple[str, int]:
    """Where an answer of somebody else's goes: over a stream a new connection, to the Via's port (§18.2.2)."""
    via, source = incoming.request.via_top, incoming.source
    if via is None or source.transport == "udp":
        return source.host, source.port
    return source.host, via.port or (5061 if source.transport == "tls" else 5060)
