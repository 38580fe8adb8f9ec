"""What the OpenAPI document says of each operation: summary, parameters, bodies, answers. Handlers know none of it."""

from typing import Any

from starlette.responses import PlainTextResponse, Response

from app.api import examples, schemas
from app.api.describing import PAGE as _PAGE
from app.api.describing import SID as _SID
from app.api.describing import Operation
from app.api.describing import answer as _answer
from app.api.describing import body as _body
from app.api.describing import errors as _errors
from app.api.describing import query as _query
from app.api.describing import schema as _schema
from app.calls.call import Direction
from app.calls.status import Status

_RCML = {
    "schema": {"type": "string"},
    "examples": {
        "one target": {"summary": "one target, four events", "value": examples.RCML},
        **{
            name: {"summary": f"{name} (with the parameter caller)", "value": value}
            for name, value in examples.VERBS.items()
        },
    },
}
_DIAL_BODY = _body(
    {
        "application/json": {
            "schema": _schema(schemas.DialRequest),
            "examples": {
                "one target": {"summary": "one target, four events", "value": examples.DIAL},
                "shortest": {"summary": "nothing but a target", "value": examples.SHORTEST},
                "two parties": {"summary": "a caller, who is connected to a target", "value": examples.TWO_PARTIES},
            },
        },
        "application/xml": _RCML,
        "text/xml": _RCML,
    }
)
_ONLY_RCML = " (RCML only; a member of the object in JSON)"
_DIAL_QUERY = [
    _query("baseUrl", "what relative URLs are resolved against" + _ONLY_RCML, type="string", format="uri"),
    _query("statusCallback", "of the parent call: initiated and completed" + _ONLY_RCML, type="string", format="uri"),
    _query("statusCallbackMethod", "default POST" + _ONLY_RCML, type="string", enum=["GET", "POST"]),
    {
        **_query(
            "statusCallbackEvent",
            "default all; separated by comma, or repeated" + _ONLY_RCML,
            type="array",
            items={"type": "string", "enum": ["initiated", "ringing", "answered", "completed"]},
        ),
        "explode": True,
    },
    _query("metadata", "a JSON object of strings, at most 4 KiB" + _ONLY_RCML, type="string"),
    # Lengths are not said here: what is longer may be over the 16 KiB of a request's head, which the server refuses.
    _query("caller", "SIP URI of the party that is called first" + _ONLY_RCML, type="string"),
    _query("from", "what the caller sees; default anonymous" + _ONLY_RCML, type="string"),
    _query("callerTimeout", "seconds; default 60" + _ONLY_RCML, type="integer", minimum=1, maximum=600),
    _query("callerUsername", "for digest authentication of the caller" + _ONLY_RCML, type="string"),
    _query("callerPassword", "never shown again; JSON keeps it out of logs" + _ONLY_RCML, type="string"),
]
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters; kept 24 h. The same request with the same key is one call.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}

DIAL: Operation = {
    "operation_id": "dial",
    "tags": ["Dials"],
    "status_code": 202,
    "summary": "Place a call",
    "description": "Rings up to ten SIP targets at once and connects the first that answers. Each target is a leg "
    "with a record and callbacks of its own. With `caller` that party is called first, hears what the document says "
    "and is connected; without it the service stands in, and verbs that speak or listen are refused. The request may "
    "be RCML or JSON; both mean the same.",
    "responses": {
        202: _answer(
            "Stored and on its way to a worker; the parent call with its legs",
            schemas.Call,
            examples.PLACED,
            headers={
                "Location": {"description": "the call's address", "schema": {"type": "string"}},
                "Idempotency-Replayed": {
                    "description": "true when the key was used before; the call is as it is now",
                    "schema": {"type": "string", "enum": ["true"]},
                },
            },
        ),
        **_errors(400, 401, 408, 409, 413, 415, 422, 429, 503),
    },
    "openapi_extra": {"requestBody": _DIAL_BODY, "parameters": [*_DIAL_QUERY, _KEY]},
}
VALIDATE: Operation = {
    "operation_id": "validateDial",
    "tags": ["Dials"],
    "summary": "Say what a dial request means, and place nothing",
    "description": "Answers the plan in both notations, or the same problems that placing it would have.",
    "responses": {
        200: _answer(
            "The request as it was understood, passwords masked",
            schemas.Validated,
            {"json": examples.DIAL, "rcml": examples.PLACED["rcml"]},
        ),
        **_errors(400, 401, 408, 413, 415, 422, 503),
    },
    "openapi_extra": {"requestBody": _DIAL_BODY, "parameters": _DIAL_QUERY},
}

