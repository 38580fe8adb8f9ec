"""One HTTP connection of uvicorn with the bounds that it lacks: how large the head is and how long it may take."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 16 * 1024  # bytes of request line and headers
MAX_SECONDS = 15.0  # from the connection, or the first byte of a later request, to the end of the head


def _problem(status: int, phrase: str, detail: str) -> bytes:
    """A whole answer as RFC 9457 has it, for requests that never reach the application."""
    body = json.dumps({"type": "about:blank", "title": phrase, "status": status, "detail": detail}).encode()
    head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


_NOT_HTTP = _problem(400, "Bad Request", "the request is not HTTP/1.1; its request line or a header is malformed")
_TOO_LARGE = _problem(431, "Request Header Fields Too Large", f"request line and headers exceed {MAX_HEAD} bytes")
_TOO_SLOW = _problem(408, "Request Timeout", f"the headers did not come within {MAX_SECONDS:.0f} seconds")


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
            self._end(_TOO_LARGE)

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
        self._end(_TOO_LARGE if self._head > MAX_HEAD else _NOT_HTTP)

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(MAX_SECONDS, self._end, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, answer: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
