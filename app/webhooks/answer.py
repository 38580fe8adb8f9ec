"""Bytes of one HTTP/1 answer to a value, within the caps. Knows no socket and no time."""

from dataclasses import dataclass

import httptools
import httpx

from app.webhooks.failures import AnswerTooLarge, ClosedUnanswered
from app.webhooks.limits import Limits

_BODILESS = frozenset({204, 304})

# Chunk sizes, chunk extensions and 1xx answers count towards neither cap: this bounds them too.
_RAW_FACTOR = 8


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes  # as it came over the wire: never decompressed, so a gzip bomb stays as small as it is
    reusable: bool  # the connection may carry another exchange


class AnswerReader:
    """Feed it what arrives, until `answer` or `failure` is there.

    The `on_…` methods are called by httptools. The reference to its parser is dropped at the end: with the garbage
    collector set for few long pauses, a cycle per answer would pile up.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_framed",
        "_header_bytes",
        "_headers",
        "_headers_done",
        "_limits",
        "_parser",
        "_raw_bytes",
        "_reusable",
        "_status",
        "answer",
        "failure",
    )

    def __init__(self, limits: Limits) -> None:
        self.answer: Answer | None = None
        self.failure: httpx.TransportError | None = None
        self._limits = limits
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._raw_bytes = 0
        self._header_bytes = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._headers_done = False
        self._framed = False
        self._status = 0
        self._body = bytearray()
        self._complete = False
        self._reusable = False

    @property
    def done(self) -> bool:
        return self.answer is not None or self.failure is not None

    def feed(self, data: bytes) -> None:
        if self._parser is None:
            return
        self._raw_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("the answer changes the protocol"))
        except httptools.HttpParserError:
            self._reusable = False
            if not self._complete:
                self._fail(httpx.RemoteProtocolError("the answer is not HTTP/1"))
        if not self._complete and not self._headers_done and self._raw_bytes > self._limits.headers:
            self._fail_headers()  # a header without an end reaches no callback
        if self._raw_bytes > _RAW_FACTOR * self._limits.body:
            self._fail_body()
        self._conclude()

    def end(self, *, reset: bool) -> None:
        """The peer has closed: the end of an answer without a length, a cut for any other and for a reset."""
        if self._headers_done and not self._framed and not reset:
            self._complete = True
        elif self._raw_bytes == 0:
            self._fail(ClosedUnanswered(f"connection {'reset' if reset else 'closed'} before an answer"))
        else:
            self._fail(httpx.ReadError(f"connection {'reset' if reset else 'closed'} in the middle of the answer"))
        self._conclude()

    def _conclude(self) -> None:
        if self._complete and not self.done:
            self.answer = Answer(self._status, self._headers, bytes(self._body), self._reusable)
        if self.done:
            self._parser = None

    def _fail(self, failure: httpx.TransportError) -> None:
        if not self.done and not self._complete:
            self.failure = failure

    def _fail_headers(self) -> None:
        self._fail(httpx.RemoteProtocolError(f"answer headers larger than {self._limits.headers // 1024} KiB"))

    def _fail_body(self) -> None:
        self._fail(AnswerTooLarge(self._limits.body, self._status, bytes(self._body[: self._limits.body])))

    def on_message_begin(self) -> None:
        self._reusable = False  # bytes after the answer, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            return
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._limits.headers:
            self._fail_headers()
            return
        if self._headers_done:
            return  # a trailer
        self._headers.append((name, value))
        lower = name.lower()
        if lower == b"content-length" or (lower == b"transfer-encoding" and value.lower().endswith(b"chunked")):
            self._framed = True

    def on_headers_complete(self) -> None:
        if self._complete or self._parser is None:
            return
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._headers_done = True
            self._framed = self._framed or self._status in _BODILESS

    def on_body(self, data: bytes) -> None:
        if self._complete or self.failure is not None:
            return
        self._body += data
        if len(self._body) > self._limits.body:
            self._fail_body()

    def on_message_complete(self) -> None:
        if self._complete or self._parser is None:
            return
        if self._status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come (RFC 9110 §15.2)
            self._headers = []
            self._framed = False
            return
        self._complete = True
        self._reusable = self._parser.should_keep_alive()
