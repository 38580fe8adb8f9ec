"""One HTTP connection of uvicorn with the bounds that it lacks: how large the head is and how long it may take."""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.rcml.codes import EXPLAINED, Code

MAX_HEAD = 16 * 1024  # bytes of request line and headers
MAX_SECONDS = 15.0  # from the connection, or the first byte of a later request, to the end of the head


def _problem(code: Code, root_path: str) -> bytes:
    """A whole answer as RFC 9457 has it, for a request that never reaches the application; which one is not known."""
    known = EXPLAINED[code]
    phrase, detail = HTTPStatus(known.status).phrase, f"{known.meaning} {known.remedy}"
    body = {
        "type": f"{root_path}/docs/errors#{code}",
        "title": phrase,
        "status": known.status,
        "detail": detail,
        "instance": "",
        "errors": [{"code": code, "detail": detail}],
    }
    content = json.dumps(body, separators=(",", ":")).encode()
    lines = (
        f"HTTP/1.1 {known.status} {phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(content)}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class _HeadTooLarge(Exception):
    """Ends the parser's work in the middle of what it was fed."""


class Connection(HttpToolsProtocol):
    """431 for a head that is too large, 408 for one that drips."""

    _head = 0  # bytes of it so far; -1 behind it
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self._end(Code.HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = max(self._head, 0)
        self._wait()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if head > MAX_HEAD:
            self._head = head
            raise _HeadTooLarge
        self._head = -1
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._end(Code.HEAD_TOO_LARGE if self._head > MAX_HEAD else Code.NOT_HTTP)

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(MAX_SECONDS, self._end, Code.HEAD_TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, code: Code) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(_problem(code, self.root_path))
            self.transport.close()
