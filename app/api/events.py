"""``/v1/calls/{sid}/events``: what happened to a call, as a list or as server-sent events while it happens."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.api.answers import Json
from app.api.calls import find_call
from app.api.limits import DATABASE_SECONDS
from app.api.operations import LIST_EVENTS
from app.api.parameters import no_parameters
from app.api.parts import ApiParts
from app.api.problems import Refused
from app.api.views import event_view
from app.calls.call import Call
from app.calls.errors import Unavailable
from app.calls.event import Event
from app.calls.status import FINAL
from app.rcml.codes import Code
from app.runtime.patience import begun
from app.store.calls import StoredEvent

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 200  # of one process: each asks the database twice a second
POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0  # so that a proxy leaves the connection open, and a client that has gone is noticed


class Streams:
    """The streams of this process, which end when it is told to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.open = 0

    async def follow(self, call: Call, parts: ApiParts, after: int) -> AsyncIterator[str]:
        """Every event behind `after`, until the call has ended or the process stops."""
        self.open += 1
        try:
            async for chunk in self._chunks(call, parts, after):
                yield chunk
        finally:
            self.open -= 1

    async def _chunks(self, call: Call, parts: ApiParts, after: int) -> AsyncIterator[str]:
        yield ": events of a call\n\n"
        said_at = time.monotonic()
        while not self.stopping.is_set():
            for stored in await _events(call, parts):
                if stored.seq > after:
                    yield _chunk(call, stored)
                    after, said_at = stored.seq, time.monotonic()
                if stored.event is Event.COMPLETED:  # nothing follows it
                    return
            if time.monotonic() - said_at > KEEP_ALIVE_SECONDS:
                yield ": still here\n\n"
                said_at = time.monotonic()
            try:
                await asyncio.wait_for(self.stopping.wait(), POLL_SECONDS)
            except TimeoutError:
                continue


def add_routes(router: APIRouter, parts: ApiParts, streams: Streams) -> None:
    @router.get("/v1/calls/{sid}/events", **LIST_EVENTS)
    async def list_events(request: Request) -> Response:
        call = await find_call(request, parts)
        no_parameters(request)
        if EVENT_STREAM not in request.headers.get("accept", ""):
            events = await parts.calls.events(call.sid)
            return Json({"events": [event_view(call.sid, stored) for stored in events]})
        after = _last_event_id(request)
        if after > 0 and call.status in FINAL and all(one.seq <= after for one in await parts.calls.events(call.sid)):
            return Response(status_code=204)  # tells an EventSource not to connect again
        if streams.open >= MAX_STREAMS:
            raise Refused(Code.TOO_MANY_STREAMS, headers={"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(streams.follow(call, parts, after), 200, headers, EVENT_STREAM)


async def _events(call: Call, parts: ApiParts) -> list[StoredEvent]:
    try:
        with begun(DATABASE_SECONDS):  # each look anew: a stream is a request that lasts
            return await parts.calls.events(call.sid)
    except Unavailable:  # the stream outlives it, and says later what it missed
        return []


def _chunk(call: Call, stored: StoredEvent) -> str:
    view = json.dumps(event_view(call.sid, stored), ensure_ascii=False)
    return f"id: {stored.seq}\nevent: {stored.event}\ndata: {view}\n\n"


def _last_event_id(request: Request) -> int:
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
