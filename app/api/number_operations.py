"""What the OpenAPI document says of the operations on numbers."""

from typing import Any

from app.api import examples
from app.api.describing import PAGE, Operation, answer, body, errors, schema
from app.api.number_schemas import NUMBER, NewNumber, Number, NumberChanges, NumberPage

_NEW: dict[str, Any] = {
    "number": "+4930123456",
    "url": "https://app.example.com/voice",
    "statusCallback": "https://app.example.com/events",
    "friendlyName": "Front desk",
}
_STORED: dict[str, Any] = {
    "number": "+4930123456",
    "accountSid": examples.ACCOUNT_SID,
    "url": "https://app.example.com/voice",
    "method": "POST",
    "fallbackUrl": None,
    "fallbackMethod": "POST",
    "statusCallback": "https://app.example.com/events",
    "statusCallbackMethod": "POST",
    "statusCallbackEvent": ["answered", "completed", "initiated", "ringing"],
    "friendlyName": "Front desk",
    "createdAt": "2026-01-31T12:00:00.000000Z",
    "updatedAt": "2026-01-31T12:00:00.000000Z",
    "uri": "/v1/numbers/%2B4930123456",
}
_NAMED = {
    "name": "number",
    "in": "path",
    "required": True,
    "description": "the number, percent-encoded",
    "schema": {"type": "string", "pattern": NUMBER},
    "example": "+4930123456",
}

ADD_NUMBER: Operation = {
    "operation_id": "addNumber",
    "tags": ["Numbers"],
    "status_code": 201,
    "summary": "Answer a number",
    "description": "From now on an INVITE for that user part of our SIP address runs the RCML that `url` serves.",
    "responses": {
        201: answer(
            "The number",
            Number,
            _STORED,
            headers={"Location": {"description": "the number's address", "schema": {"type": "string"}}},
        ),
        **errors(400, 401, 408, 409, 413, 415, 422, 503),
    },
    "openapi_extra": {"requestBody": body({"application/json": {"schema": schema(NewNumber), "example": _NEW}})},
}
LIST_NUMBERS: Operation = {
    "operation_id": "listNumbers",
    "tags": ["Numbers"],
    "summary": "List numbers, newest first",
    "description": "The account's own.",
    "responses": {
        200: answer("One page", NumberPage, {"numbers": [_STORED], "nextPageUri": None}),
        **errors(400, 401, 422, 503),
    },
    "openapi_extra": {"parameters": PAGE},
}
GET_NUMBER: Operation = {
    "operation_id": "getNumber",
    "tags": ["Numbers"],
    "summary": "Show a number",
    "description": "With what answers it.",
    "responses": {200: answer("The number", Number, _STORED), **errors(400, 401, 404, 422, 503)},
    "openapi_extra": {"parameters": [_NAMED]},
}
CHANGE_NUMBER: Operation = {
    "operation_id": "changeNumber",
    "tags": ["Numbers"],
    "summary": "Change what answers a number",
    "description": "What is left out stays as it is; null takes it away, or brings its default back. The next call for "
    "the number has it; calls that run go on as they are.",
    "responses": {
        200: answer("The number as it is now", Number, _STORED),
        **errors(400, 401, 404, 408, 413, 415, 422, 503),
    },
    "openapi_extra": {
        "parameters": [_NAMED],
        "requestBody": body(
            {"application/json": {"schema": schema(NumberChanges), "example": {"url": "https://app.example.com/night"}}}
        ),
    },
}
REMOVE_NUMBER: Operation = {
    "operation_id": "removeNumber",
    "tags": ["Numbers"],
    "status_code": 204,
    "summary": "Answer a number no more",
    "description": "The next call for it gets 404; calls that run go on.",
    "responses": {204: {"description": "It is gone"}, **errors(400, 401, 404, 422, 503)},
    "openapi_extra": {"parameters": [_NAMED]},
}
