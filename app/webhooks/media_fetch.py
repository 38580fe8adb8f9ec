"""Fetches a sound file of a customer, or learns that a stored one is still right. Looks into no file."""

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from prometheus_client import Counter

from app.calls.callback import masked
from app.calls.sources import FetchedMedia, MediaVersion, SourceError
from app.runtime import log
from app.webhooks import target
from app.webhooks.follow import Hop, Reached, follow, host_of
from app.webhooks.freshness import fresh_for, may_keep
from app.webhooks.limits import Limits
from app.webhooks.signed import FIXED_HEADERS

_log = log.get(__name__)

LIMITS = Limits(connect=5.0, first_byte=10.0, total=60.0, body=20 * 1024 * 1024, kept_per_origin=4, kept=64)

_PARALLEL = 16  # files of 20 MiB that may be in memory at once
_PARALLEL_PER_HOST = 4  # so that one slow host leaves room for the others
_NOT_MODIFIED = 304

_FETCHED = Counter("dial_media_fetched_total", "Sound files asked for over HTTP.", ["result"])


class MediaFetcher:
    """`app.calls.sources.MediaFiles`, on a transport made with `LIMITS`. Requests are not signed: files are public
    or behind the password in their URL.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, *, seconds: float = LIMITS.total) -> None:
        self._transport = transport
        self._seconds = seconds
        self._turns = _Turns(_PARALLEL, _PARALLEL_PER_HOST)

    async def get(self, url: str, known: MediaVersion | None = None) -> FetchedMedia:
        """Raises SourceError."""
        host = host_of(url)
        try:
            async with asyncio.timeout(self._seconds), self._turns.one(host):
                reached = await follow(self._transport, Hop(url, None), lambda hop: _request(hop, known))
            fetched = _judge(reached, known)
        except TimeoutError:
            raise _told(url, SourceError(f"{host}: timeout after {self._seconds:g} s")) from None
        except SourceError as error:
            raise _told(url, error) from None
        _FETCHED.labels("unchanged" if fetched.content is None else "fetched").inc()
        return fetched


class _Turns:
    """Who may fetch now: so many in all, so many per host, first come first served among those that may."""

    def __init__(self, most: int, per_host: int) -> None:
        self._most = most
        self._per_host = per_host
        self._busy: Tally[str] = Tally()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[None]:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((host, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._busy[host] -= 1
                if not self._busy[host]:
                    del self._busy[host]
            self._admit()

    def _admit(self) -> None:
        still: deque[tuple[str, asyncio.Future[None]]] = deque()
        for host, turn in self._waiting:
            if turn.done():
                continue
            if self._busy.total() < self._most and self._busy[host] < self._per_host:
                self._busy[host] += 1
                turn.set_result(None)
            else:
                still.append((host, turn))
        self._waiting = still


def _request(hop: Hop, known: MediaVersion | None) -> httpx.Request:
    to = target.parse(hop.url, "GET")
    headers = [(b"host", to.host), *FIXED_HEADERS]
    if to.authorization is not None:
        headers.append((b"authorization", to.authorization))
    if known is not None and known.url == hop.url:
        if known.etag is not None:
            headers.append((b"if-none-match", known.etag.encode("latin-1")))
        elif known.last_modified is not None:
            headers.append((b"if-modified-since", known.last_modified.encode("latin-1")))
    return httpx.Request("GET", to.url, headers=headers, stream=httpx.ByteStream(b""))


def _judge(reached: Reached, known: MediaVersion | None) -> FetchedMedia:
    fresh, keep = fresh_for(reached.headers, datetime.now(UTC)), may_keep(reached.headers)
    if reached.status == _NOT_MODIFIED and known is not None and known.url == reached.url:
        return FetchedMedia(None, _version(reached) or known, fresh, keep)
    if reached.status != 200:
        raise SourceError(f"{host_of(reached.url)}: status {reached.status}")
    if not reached.body:
        raise SourceError(f"{host_of(reached.url)}: the file is empty")
    return FetchedMedia(reached.body, _version(reached), fresh, keep)


def _version(reached: Reached) -> MediaVersion | None:
    etag, last_modified = (_plain(reached.headers.get(name)) for name in ("etag", "last-modified"))
    return MediaVersion(reached.url, etag, last_modified) if etag or last_modified else None


def _plain(value: str | None) -> str | None:
    """None for what cannot go back in a header as it came."""
    return value if value and len(value) <= 1024 and value.isprintable() and value.isascii() else None


def _told(url: str, error: SourceError) -> SourceError:
    _FETCHED.labels("failed").inc()
    _log.warning("media.not_fetched", url=masked(url).partition("?")[0], error=str(error))
    return error
