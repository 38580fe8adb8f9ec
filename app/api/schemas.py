"""The shapes of requests and answers for the OpenAPI document. Nothing is parsed or written with them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.calls.call import Direction
from app.calls.event import Event
from app.calls.outcome import Reason
from app.calls.status import Status
from app.rcml.codes import Code

CALL_SID = r"^CA[0-9a-f]{32}$"
RECORDING_SID = r"^RE[0-9a-f]{32}$"
ACCOUNT_SID = r"^AC[0-9a-f]{32}$"

CallSid = Annotated[str, Field(pattern=CALL_SID)]
HttpUrl = Annotated[str, Field(description="absolute http or https URL, or relative to baseUrl", max_length=4000)]
Method = Annotated[Literal["GET", "POST"], Field(description="in any case")]
Events = Annotated[
    list[Event] | str,
    Field(description="a list, or a string separated by comma or white space; empty means completed"),
]
RecordingEvents = Annotated[
    list[Literal["in-progress", "completed", "absent"]] | str,
    Field(description="a list, or a string separated by comma or white space; default completed"),
]
_FORBIDDEN = "No control characters, also not percent-encoded."
_CALLER_ID = 'bob, sip:bob@example.com or "Bob" <sip:bob@example.com>; '
_SIP_URI = r"^[sS][iI][pP]:."


class Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Strict(Shape):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class SipTarget(Strict):
    """One `<Sip>`: who is rung, and who is told about it."""

    uri: str = Field(
        description="SIP URI; fewer than 255 characters without its headers, the headers fewer than 1024. "
        "Headers after the ? go out in the INVITE. " + _FORBIDDEN,
        pattern=_SIP_URI,
        max_length=1278,
        examples=["sip:alice@sip.example.com:5080;transport=tcp?X-Order=42"],
    )
    username: str | None = Field(None, description="for digest authentication, with password", max_length=255)
    password: str | None = Field(None, description="never shown again", max_length=255)
    url: HttpUrl | None = Field(
        None, description="RCML that screens: it runs on the answered leg before it is connected"
    )
    method: Method | None = Field(None, description="of url; default POST")
    timeout: int | None = Field(None, ge=1, le=600, description="seconds of screening; default 60")
    status_callback: HttpUrl | None = None
    status_callback_method: Method | None = Field(None, description="default POST")
    status_callback_event: Events | None = Field(None, description="default all four")


class DialRequest(Strict):
    """A dial request in JSON; the names are RCML's own. null is absent."""

    sip: Annotated[list[SipTarget], Field(min_length=1, max_length=10)] | Annotated[str, Field(max_length=1278)] = (
        Field(description="up to ten targets that ring at once; the first that answers wins. A string is one target.")
    )
    caller_id: str | None = Field(
        None,
        description=_CALLER_ID + "default the caller's own number, without a caller anonymous. " + _FORBIDDEN,
        max_length=509,
    )
    timeout: int | None = Field(None, ge=1, le=600, description="seconds of ringing; default 30")
    time_limit: int | None = Field(None, ge=1, le=86_400, description="seconds of talking; default 14400")
    hangup_on_star: bool | None = Field(None, description="the caller's * ends the callee's leg; default false")
    answer_on_bridge: bool | None = Field(None, description="false answers an inbound caller at once; default true")
    record: (
        bool
        | Literal[
            "do-not-record",
            "record-from-answer",
            "record-from-answer-dual",
            "record-from-ringing",
            "record-from-ringing-dual",
        ]
        | None
    ) = Field(None, description="true is record-from-answer; dual: a channel each; default false")
    recording_status_callback: HttpUrl | None = None
    recording_status_callback_method: Method | None = None
    recording_status_callback_event: RecordingEvents | None = None
    action: HttpUrl | None = Field(None, description="asked for RCML when the dial is over")
    method: Method | None = Field(None, description="of action; default POST")
    caller: str | None = Field(
        None,
        description="SIP URI of the first party: it is called first, and is connected to the target that answers. "
        + _FORBIDDEN,
        pattern=_SIP_URI,
        max_length=1278,
    )
    from_: str | None = Field(
        None,
        alias="from",
        description=_CALLER_ID + "what the caller sees; default anonymous. " + _FORBIDDEN,
        max_length=509,
    )
    caller_timeout: int | None = Field(None, ge=1, le=600, description="seconds of ringing the caller; default 60")
    caller_username: str | None = Field(None, description="for digest authentication of the caller", max_length=255)
    caller_password: str | None = Field(None, description="never shown again", max_length=255)
    base_url: HttpUrl | None = Field(None, description="what relative URLs are resolved against")
    status_callback: HttpUrl | None = Field(
        None, description="of the parent call; without caller only its begin and end"
    )
    status_callback_method: Method | None = None
    status_callback_event: Events | None = None
    metadata: dict[str, str] | None = Field(None, description="shown with the call; at most 4 KiB")


