"""``/v1/numbers``: which document answers an inbound call for which number."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies, paging
from app.api.answers import Json, time_text
from app.api.number_form import changes, is_number, new_number
from app.api.number_operations import ADD_NUMBER, CHANGE_NUMBER, GET_NUMBER, LIST_NUMBERS, REMOVE_NUMBER
from app.api.parameters import Parameters, no_parameters
from app.api.parts import ApiParts
from app.calls.callback import masked
from app.calls.errors import NotFound
from app.calls.number import Number
from app.rcml.fields import Rules
from app.runtime import log

_log = log.get(__name__)


def add_routes(router: APIRouter, parts: ApiParts) -> None:
    allowed = Rules(parts.sip_policy, parts.http_policy)

    @router.post("/v1/numbers", **ADD_NUMBER)
    async def add_number(request: Request) -> Response:
        no_parameters(request)
        number = new_number(await bodies.json_object(request), request.state.account, allowed)
        added = await parts.numbers.add(number)
        _log.info("number.added", number=added.number, account=added.account_sid)
        location = request.scope.get("root_path", "") + _uri(added.number)
        return Json(number_view(added), 201, {"Location": location})

    @router.get("/v1/numbers", **LIST_NUMBERS)
    async def list_numbers(request: Request) -> Response:
        parameters = Parameters(request, paging.PARAMETERS)
        size, after = paging.page_size(parameters), paging.after_named(parameters, is_number)
        parameters.done()
        found = await parts.numbers.page(request.state.account, size=size, after=after)
        page = found[:size]
        token = paging.call_token(page[-1].created_at, page[-1].number) if len(found) > size else None
        more = paging.next_page(request, token) if token else None
        return Json({"numbers": [number_view(number) for number in page], "nextPageUri": more})

    @router.get("/v1/numbers/{number:path}", **GET_NUMBER)
    async def get_number(request: Request) -> Response:
        no_parameters(request)
        return Json(number_view(await parts.numbers.get(request.state.account, _named(request))))

    @router.post("/v1/numbers/{number:path}", **CHANGE_NUMBER)
    async def change_number(request: Request) -> Response:
        no_parameters(request)
        form = changes(await bodies.json_object(request), allowed)
        changed = await parts.numbers.change(request.state.account, _named(request), form.onto)
        _log.info("number.changed", number=changed.number, account=changed.account_sid)
        return Json(number_view(changed))

    @router.delete("/v1/numbers/{number:path}", **REMOVE_NUMBER)
    async def remove_number(request: Request) -> Response:
        no_parameters(request)
        number = _named(request)
        await parts.numbers.remove(request.state.account, number)
        _log.info("number.removed", number=number, account=request.state.account)
        return Response(status_code=204)


def number_view(number: Number) -> dict[str, Any]:
    callback = number.status_callback
    return {
        "number": number.number,
        "accountSid": number.account_sid,
        "url": masked(number.url),
        "method": number.method,
        "fallbackUrl": masked(number.fallback_url) if number.fallback_url else None,
        "fallbackMethod": number.fallback_method,
        "statusCallback": masked(callback.url) if callback else None,
        "statusCallbackMethod": callback.method if callback else None,
        "statusCallbackEvent": sorted(callback.events) if callback else None,
        "friendlyName": number.friendly_name,
        "createdAt": time_text(number.created_at),
        "updatedAt": time_text(number.updated_at),
        "uri": _uri(number.number),
    }


def _uri(number: str) -> str:
    return f"/v1/numbers/{quote(number, safe='')}"


def _named(request: Request) -> str:
    """The number of the path; raises NotFound for what cannot be one."""
    number: str = request.path_params["number"]
    if not is_number(number):
        raise NotFound(number)
    return number
