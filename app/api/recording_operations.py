"""What the OpenAPI document says of the operations on recordings."""

from typing import Any

from starlette.responses import Response

from app.api import examples
from app.api.describing import PAGE, SID, Operation, answer, errors, query
from app.api.recording_schemas import Recording, RecordingPage, Recordings
from app.api.schemas import RECORDING_SID

_SID = "RE6f0b2d4f60f9a3c5e7b1d4f6082a4c6e"
_RECORDING: dict[str, Any] = {
    "sid": _SID,
    "accountSid": examples.ACCOUNT_SID,
    "callSid": examples.SID,
    "source": "DialVerb",
    "channels": 2,
    "status": "completed",
    "startTime": "2026-01-31T12:00:00.000000Z",
    "endTime": "2026-01-31T12:01:00.500000Z",
    "duration": 60.5,
    "size": 1_936_044,
    "url": f"https://dial.example.com/v1/recordings/{_SID}.wav",
    "uri": f"/v1/recordings/{_SID}",
}
_NAMED = {
    "name": "sid",
    "in": "path",
    "required": True,
    "description": "the recording's sid",
    "schema": {"type": "string", "pattern": RECORDING_SID},
    "example": _SID,
}
_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "one range of bytes; several are answered with the whole",
    "schema": {"type": "string", "pattern": r"^bytes=([0-9]{1,9}-[0-9]{0,9}|-[0-9]{1,9})$"},
    "example": "bytes=0-43",
}
_AUDIO = {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}

LIST_CALL_RECORDINGS: Operation = {
    "operation_id": "listCallRecordings",
    "tags": ["Recordings"],
    "summary": "List what was recorded of a call",
    "description": "Of a parent with the recordings of its legs.",
    "responses": {
        200: answer("The recordings", Recordings, {"recordings": [_RECORDING]}),
        **errors(400, 401, 404, 422, 503),
    },
    "openapi_extra": {"parameters": [SID]},
}
LIST_RECORDINGS: Operation = {
    "operation_id": "listRecordings",
    "tags": ["Recordings"],
    "summary": "List recordings, newest first",
    "description": "Those that run are among them; deleted ones are not.",
    "responses": {
        200: answer("One page", RecordingPage, {"recordings": [_RECORDING], "nextPageUri": None}),
        **errors(400, 401, 422, 503),
    },
    "openapi_extra": {"parameters": PAGE},
}
GET_RECORDING: Operation = {
    "operation_id": "getRecording",
    "tags": ["Recordings"],
    "summary": "Show a recording",
    "description": "What it is; its audio is at `url`.",
    "responses": {200: answer("The recording", Recording, _RECORDING), **errors(400, 401, 404, 422, 503)},
    "openapi_extra": {"parameters": [_NAMED]},
}
GET_AUDIO: Operation = {
    "operation_id": "getRecordingAudio",
    "response_class": Response,
    "tags": ["Recordings"],
    "summary": "Fetch a recording's audio",
    "description": "A WAV file: 16 bits, 8,000 samples a second. A signed link (DIAL_RECORDING_LINKS) needs no "
    "account: its `expires` and `signature` stand for it.",
    "responses": {
        200: {"description": "The whole file", "content": _AUDIO},
        206: {"description": "The bytes that were asked for", "content": _AUDIO},
        304: {"description": "The client has it already (If-None-Match)"},
        **errors(400, 401, 404, 409, 416, 422, 503),
    },
    "openapi_extra": {
        "parameters": [
            _NAMED,
            _RANGE,
            query("expires", "of a signed link", type="string", pattern="^[0-9]{1,12}$"),
            query("signature", "of a signed link", type="string", maxLength=100),
        ]
    },
}
DELETE_RECORDING: Operation = {
    "operation_id": "deleteRecording",
    "tags": ["Recordings"],
    "status_code": 204,
    "summary": "Delete a recording",
    "description": "Its audio too, and for good. One that runs cannot be deleted: end its call first.",
    "responses": {204: {"description": "It is gone"}, **errors(400, 401, 404, 409, 422, 503)},
    "openapi_extra": {"parameters": [_NAMED]},
}