_TIME = "a date (that UTC day) or an RFC 3339 time"
LIST_CALLS: Operation = {
    "operation_id": "listCalls",
    "tags": ["Calls"],
    "summary": "List calls, newest first",
    "description": "Parents and legs alike; parents come with their legs. Filters narrow it further, each by all.",
    "responses": {
        200: _answer("One page", schemas.CallPage, {"calls": [examples.PLACED], "nextPageUri": None}),
        **_errors(400, 401, 422, 503),
    },
    "openapi_extra": {
        "parameters": [
            _query("status", "only calls with this status", type="string", enum=list(Status)),
            _query("to", "bare SIP URI, exactly", type="string", maxLength=1000),
            _query("from", "bare SIP URI, exactly", type="string", maxLength=1000),
            _query("direction", "only calls of this direction", type="string", enum=list(Direction)),
            _query("parentCallSid", "only the legs of this parent", type="string", pattern=schemas.CALL_SID),
            _query("startTime", "started on this UTC day", type="string", format="date"),
            _query("startTime<", "started by then: " + _TIME, type="string"),
            _query("startTime>", "started since then: " + _TIME, type="string"),
            _query("endTime", "ended on this UTC day", type="string", format="date"),
            _query("endTime<", "ended by then: " + _TIME, type="string"),
            _query("endTime>", "ended since then: " + _TIME, type="string"),
            *_PAGE,
        ]
    },
}
GET_CALL: Operation = {
    "operation_id": "getCall",
    "tags": ["Calls"],
    "summary": "Show a call",
    "description": "A parent comes with its legs.",
    "responses": {200: _answer("The call", schemas.Call, examples.PLACED), **_errors(400, 401, 404, 422, 503)},
    "openapi_extra": {"parameters": [_SID]},
}
UPDATE_CALL: Operation = {
    "operation_id": "updateCall",
    "tags": ["Calls"],
    "summary": "Hang up or cancel a call, or give it another document",
    "description": "`completed` hangs up whatever its state. `canceled` works on a parent until a leg is connected, "
    "and on a leg until it is answered. `rcml` or `url` replace a parent's document: the bridge is left, and the "
    "new one runs from its start. The worker that holds the call carries it out at once.",
    "responses": {
        200: _answer("The call as it is at this moment", schemas.Call, examples.PLACED),
        **_errors(400, 401, 404, 408, 409, 413, 415, 422, 503),
    },
    "openapi_extra": {
        "parameters": [_SID],
        "requestBody": _body(
            {
                "application/json": {
                    "schema": _schema(schemas.UpdateCall),
                    "examples": {
                        "hang up": {"value": {"status": "completed"}},
                        "another document": {"value": {"rcml": examples.VERBS["hang up"]}},
                        "a document elsewhere": {"value": {"url": "https://app.example.com/next", "method": "GET"}},
                    },
                }
            }
        ),
    },
}
LIST_EVENTS: Operation = {
    "operation_id": "listCallEvents",
    "tags": ["Calls"],
    "summary": "List or stream what happened to a call",
    "description": "With `Accept: text/event-stream` the events come as they happen, `Last-Event-ID` continues, "
    "and the stream ends with the call.",
    "responses": {
        200: _answer(
            "The events",
            schemas.CallEvents,
            {"events": [examples.EVENT]},
            content={"text/event-stream": {"schema": {"type": "string"}}},
        ),
        204: {"description": "Nothing comes after Last-Event-ID: the call has ended"},
        **_errors(400, 401, 404, 422, 503),
    },
    "openapi_extra": {"parameters": [_SID]},
}
LIST_CALL_DELIVERIES: Operation = {
    "operation_id": "listCallDeliveries",
    "tags": ["Deliveries"],
    "summary": "List what a call owed to its callback",
    "description": "Each delivery with every attempt: when, how long, what was answered.",
    "responses": {
        200: _answer("The deliveries", schemas.Deliveries, {"deliveries": [examples.DELIVERY]}),
        **_errors(400, 401, 404, 422, 503),
    },
    "openapi_extra": {"parameters": [_SID]},
}
LIST_DELIVERIES: Operation = {
    "operation_id": "listDeliveries",
    "tags": ["Deliveries"],
    "summary": "List deliveries, newest first",
    "description": "`state=dead` shows what was given up.",
    "responses": {
        200: _answer("One page", schemas.DeliveryPage, {"deliveries": [examples.DELIVERY], "nextPageUri": None}),
        **_errors(400, 401, 422, 503),
    },
    "openapi_extra": {
        "parameters": [
            _query("state", "only deliveries in this state", type="string", enum=["owed", "delivered", "dead"]),
            *_PAGE,
        ]
    },
}
REPLAY: Operation = {
    "operation_id": "replayDelivery",
    "tags": ["Deliveries"],
    "status_code": 202,
    "summary": "Send a delivery again",
    "description": "It is owed again from now on, with a new schedule and the same id and body.",
    "responses": {
        202: _answer("The delivery", schemas.Delivery, examples.DELIVERY | {"state": "owed"}),
        **_errors(400, 401, 404, 422, 503),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "the delivery's id",
                "schema": {"type": "integer", "minimum": 1},
                "example": 7,
            }
        ]
    },
}
REPLAY_MANY: Operation = {
    "operation_id": "replayDeliveries",
    "tags": ["Deliveries"],
    "status_code": 202,
    "summary": "Send many deliveries again",
    "description": "All that the filter lets through are owed again; dead ones unless `state` says otherwise.",
    "responses": {
        202: _answer("How many", schemas.Replayed, {"replayed": 3}),
        **_errors(400, 401, 408, 413, 415, 422, 503),
    },
    "openapi_extra": {
        "requestBody": _body(
            {"application/json": {"schema": _schema(schemas.ReplayFilter), "example": {"state": "dead"}}}
        )
    },
}
_OF_A_PARENT = "Of a parent: of all its legs together, by time. Kept for 7 days; credentials are masked."
TRACE: Operation = {
    "operation_id": "getTrace",
    "tags": ["Calls"],
    "summary": "Show a call's SIP messages",
    "description": "Every message that was sent and received, retransmissions included, with what the callbacks "
    "were told. " + _OF_A_PARENT,
    "responses": {200: _answer("The trace", schemas.Trace, examples.TRACE), **_errors(400, 401, 404, 422, 503)},
    "openapi_extra": {"parameters": [_SID]},
}


