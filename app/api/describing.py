"""The words in which operations are described for the OpenAPI document: answers, errors, parameters, bodies."""

from typing import Any

from app.api import examples, schemas

Operation = dict[str, Any]

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_ERRORS: dict[int, str] = {
    400: "Not a document: not well-formed, an encoding that is not read, a DOCTYPE, too deep; or a broken query string",
    401: "Account sid or token is missing or wrong",
    404: "There is nothing of that name in this account",
    408: "The body did not arrive within 15 s",
    409: "It is too late or too early for that, or the name is taken: the number, the Idempotency-Key",
    413: "The body is over 64 KiB",
    416: "There are no such bytes",
    415: "The Content-Type is missing or none that the operation reads",
    422: "Understood, but not possible: every problem found, with its place",
    429: "The account has placed as many calls as it may",
    431: "The request line and the headers are over 16 KiB",
    500: "The service made a mistake; it is in its log",
    503: "The database is away, or no worker is free in time",
}
SID = {
    "name": "sid",
    "in": "path",
    "required": True,
    "description": "the call's sid",
    "schema": {"type": "string", "pattern": schemas.CALL_SID},
    "example": examples.SID,
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _error(status) for status in sorted({*statuses, 431, 500})}


def _error(status: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _ERRORS[status], "content": _PROBLEM}
    if status == 422:
        answer["content"] = {
            "application/problem+json": {**_PROBLEM["application/problem+json"], "example": examples.PROBLEM}
        }
    if status in (429, 503):
        answer["headers"] = _RETRY_AFTER
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return answer


def answer(description: str, model: type, example: Any, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"example": example}, **more.pop("content", {})}
    return {"description": description, "model": model, "content": content, **more}


def query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def schema(model: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


PAGE = [
    query("pageSize", "rows per page", type="integer", minimum=1, maximum=1000, default=50),
    query("pageToken", "from a nextPageUri", type="string"),
]