class Validated(Shape):
    """What a dial request was understood as; passwords are masked."""

    json_: DialRequest | None = Field(alias="json", description="null when JSON cannot say it: other than one <Dial>")
    rcml: str


class Call(Shape):
    """One call: a parent, which a dial request creates, or a leg, one attempt to reach one target."""

    sid: CallSid
    account_sid: Annotated[str, Field(pattern=ACCOUNT_SID)]
    parent_call_sid: CallSid | None
    direction: Direction
    from_: str = Field(alias="from", description="bare SIP URI")
    to: str = Field(description="bare SIP URI")
    status: Status
    created_at: AwareDatetime
    start_time: AwareDatetime | None = Field(
        description="first INVITE; of a parent without caller: its document's start"
    )
    ring_time: AwareDatetime | None
    answer_time: AwareDatetime | None
    end_time: AwareDatetime | None
    duration: int = Field(description="seconds from answer to end, 0 when never answered")
    ring_duration: int = Field(description="seconds from the first ringing to answer or end")
    sip_call_id: str | None
    sip_response_code: int | None
    sip_response_reason: str | None
    reason: Reason | None
    screening: Literal["running", "accepted", "declined", "timeout", "error"] | None = Field(
        description="of a leg whose target has a url, once it answered; null when the leg ended before the verdict"
    )
    dial_call_status: str | None = Field(description="of a parent: how the dial went")
    dial_call_sid: CallSid | None = Field(description="of a parent: the winner, else the last leg")
    dial_call_duration: int | None
    recordings: list[Annotated[str, Field(pattern=RECORDING_SID)]] = Field(description="their sids, as they began")
    legs: list["Call"] = Field(description="of a parent: one per target")
    rcml: str | None = Field(description="of a parent: its document, passwords masked")
    idempotency_key: str | None
    metadata: dict[str, str]
    uri: str


class CallPage(Shape):
    """Calls, newest first."""

    calls: list[Call]
    next_page_uri: str | None = Field(description="null on the last page")


class UpdateCall(Strict):
    """How a call is to end, or what it is to do instead: exactly one of status, rcml and url. null is absent."""

    status: Literal["completed", "canceled"] | None = Field(
        None, description="completed hangs up whatever its state; canceled only while nobody is connected"
    )
    rcml: str | None = Field(None, description="a <Response> that replaces the running document; URLs in it absolute")
    url: HttpUrl | None = Field(None, description="absolute; its RCML replaces the running document")
    method: Method | None = Field(None, description="of url; default POST")


class CallEvent(Shape):
    """Something that happened to a call."""

    id: int = Field(description="grows within one call")
    call_sid: CallSid
    event: Event
    at: AwareDatetime
    detail: dict[str, object]


class CallEvents(Shape):
    """In the order in which they happened."""

    events: list[CallEvent]


