"""``/healthz``, ``/readyz`` and ``/metrics``: what those who run the service ask it."""

import asyncio
import time

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import Json
from app.api.capacity import Admission
from app.api.metrics import CONTENT_TYPE, exposition
from app.api.operations import HEALTH, METRICS, READY
from app.api.parts import ApiParts
from app.calls.errors import Unavailable
from app.store import migrate
from app.store.figures import count

PATIENCE = 1.0  # seconds
_FRESH_SECONDS = 0.25  # who asks without an account must not be able to keep the database busy


class Readiness:
    """Why the API cannot serve, asked of the database at most a few times a second."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._reasons: list[str] = []
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def reasons(self) -> list[str]:
        async with self._asking:
            if time.monotonic() - self._asked_at > _FRESH_SECONDS:
                self._reasons = await self._ask()
                self._asked_at = time.monotonic()
        return self._reasons

    async def _ask(self) -> list[str]:
        try:
            async with asyncio.timeout(PATIENCE):
                ready = await migrate.ready(self._parts.database)
        except (Unavailable, TimeoutError):
            return ["the database is away"]
        return [] if ready else ["the schema is not that of this version; run the role migrate"]


def add_routes(router: APIRouter, parts: ApiParts, admission: Admission) -> None:
    readiness = Readiness(parts)

    @router.get("/healthz", **HEALTH)
    async def health(request: Request) -> Response:
        return Json({"status": "ok"})

    @router.get("/readyz", **READY)
    async def ready(request: Request) -> Response:
        reasons = await readiness.reasons()
        if reasons:
            return Json({"status": "not ready", "reasons": reasons}, 503)
        try:
            capacity = await admission.capacity()
        except Unavailable:
            return Json({"status": "not ready", "reasons": ["the database is away"]}, 503)
        return Json({"status": "ready", "workers": capacity.workers})

    @router.get("/metrics", **METRICS)
    async def metrics(request: Request) -> Response:
        try:
            figures, capacity = await count(parts.database), await admission.capacity()
        except Unavailable:  # the counters of this host are there all the same
            return Response(exposition(None, None), media_type=CONTENT_TYPE)
        return Response(exposition(figures, capacity), media_type=CONTENT_TYPE)
