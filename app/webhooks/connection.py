"""One connection to one receiver: writes a request, reads its answer, tells when it is gone. Knows no pool."""

import asyncio
from collections.abc import Callable
from typing import cast

import httpx

from app.webhooks.answer import Answer, AnswerReader
from app.webhooks.failures import ClosedUnanswered
from app.webhooks.limits import Limits

# libuv reads up to 32 times 256 KiB before it lets the loop go on: with a 20 MiB file over a fast line, half of all
# turns of a busy machine's loop took over 30 ms. With one read a turn it is 1-7; RTP has a beat of 20.
_MUCH = 64 * 1024  # bytes at once


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `on_lost` is called once, when it has ended, whoever ended it."""

    def __init__(self, limits: Limits, on_lost: Callable[["Connection"], None]) -> None:
        self.idle_since = 0.0  # the pool's note, on the loop's clock
        self._limits = limits
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._first_byte: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Answer:
        """Raises httpx.TransportError; after that, or a cancellation, the connection is closed."""
        if self._transport is None or self._transport.is_closing():
            raise ClosedUnanswered("connection closed before an answer")
        self._reader = AnswerReader(self._limits)
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        if self._limits.first_byte is not None:
            self._first_byte = loop.call_later(self._limits.first_byte, self._unanswered)
        try:
            self._transport.write(request)
            answer = await self._waiter
        except BaseException:
            self.abort()
            raise
        finally:
            self._reader = self._waiter = None
            self._heard()
        if not answer.reusable:
            self.abort()
        return answer

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._reader.done:
            self.abort()  # nobody asked: whatever it is, it must not become the answer of the next request
            return
        self._heard()
        self._reader.feed(data)
        self._settle(self._reader)
        if len(data) >= _MUCH and self.usable and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        reader = self._reader
        if reader is not None and not reader.done:
            reader.end(reset=exc is not None)
            self._settle(reader)
        self._on_lost(self)

    def _settle(self, reader: AnswerReader) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if reader.failure is not None:
            waiter.set_exception(reader.failure)
        elif reader.answer is not None:
            waiter.set_result(reader.answer)

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _heard(self) -> None:
        if self._first_byte is not None:
            self._first_byte.cancel()
            self._first_byte = None

    def _unanswered(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(httpx.ReadTimeout(f"no answer within {self._limits.first_byte:g} s"))
