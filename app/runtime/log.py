"""Structured logging: one wide line per thing that happened, to stdout. Credentials and bodies never get here."""

import io
import logging
import os
import queue
import select
import sys
import threading
from typing import Any

import structlog

_KEPT = 10_000  # lines that may wait for whoever reads them
_AT_ONCE = 64 * 1024  # bytes
_LAST_SECONDS = 1.0  # for what still waits when the process ends


class Outlet(logging.Handler):
    """Writes to a descriptor in a thread of its own: a pipe that nobody reads stops no call.

    What does not fit any more is left out; the first line after that says how much. Only whole lines are written.
    """

    def __init__(self, descriptor: int, *, kept: int = _KEPT) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)  # whatever becomes of the stream, this never is somebody else's file
        self._kept = kept
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._ended = False
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= self._kept:
            self._left_out += 1
            return
        if self._left_out:
            lines, self._left_out = self._left_out, 0
            get(__name__).warning("log.left_out", lines=lines)
        self._lines.put(self.format(record) + "\n")

    def close(self) -> None:
        """Write what waits, if it can be written soon; `logging` does it when the process ends. Safe to call twice."""
        super().close()
        if self._ended:
            return
        self._ended = True
        self._lines.put(None)
        self._thread.join(_LAST_SECONDS)
        if not self._thread.is_alive():
            os.close(self._descriptor)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            text = [line]
            size = len(line)
            while size < _AT_ONCE and not self._lines.empty():
                following = self._lines.get()
                if following is None:
                    _write_all(self._descriptor, "".join(text).encode(errors="replace"))
                    return
                text.append(following)
                size += len(following)
            _write_all(self._descriptor, "".join(text).encode(errors="replace"))


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
    handler = _handler()
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
    for former in root.handlers:
        if isinstance(former, Outlet):
            former.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("alembic", "uvicorn.error"):  # what they say at info, our own lines say better
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(role=role)


def get(name: str) -> Any:
    """A structlog logger: ``log.info("call.finished", call=…, status=…)``."""
    return structlog.stdlib.get_logger(name)


def _handler() -> logging.Handler:
    try:
        return Outlet(sys.stdout.fileno())
    except (io.UnsupportedOperation, ValueError):  # a stream in memory, or one that is closed
        return logging.StreamHandler(sys.stdout)


def _write_all(descriptor: int, data: bytes) -> None:
    """Past the stream's buffer, whose lock a blocked thread would hold until the interpreter gives up on it."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever shares the descriptor has made it so
            select.select([], [descriptor], [])
        except OSError:  # nobody is there to read, or the disk is full: the work goes on
            return
