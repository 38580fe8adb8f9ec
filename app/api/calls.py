"""``/v1/calls``: lists and shows calls, ends them on demand, and gives them another document."""

import re
from collections.abc import Sequence
from itertools import chain

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies, paging
from app.api.answers import Json
from app.api.operations import GET_CALL, LIST_CALLS, UPDATE_CALL
from app.api.parameters import Parameters, no_parameters
from app.api.parts import ApiParts
from app.api.updates import update
from app.api.views import View, call_view
from app.calls.call import Call, Direction
from app.calls.errors import NotFound
from app.calls.sid import CallSid, is_call_sid
from app.calls.status import Status
from app.store.calls import CallFilters

FILTERS = (
    "status", "to", "from", "direction", "parentCallSid",
    "startTime", "startTime<", "startTime>", "endTime", "endTime<", "endTime>",
)  # fmt: skip
_SID = re.compile(r"CA[0-9a-f]{32}\Z")


def add_routes(router: APIRouter, parts: ApiParts) -> None:
    @router.get("/v1/calls", **LIST_CALLS)
    async def list_calls(request: Request) -> Response:
        parameters = Parameters(request, (*FILTERS, *paging.PARAMETERS))
        filters, size, after = _filters(parameters), paging.page_size(parameters), paging.after_call(parameters)
        parameters.done()
        found = await parts.calls.page(request.state.account, filters, size=size, after=after)
        page, more = found[:size], len(found) > size
        last = page[-1] if more else None
        return Json(
            {
                "calls": await views_of(page, parts),
                "nextPageUri": paging.next_page(request, paging.call_token(last.created_at, last.sid))
                if last
                else None,
            }
        )

    @router.get("/v1/calls/{sid}", **GET_CALL)
    async def get_call(request: Request) -> Response:
        call = await find_call(request, parts)
        no_parameters(request)
        return Json((await views_of([call], parts))[0])

    @router.post("/v1/calls/{sid}", **UPDATE_CALL)
    async def update_call(request: Request) -> Response:
        no_parameters(request)
        sid, allowed = call_sid(request), bodies.rules(parts)
        asked = update(await bodies.json_object(request), allowed)
        if asked.status is not None:
            call = await parts.hang_up(request.state.account, sid, asked.status)
        else:
            call = await parts.replace(request.state.account, sid, lambda where: asked.document(where, allowed))
        return Json((await views_of([call], parts))[0])


def call_sid(request: Request) -> CallSid:
    """The sid of the path; raises NotFound for what cannot be one."""
    sid = request.path_params["sid"]
    if not is_call_sid(sid):
        raise NotFound(sid)
    return CallSid(sid)


async def find_call(request: Request, parts: ApiParts) -> Call:
    """The account's call that the path names; raises NotFound, also for another account's."""
    call = await parts.calls.get(request.state.account, call_sid(request))
    if call is None:
        raise NotFound(request.path_params["sid"])
    return call


async def views_of(calls: Sequence[Call], parts: ApiParts) -> list[View]:
    """Parents with their legs, and each of them with its recordings."""
    legs = await parts.calls.legs([call.sid for call in calls if call.parent_sid is None])
    sids = [call.sid for call in (*calls, *chain.from_iterable(legs.values()))]
    recordings = await parts.recordings.of_calls(sids)
    return [call_view(call, legs.get(call.sid, ()), recordings) for call in calls]


def _filters(parameters: Parameters) -> CallFilters:
    parent = parameters.matching("parentCallSid", _SID, "a call's sid")
    return CallFilters(
        status=parameters.word("status", Status),
        to=parameters.text("to"),
        from_=parameters.text("from"),
        direction=parameters.word("direction", Direction),
        parent_sid=CallSid(parent) if parent else None,
        start_time=parameters.day("startTime"),
        start_time_before=parameters.bound("startTime<"),
        start_time_after=parameters.bound("startTime>"),
        end_time=parameters.day("endTime"),
        end_time_before=parameters.bound("endTime<"),
        end_time_after=parameters.bound("endTime>"),
    )