def _trace_as(kind: str, summary: str, media_type: str, content: dict[str, Any]) -> Operation:
    return {
        "operation_id": f"getTrace{kind}",
        "response_class": Response,
        "tags": ["Calls"],
        "summary": summary,
        "description": _OF_A_PARENT,
        "responses": {
            200: {"description": "The trace", "content": {media_type: content}},
            **_errors(400, 401, 404, 422, 503),
        },
        "openapi_extra": {"parameters": [_SID]},
    }


TRACE_TEXT = _trace_as(
    "Text", "Show a call's SIP messages as a text ladder", "text/plain", {"example": examples.TRACE_TEXT}
)
TRACE_SVG = _trace_as(
    "Svg",
    "Draw a call's SIP messages as a ladder",
    "image/svg+xml",
    {"schema": {"type": "string"}, "example": "<svg xmlns='http://www.w3.org/2000/svg'/>"},
)
TRACE_PCAP = _trace_as(
    "Pcap",
    "Download a call's SIP messages for Wireshark",
    "application/vnd.tcpdump.pcap",
    {"schema": {"type": "string", "format": "binary"}},
)
HEALTH: Operation = {
    "operation_id": "health",
    "tags": ["Running it"],
    "summary": "Whether the process lives",
    "description": "Answers at once and asks nobody.",
    "responses": {200: _answer("It lives", schemas.Health, {"status": "ok"})},
    "openapi_extra": {"security": []},
}
READY: Operation = {
    "operation_id": "ready",
    "tags": ["Running it"],
    "summary": "Whether requests can be served",
    "description": "The database is reachable and has this version's schema. Workers are only counted.",
    "responses": {
        200: _answer("Ready", schemas.Health, {"status": "ready", "workers": 1}),
        503: _answer("Not ready", schemas.Health, {"status": "not ready", "reasons": ["the database is away"]}),
    },
    "openapi_extra": {"security": []},
}
METRICS: Operation = {
    "operation_id": "metrics",
    "response_class": PlainTextResponse,
    "tags": ["Running it"],
    "summary": "Numbers for Prometheus",
    "description": "Counters of this host's processes, and what the database knows: running calls, waiting dials, "
    "deliveries owed and dead, workers alive.",
    "responses": {
        200: {
            "description": "Prometheus text format",
            "content": {"text/plain": {"example": "dial_workers_alive 1.0"}},
        },
        **_errors(401, 503),
    },
}
