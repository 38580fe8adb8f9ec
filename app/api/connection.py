"""One HTTP connection of uvicorn with the bounds that it lacks: how large the head is and how long it may take."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 16 * 1024  # bytes of request line and headers
MAX_SECONDS = 15.0  # from the connection, or the first byte of a later request, to the end of the head

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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
        if self._head > MAX_HEAD:
            self._end(_TOO_LARGE)
        else:
            super().send_400_response(msg)

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
