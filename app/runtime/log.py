"""Structured logging: one wide line per thing that happened, to stdout. Credentials and bodies never get here."""

import logging
import sys
from typing import Any

import structlog


def configure(level: str, style: str, role: str) -> None:
    """Send structlog and the standard library's loggers through one renderer; `style`: auto, console or json."""
    as_console = style == "console" or (style == "auto" and sys.stdout.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if as_console else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "uvicorn.error"):  # what they say at info, our own lines say better
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(role=role)


def get(name: str) -> Any:
    """A structlog logger: ``log.info("call.finished", call=…, status=…)``."""
    return structlog.stdlib.get_logger(name)
