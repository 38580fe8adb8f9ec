"""Fetches a call's next document from the customer's application, signed as a webhook is. Understands no RCML."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
from prometheus_client import Histogram

from app.calls.callback import masked
from app.calls.errors import Unavailable
from app.calls.sid import AccountSid, new_message_id
from app.calls.sources import DocumentRequest, FetchedDocument, SourceError
from app.runtime import log
from app.store.accounts import SigningSecrets
from app.webhooks.follow import Hop, Reached, follow, host_of
from app.webhooks.signed import signed

_log = log.get(__name__)

_SECONDS = 15.0  # in all: secrets, redirects and every address
_GZIP = b"\x1f\x8b"
_MAX_ACCOUNTS = 10_000

_TIME = Histogram(
    "dial_document_seconds",
    "Time to fetch a document, redirects included.",
    ["result"],
    buckets=(0.005, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 15),
)


class DocumentFetcher:
    """`app.calls.sources.Documents`. `transport` checks addresses and bounds what is read; `secrets_of` may raise."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        secrets_of: Callable[[AccountSid], Awaitable[SigningSecrets]],
        *,
        seconds: float = _SECONDS,
    ) -> None:
        self._transport = transport
        self._secrets_of = secrets_of
        self._seconds = seconds
        self._last: dict[AccountSid, SigningSecrets] = {}

    async def fetch(self, request: DocumentRequest) -> FetchedDocument:
        """Raises SourceError."""
        started, result = time.monotonic(), "failed"
        try:
            async with asyncio.timeout(self._seconds):
                reached = await self._reach(request)
            document = _document(request, reached)
            result = "fetched"
            return document
        except TimeoutError:
            raise self._told(
                request, SourceError(f"{host_of(request.url)}: timeout after {self._seconds:g} s")
            ) from None
        except SourceError as error:
            raise self._told(request, error) from None
        finally:
            _TIME.labels(result).observe(time.monotonic() - started)

    async def _reach(self, request: DocumentRequest) -> Reached:
        secrets = await self._secrets(request.account_sid)
        message_id = new_message_id()
        encoded = urlencode(request.parameters)
        first = Hop(request.url, encoded) if request.method == "POST" else Hop(_with_query(request.url, encoded), None)
        return await follow(
            self._transport, first, lambda hop: signed(hop.url, hop.form, message_id, secrets, datetime.now(UTC))
        )

    async def _secrets(self, account: AccountSid) -> SigningSecrets:
        """Those of the last time when the database is away: a call that runs goes on."""
        try:
            secrets = await self._secrets_of(account)
        except Unavailable:
            if account in self._last:
                return self._last[account]
            raise SourceError("the account's secrets cannot be read now") from None
        except Exception as error:  # the account is gone, or its secrets are sealed with another key
            _log.error("document.secrets_unreadable", account=account, error=type(error).__name__)
            raise SourceError("the account's secrets cannot be read") from None
        if len(self._last) >= _MAX_ACCOUNTS:
            self._last.clear()
        self._last[account] = secrets
        return secrets

    @staticmethod
    def _told(request: DocumentRequest, error: SourceError) -> SourceError:
        url = masked(request.url).partition("?")[0]
        _log.warning("document.not_fetched", account=request.account_sid, url=url, error=str(error))
        return error


def _document(request: DocumentRequest, reached: Reached) -> FetchedDocument:
    host = host_of(reached.url)
    if not 200 <= reached.status < 300:
        raise SourceError(f"{host}: status {reached.status}")
    if reached.body.startswith(_GZIP):
        raise SourceError(f"{host}: the answer is compressed, which was not asked for")
    # Without our parameters: an action that is the document's own URL gets new ones.
    url = reached.url if reached.redirects else request.url
    return FetchedDocument(url, reached.body, reached.headers.get("content-type"))


def _with_query(url: str, encoded: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, encoded))), fragment=""))
