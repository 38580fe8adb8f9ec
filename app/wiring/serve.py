"""Runs one role to its exit status."""

from collections.abc import Callable, Coroutine
from typing import Any

from app.runtime import log, loop
from app.runtime.settings import Settings


def serve(role: str, settings: Settings) -> int:
    """Run one role to its exit status."""
    log.configure(settings.log_level, settings.log_format, role)
    return loop.run(_ROLES[role]()(settings))


def _api() -> Callable[[Settings], Coroutine[Any, Any, int]]:
    from app.wiring.api import run_api

    return run_api


def _worker() -> Callable[[Settings], Coroutine[Any, Any, int]]:
    from app.wiring.worker import run_worker

    return run_worker


def _webhooks() -> Callable[[Settings], Coroutine[Any, Any, int]]:
    from app.wiring.webhooks import run_webhooks

    return run_webhooks


# Each role imports its own parts only.
_ROLES = {"api": _api, "worker": _worker, "webhooks": _webhooks}
