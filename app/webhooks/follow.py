"""A request and the redirects behind it, to the answer that is none. Decides who sees a password; keeps no cookie."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from app.calls.sources import SourceError
from app.webhooks.transport import origin_of

MAX_REDIRECTS = 10

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD = frozenset({307, 308})  # RFC 9110 §15.4; the others become a GET, as in every browser
_MAX_ERROR = 200  # characters
_UPGRADE = (("http", 80), ("https", 443))


@dataclass(frozen=True, slots=True)
class Hop:
    url: str  # absolute, with the user information that this hop may see
    form: str | None  # None: GET


@dataclass(frozen=True, slots=True)
class Reached:
    url: str  # of the last hop
    redirects: int
    status: int
    headers: httpx.Headers
    body: bytes


async def follow(transport: httpx.AsyncBaseTransport, first: Hop, make: Callable[[Hop], httpx.Request]) -> Reached:
    """The first answer that is no redirect, whatever its status. Raises SourceError that names the hop's host.

    `transport` checks the address of every hop when it connects. The caller sets the time limit.
    """
    hop = first
    for redirects in range(MAX_REDIRECTS + 1):
        try:
            response = await transport.handle_async_request(make(hop))
            body = await _whole(response)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise SourceError(f"{host_of(hop.url)}: {str(error)[:_MAX_ERROR]}") from None
        if response.status_code not in _REDIRECTS:
            return Reached(hop.url, redirects, response.status_code, response.headers, body)
        hop = _next(first, hop, response)
    raise SourceError(f"{host_of(hop.url)}: more than {MAX_REDIRECTS} redirects")


def host_of(url: str) -> str:
    """What an error names: no path, no query, no user information."""
    try:
        return httpx.URL(url).host or "the URL"
    except httpx.InvalidURL:
        return "the URL"


def _next(first: Hop, hop: Hop, response: httpx.Response) -> Hop:
    location = response.headers.get("location", "").strip()
    if not location:
        raise SourceError(f"{host_of(hop.url)}: status {response.status_code} without a Location")
    form = hop.form if response.status_code in _SAME_METHOD else None
    try:
        url = httpx.URL(hop.url).join(location).copy_with(fragment=None)
        if not url.userinfo and _may_see(httpx.URL(first.url), url):
            url = url.copy_with(userinfo=httpx.URL(first.url).userinfo)
    except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
        raise SourceError(f"{host_of(hop.url)}: redirects to where nothing can be fetched: {error}") from None
    return Hop(str(url), form)


def _may_see(first: httpx.URL, url: httpx.URL) -> bool:
    """Whether the password in `first` may go to `url`: the same origin, or its own step from http to https."""
    if not first.userinfo:
        return False
    given, to = origin_of(first), origin_of(url)
    upgraded = ((given.scheme, given.port), (to.scheme, to.port)) == _UPGRADE
    return given.host == to.host and (upgraded or given == to)


async def _whole(response: httpx.Response) -> bytes:
    """The body as it came. httpx's own way through its decoders costs a copy more."""
    if isinstance(response.stream, httpx.ByteStream):
        return b"".join(response.stream)
    return await response.aread()
