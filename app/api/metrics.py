"""Counts requests, and writes this host's counters and the database's figures as Prometheus reads them."""

import os
import time
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.calls.status import NEXT
from app.store.figures import Figures
from app.store.queue import Capacity

CONTENT_TYPE = CONTENT_TYPE_LATEST
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)

# Labels are routes and not paths: what a stranger asks for must not make a new time series.
_REQUESTS = Counter("dial_http_requests", "Requests answered", ["route", "method", "status"])
_SECONDS = Histogram("dial_http_request_seconds", "Until the answer has been sent", ["route"], buckets=_BUCKETS)


class Counted:
    """Counts and times each request under its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _REQUESTS.labels(route, method, status).inc()
            _SECONDS.labels(route).observe(time.perf_counter() - started)


def exposition(figures: Figures | None, capacity: Capacity | None) -> bytes:
    """The text format; without figures when the database is away."""
    counters: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # the processes of one host keep their counters in files there
        counters = CollectorRegistry()
        MultiProcessCollector(counters)  # type: ignore[no-untyped-call] # prometheus_client has no types there
    known = CollectorRegistry()
    known.register(_Known(figures, capacity))
    return generate_latest(counters) + generate_latest(known)


class _Known(Collector):
    def __init__(self, figures: Figures | None, capacity: Capacity | None) -> None:
        self._figures = figures
        self._capacity = capacity

    def collect(self) -> Iterable[Metric]:
        yield _gauge("dial_database_up", "Whether the database answered this scrape", self._figures is not None)
        if self._figures is None or self._capacity is None:
            return
        running = GaugeMetricFamily("dial_calls_running", "Calls that have not ended, by status", labels=["status"])
        for status in NEXT:
            running.add_metric([status], self._figures.running.get(status, 0))
        yield running
        yield _gauge("dial_deliveries_owed", "Deliveries still to be made, up to 100,000", self._figures.owed)
        yield _gauge("dial_deliveries_dead", "Deliveries given up, up to 100,000", self._figures.dead)
        yield _gauge("dial_workers_alive", "Workers that renew their lease and accept calls", self._capacity.workers)
        yield _gauge("dial_worker_slots_free", "Calls that the workers could start now", self._capacity.free)
        yield _gauge("dial_dials_waiting", "Dial requests that no worker has taken yet", self._capacity.waiting)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=float(value))
