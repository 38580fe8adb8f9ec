"""Pages: opaque tokens that name the last row of the page before, and the address of the next page."""

import base64
import binascii
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from app.api.answers import time_text
from app.api.parameters import Parameters, moment
from app.calls.sid import is_call_sid
from app.rcml.query import pairs

MAX_PAGE = 1_000
DEFAULT_PAGE = 50
PARAMETERS = ("pageSize", "pageToken")
_MAX_ID = 2**63 - 1


def page_size(parameters: Parameters) -> int:
    return parameters.integer("pageSize", 1, MAX_PAGE, DEFAULT_PAGE)


def call_token(created_at: datetime, sid: str) -> str:
    return _encode([time_text(created_at), sid])


def after_call(parameters: Parameters) -> tuple[datetime, str] | None:
    """What `call_token` was made of."""
    return after_named(parameters, is_call_sid)


def after_named(parameters: Parameters, fits: Callable[[str], bool]) -> tuple[datetime, str] | None:
    """What `call_token` was made of, of other things than calls; `fits`: whether that can be a name of theirs."""
    match _decode(parameters):
        case None:
            return None
        case [str(at), str(name)] if (found := moment(at)) and fits(name):
            return found, name
    _refuse(parameters)
    return None


def id_token(number: int) -> str:
    return _encode([number])


def after_id(parameters: Parameters) -> int | None:
    """What `id_token` was made of."""
    match _decode(parameters):
        case None:
            return None
        case [int(number)] if 0 <= number <= _MAX_ID and not isinstance(number, bool):
            return number
    _refuse(parameters)
    return None


def next_page(request: Request, token: str) -> str:
    """The same request for the page behind `token`."""
    kept = [(name, value) for name, value in pairs(request.scope["query_string"]) if name != "pageToken"]
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    return f"{path}?{urlencode([*kept, ('pageToken', token)], quote_via=quote)}"


def _encode(value: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _decode(parameters: Parameters) -> Any:
    """None when there is no token; ``""`` for what cannot be one."""
    token = parameters.text("pageToken")
    if token is None:
        return None
    try:
        return json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)) or ""
    except (binascii.Error, ValueError, RecursionError):
        return ""


def _refuse(parameters: Parameters) -> None:
    parameters.refuse("pageToken", "must be one of a nextPageUri")
