"""What our requests to the customer say: the parameters of contract 4.1 to 4.3, and their encoding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

from app.calls.call import Call
from app.calls.callback import Callback
from app.calls.change import Owed
from app.calls.event import Event
from app.calls.sid import new_message_id
from app.calls.status import Status

API_VERSION = "2012-04-24"

# What CallStatus says with each event; completed says the true final status.
_CALL_STATUS = {
    Event.INITIATED: Status.INITIATED,
    Event.RINGING: Status.RINGING,
    Event.ANSWERED: Status.IN_PROGRESS,
}

Parameters = list[tuple[str, str]]
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Fired:
    """One event of one call, with the call as it is after it."""

    call: Call
    event: Event
    at: datetime
    sip_headers: Headers = ()  # X- headers of the 200, names as received
    recording_url: str | None = None  # on completed, when the call was recorded


def of_every_request(call: Call, sip_headers: Headers = (), *, status: Status | None = None) -> Parameters:
    """Contract 4.1, in a fixed order; `status` when it is not the one that the call has."""
    return without_empty(
        [
            ("CallSid", call.sid),
            ("AccountSid", call.account_sid),
            ("From", call.from_uri),
            ("To", call.to_uri),
            ("CallStatus", status or call.status),
            ("ApiVersion", API_VERSION),
            ("Direction", call.direction),
            ("ParentCallSid", call.parent_sid),
            ("CallerName", call.caller_name),
            ("ForwardedFrom", call.forwarded_from),
            ("SipCallId", call.sip_call_id),
            *headers_as("SipHeader_", sip_headers),
        ]
    )


def status_callback(fired: Fired, sequence: int) -> Parameters:
    """Contract 4.2, in a fixed order."""
    call = fired.call
    named: list[tuple[str, object]] = [
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", sequence),
        ("Timestamp", format_datetime(fired.at.astimezone(UTC))),
    ]
    if fired.event is Event.COMPLETED:
        named += [
            ("CallDuration", call.duration),
            ("SipResponseCode", call.sip_response_code),
            ("Reason", call.reason),
            ("RecordingUrl", fired.recording_url),
            ("RecordingSid", call.recording_sid),
            ("RecordingDuration", call.recording_duration),
        ]
    first = of_every_request(call, fired.sip_headers, status=_CALL_STATUS.get(fired.event))
    return first + without_empty(named)


def owed(callback: Callback, parameters: Parameters, sequence: int) -> Owed:
    """The delivery of `parameters` to `callback`: a form for POST, added to the URL's own query for GET."""
    encoded = urlencode(parameters)
    if callback.method == "POST":
        return Owed(new_message_id(), "POST", callback.url, encoded, sequence)
    parts = urlsplit(callback.url)
    query = f"{parts.query}&{encoded}" if parts.query else encoded
    return Owed(new_message_id(), "GET", urlunsplit(parts._replace(query=query)), None, sequence)


def without_empty(named: Iterable[tuple[str, object]]) -> Parameters:
    """Empty values are left out, never sent as ``null``."""
    return [(name, str(value)) for name, value in named if value is not None and value != ""]


def headers_as(prefix: str, headers: Headers) -> Parameters:
    """``<prefix><name>`` per name as first received; repeated values joined by a comma and a space."""
    joined: dict[str, tuple[str, list[str]]] = {}
    for name, value in headers:
        joined.setdefault(name.lower(), (name, []))[1].append(value)
    return [(prefix + name, ", ".join(values)) for name, values in joined.values()]
