"""``/v1/calls/{sid}/trace``: a call's SIP messages as JSON, text ladder, drawn ladder and packet capture."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from app.api.answers import Json
from app.api.calls import find_call
from app.api.operations import TRACE, TRACE_PCAP, TRACE_SVG, TRACE_TEXT
from app.api.parameters import no_parameters
from app.api.parts import ApiParts
from app.calls.call import Call
from app.calls.change import UNNUMBERED
from app.calls.event import Event
from app.store.deliveries import DeliveryView
from app.trace import pcap, svg
from app.trace.document import as_document
from app.trace.story import Happened, Story, Told, ladder
from app.trace.text import as_text

# The event behind each CallStatus; any other one is final.
_EVENTS = {"initiated": Event.INITIATED, "ringing": Event.RINGING, "in-progress": Event.ANSWERED}


def add_routes(router: APIRouter, parts: ApiParts) -> None:
    @router.get("/v1/calls/{sid}/trace", **TRACE)
    async def trace(request: Request) -> Response:
        return Json(as_document(ladder(await _story(request, parts))))

    @router.get("/v1/calls/{sid}/trace.txt", **TRACE_TEXT)
    async def trace_text(request: Request) -> Response:
        return PlainTextResponse(as_text(ladder(await _story(request, parts))), headers=_NOT_SNIFFED)

    @router.get("/v1/calls/{sid}/trace.svg", **TRACE_SVG)
    async def trace_svg(request: Request) -> Response:
        return Response(svg.as_svg(ladder(await _story(request, parts))), 200, svg.HEADERS, svg.MEDIA_TYPE)

    @router.get("/v1/calls/{sid}/trace.pcap", **TRACE_PCAP)
    async def trace_pcap(request: Request) -> Response:
        story = await _story(request, parts)
        headers = {"Content-Disposition": f'attachment; filename="{story.call.sid}.pcap"', **_NOT_SNIFFED}
        return Response(pcap.as_pcap(story.copies), 200, headers, pcap.MEDIA_TYPE)


_NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}


async def _story(request: Request, parts: ApiParts) -> Story:
    """Of a parent with all its legs, its caller's first. Raises NotFound, also for another account's call."""
    call = await find_call(request, parts)
    no_parameters(request)
    legs = [call]
    if call.parent_sid is None:
        legs = ([call] if call.has_caller else []) + (await parts.calls.legs([call.sid])).get(call.sid, [])
    copies, left_out = await parts.trace.read([leg.sid for leg in legs], call.created_at)
    told: list[Told] = []
    happened: list[Happened] = []
    for one in {each.sid: each for each in (call, *legs)}.values():
        owed = await parts.deliveries.for_call(request.state.account, one.sid)
        deliveries = [delivery for delivery in owed if delivery.sequence != UNNUMBERED]  # those of the call's events
        told += [said for delivery in deliveries for said in _attempts(delivery)]
        if one.parent_sid is not None or one.has_caller:
            happened += await _untold(one, {_event(delivery) for delivery in deliveries}, parts)
    return Story(call, legs, copies, left_out, told, happened)


async def _untold(leg: Call, told: set[str], parts: ApiParts) -> list[Happened]:
    events = await parts.calls.events(leg.sid)
    return [Happened(leg.sid, stored.event, stored.at) for stored in events if stored.event not in told]


def _attempts(delivery: DeliveryView) -> Iterator[Told]:
    host = urlsplit(delivery.url).netloc.rpartition("@")[2]
    event = _event(delivery)
    for tried in delivery.attempts:
        yield Told(
            delivery.call_sid,
            event,
            tried.at,
            host,
            attempt=tried.number,
            status=tried.status,
            latency_ms=tried.latency_ms,
            error=tried.error,
        )


def _event(delivery: DeliveryView) -> Event:
    """What the delivery tells of, by the CallStatus in it: the last one, for a URL may have a query of its own."""
    encoded = delivery.body if delivery.body is not None else urlsplit(delivery.url).query
    status = parse_qs(encoded).get("CallStatus", [""])[-1]
    return _EVENTS.get(status, Event.COMPLETED)
