"""Everything that goes wrong as ``application/problem+json`` (RFC 9457), never as a stack trace."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.calls import errors
from app.calls.errors import BadRequest, DialError, Problem
from app.rcml.codes import EXPLAINED, Code
from app.rcml.report import printable
from app.runtime import log

MEDIA_TYPE = "application/problem+json"
_log = log.get(__name__)

# What the parts below raise, and the code that it has here.
_CODES: dict[type[DialError], Code] = {
    errors.NotFound: Code.NOT_FOUND,
    errors.KeyConflict: Code.IDEMPOTENCY_CONFLICT,
    errors.CallFinished: Code.CALL_FINISHED,
    errors.NumberTaken: Code.NUMBER_TAKEN,
    errors.RecordingRuns: Code.RECORDING_RUNS,
    errors.AlreadyAnswered: Code.ALREADY_ANSWERED,
    errors.TooManyCalls: Code.RATE_LIMITED,
    errors.Unavailable: Code.UNAVAILABLE,
}


class Refused(DialError):
    """The request is answered with this code; `headers` go with the answer."""

    def __init__(self, code: Code, detail: str | None = None, headers: dict[str, str] | None = None) -> None:
        self.code = code
        self.detail = detail or f"{EXPLAINED[code].meaning} {EXPLAINED[code].remedy}"
        self.headers = headers or {}
        super().__init__(self.detail)


class Problems:
    """The edge of every request: what a route raises becomes an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:  # it left before its request was whole: there is nobody to answer
            _log.info("http.client_left", method=scope["method"], path=printable(scope["path"]))
        except Exception as error:  # the edge of a request: it is logged and answered, the next one is served
            response = answer_to(error, Request(scope))
            if started:
                raise
            await response(scope, receive, send)


def answer_to(error: Exception, request: Request) -> Response:
    """The problem that says what `error` means to a customer."""
    if isinstance(error, BadRequest):
        return problem(request, error.status, error.problems)
    if isinstance(error, Refused):
        found = Problem(error.code.value, error.detail)
        return problem(request, EXPLAINED[error.code].status, [found], error.headers)
    code = _CODES.get(type(error)) if isinstance(error, DialError) else None
    if code is None:
        _log.error("http.failed", method=request.method, path=printable(request.url.path), exc_info=error)
        code = Code.INTERNAL_ERROR
    detail, headers = None, {}
    if isinstance(error, errors.Unavailable | errors.TooManyCalls):
        headers = {"Retry-After": str(error.retry_after)}
    if isinstance(error, errors.TooManyCalls):
        detail = f"{error}; wait for Retry-After seconds"
    return answer_to(Refused(code, detail, headers), request)


def problem(
    request: Request, status: int, problems: Sequence[Problem], headers: dict[str, str] | None = None
) -> Response:
    """`type` leads to the explanation of the code; several problems lead to the page."""
    kinds = {found.code for found in problems}
    fragment = f"#{problems[0].code}" if len(kinds) == 1 else ""
    root_path = request.scope.get("root_path", "")
    body = {
        "type": f"{root_path}/docs/errors{fragment}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _summary(problems),
        "instance": printable(request.url.path),
        "errors": [_as_json(found) for found in problems],
    }
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Response(content, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


def _summary(problems: Sequence[Problem]) -> str:
    if len(problems) == 1:
        return problems[0].detail
    return f"{len(problems)} problems; the first: {problems[0].detail}"


def _as_json(found: Problem) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if value is not None}