class Attempt(Shape):
    """One HTTP try of a delivery."""

    number: int
    at: AwareDatetime
    status: int | None = Field(description="null when there was no answer")
    latency_ms: int
    error: str | None
    answer: str = Field(description="the first KiB")


class Delivery(Shape):
    """One event owed to one callback."""

    id: int
    message_id: str = Field(description="the header webhook-id, the same in every attempt")
    account_sid: Annotated[str, Field(pattern=ACCOUNT_SID)]
    call_sid: CallSid
    sequence: int | None = Field(description="SequenceNumber of the callback; null: it tells of a recording")
    state: Literal["owed", "delivered", "dead"]
    method: Literal["GET", "POST"]
    url: str = Field(description="user information masked")
    body: str | None
    created_at: AwareDatetime
    next_at: AwareDatetime | None = Field(description="of an owed one: when it is tried next")
    finished_at: AwareDatetime | None
    expires_at: AwareDatetime
    attempts: list[Attempt]


class Deliveries(Shape):
    """Of one call, in sequence."""

    deliveries: list[Delivery]


class DeliveryPage(Shape):
    """Newest first."""

    deliveries: list[Delivery]
    next_page_uri: str | None


class Participant(Shape):
    """Who takes part: the service itself first, then each peer, then the hosts of the callbacks."""

    name: str
    address: str


class TracedMessage(Shape):
    """One SIP message as it was on the wire, with credentials masked."""

    number: int = Field(description="from 1, in the order of time")
    call_sid: CallSid = Field(description="the leg's")
    at: AwareDatetime
    offset_ms: float = Field(description="since the first thing in the trace")
    direction: Literal["sent", "received"]
    transport: Literal["udp", "tcp", "tls"]
    local: str
    remote: str
    participant: int = Field(description="index of the peer in participants")
    kind: Literal["request", "provisional", "success", "failure", "unreadable"]
    method: str | None = Field(description="of a response that of its CSeq")
    status_code: int | None
    reason: str | None
    cseq: str | None
    sip_call_id: str | None
    retransmission: bool = Field(description="the same bytes went the same way before")
    detail: str | None = Field(description="audio address and codecs, the challenge, the login, the reason")
    data: str = Field(description="the whole message; bytes that are not UTF-8 are escaped")


class TracedCallback(Shape):
    """One HTTP attempt to tell a callback of an event."""

    call_sid: CallSid
    event: Event
    at: AwareDatetime
    offset_ms: float
    host: str
    attempt: int
    status: int | None = Field(description="null when there was no answer")
    latency_ms: int
    error: str | None


class Trace(Shape):
    """The SIP messages of a call or leg, and what its callbacks were told, each in the order of time."""

    call_sid: CallSid
    status: Status
    participants: list[Participant]
    messages: list[TracedMessage]
    callbacks: list[TracedCallback]
    left_out: int = Field(description="messages that were not kept: over 200 or 256 KiB of one leg, or under pressure")


class ReplayFilter(Strict):
    """Which deliveries to send again; everything that is left out narrows nothing."""

    state: Literal["owed", "delivered", "dead"] | None = Field(None, description="default dead")
    call_sid: CallSid | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None


class Replayed(Shape):
    """How many deliveries are owed again."""

    replayed: int


class Health(Shape):
    """Whether the process lives, or is ready."""

    status: Literal["ok", "ready", "not ready"]
    workers: int | None = Field(None, description="alive and accepting")
    reasons: list[str] | None = Field(None, description="why it is not ready")


class ProblemItem(Shape):
    """One thing wrong with a request."""

    code: Code
    detail: str
    pointer: str | None = Field(None, description="RFC 6901, in a JSON body")
    line: int | None = Field(None, description="from 1, in the text as sent")
    column: int | None = None


class Problem(Shape):
    """RFC 9457: everything that is wrong, not only the first."""

    type: str = Field(description="leads to the explanation of the code")
    title: str
    status: int
    detail: str
    instance: str
    errors: list[ProblemItem]
