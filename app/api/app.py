"""The web application: routes in, and around them what holds for every request. Makes none of its parts."""

from typing import Any, cast

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from app.api import calls, deliveries, dials, docs, events, health, numbers, openapi, recordings, trace
from app.api.answers import Json
from app.api.auth import Authentication
from app.api.capacity import Admission
from app.api.limits import BodyLimits, DatabaseLimit
from app.api.metrics import Counted
from app.api.parts import ApiParts
from app.api.problems import Problems, Refused, answer_to
from app.rcml.codes import Code


def create_app(parts: ApiParts) -> FastAPI:
    """Ready to be served. ``app.state.streams.stopping`` ends the event streams."""
    app = _application(parts)
    # The last one added is the outermost: count, watch the body, answer problems, bound the asking, authenticate.
    app.add_middleware(Authentication, accounts=parts.accounts, links=parts.links)
    app.add_middleware(DatabaseLimit)
    app.add_middleware(Problems)
    app.add_middleware(BodyLimits)
    app.add_middleware(Counted)
    return app


def describe() -> FastAPI:
    """The routes alone, for the OpenAPI document: nothing behind them is there."""
    return _application(cast(ApiParts, _Nothing()))


class _Nothing:
    """Stands for every part where only the routes are looked at."""

    def __getattr__(self, name: str) -> Any:
        return self


def _application(parts: ApiParts) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    admission = Admission(parts.queue, parts.settings.max_wait)
    app.state.streams = events.Streams()
    # Not by include_router: FastAPI then hides the routes in its own, which costs a look-up and their methods.
    router = app.router
    dials.add_routes(router, parts, admission)
    calls.add_routes(router, parts)
    events.add_routes(router, parts, app.state.streams)
    trace.add_routes(router, parts)
    deliveries.add_routes(router, parts)
    numbers.add_routes(router, parts)
    recordings.add_routes(router, parts)
    health.add_routes(router, parts, admission)
    docs.add_routes(router)
    _add_document(app)
    app.add_exception_handler(HTTPException, _not_routed)
    return app


def _add_document(app: FastAPI) -> None:
    rendered: dict[str, dict[str, Any]] = {}

    @app.get("/openapi.json", include_in_schema=False)
    async def document(request: Request) -> Response:
        root_path = request.scope.get("root_path", "")
        if root_path not in rendered:
            rendered.clear()
            rendered[root_path] = openapi.document(app, root_path)
        return Json(rendered[root_path])


async def _not_routed(request: Request, error: Exception) -> Response:
    """404 and 405 of the router as problems; Allow lists every method of the path."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    allowed = sorted(_methods(request))
    if status == 405 and allowed:
        return answer_to(Refused(Code.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(allowed)}), request)
    if status == 404:
        return answer_to(Refused(Code.NOT_FOUND), request)
    return answer_to(error, request)


def _methods(request: Request) -> set[str]:
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found
