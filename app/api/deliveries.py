"""Deliveries: what was sent where, when, with which answer; and sending it again."""

import re
from enum import StrEnum
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies, paging
from app.api.answers import Json
from app.api.calls import find_call
from app.api.operations import LIST_CALL_DELIVERIES, LIST_DELIVERIES, REPLAY, REPLAY_MANY
from app.api.parameters import Parameters, moment, no_parameters
from app.api.parts import ApiParts
from app.api.views import delivery_view
from app.calls.errors import NotFound
from app.calls.sid import CallSid, is_call_sid
from app.rcml.codes import Code
from app.rcml.jsontext import Members
from app.rcml.report import Place, Report, shown
from app.store.deliveries import DeliveryFilter, State

_ID = re.compile(r"[0-9]{1,18}\Z")
_ROOT = Place("")


class DeliveryState(StrEnum):
    OWED = "owed"
    DELIVERED = "delivered"
    DEAD = "dead"


def add_routes(router: APIRouter, parts: ApiParts) -> None:
    @router.get("/v1/calls/{sid}/deliveries", **LIST_CALL_DELIVERIES)
    async def list_call_deliveries(request: Request) -> Response:
        call = await find_call(request, parts)
        no_parameters(request)
        found = await parts.deliveries.for_call(request.state.account, call.sid)
        return Json({"deliveries": [delivery_view(one) for one in found]})

    @router.get("/v1/deliveries", **LIST_DELIVERIES)
    async def list_deliveries(request: Request) -> Response:
        parameters = Parameters(request, ("state", *paging.PARAMETERS))
        state = parameters.word("state", DeliveryState)
        size, after = paging.page_size(parameters), paging.after_id(parameters)
        parameters.done()
        named: State | None = state.value if state else None
        found = await parts.deliveries.page(request.state.account, named, size=size, after=after)
        page = found[:size]
        more = paging.next_page(request, paging.id_token(page[-1].id)) if len(found) > size else None
        return Json({"deliveries": [delivery_view(one) for one in page], "nextPageUri": more})

    @router.post("/v1/deliveries/replay", **REPLAY_MANY)
    async def replay_many(request: Request) -> Response:
        no_parameters(request)
        wanted = _filter(await bodies.json_object(request))
        return Json({"replayed": await parts.deliveries.replay_many(request.state.account, wanted)}, 202)

    @router.post("/v1/deliveries/{id}/replay", **REPLAY)
    async def replay(request: Request) -> Response:
        no_parameters(request)
        number = request.path_params["id"]
        if not _ID.match(number):
            raise NotFound(number)
        return Json(delivery_view(await parts.deliveries.replay(request.state.account, int(number))), 202)


def _filter(members: Members) -> DeliveryFilter:
    """Dead ones unless `state` says otherwise."""
    report = Report()
    for name in members.repeated:
        report.add(Code.REPEATED_FIELD, f"`{shown(name)}` is there more than once; give it once", _ROOT.child(name))
    given = {name: value for name, value in members.items() if value is not None}
    known = ("state", "callSid", "createdAfter", "createdBefore")
    for name in members:
        if name not in known:
            detail = f"`{shown(name)}` does not exist; the members are {', '.join(known)}"
            report.add(Code.UNKNOWN_FIELD, detail, _ROOT.child(name))
    state, call = given.get("state", "dead"), given.get("callSid")
    if state not in list(DeliveryState):
        detail = f"`state` must be one of {', '.join(DeliveryState)}"
        report.add(Code.STATUS_INVALID, detail, _ROOT.child("state"))
    if call is not None and not (isinstance(call, str) and is_call_sid(call)):
        report.add(Code.TYPE_INVALID, "`callSid` must be a call's sid", _ROOT.child("callSid"))
    after, before = (_moment(given.get(name), name, report) for name in ("createdAfter", "createdBefore"))
    report.raise_if_any()
    return DeliveryFilter(state, CallSid(call) if call else None, after, before)


def _moment(value: Any, name: str, report: Report) -> Any:
    if value is None:
        return None
    found = moment(value) if isinstance(value, str) else None
    if found is None:
        report.add(Code.TYPE_INVALID, f"`{name}` must be a time such as 2026-01-31T12:00:00Z", _ROOT.child(name))
    return found
