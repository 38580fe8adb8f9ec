"""A callback's URL as it is requested: user information taken off, what remains exactly as it is sent and signed."""

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache

import httpx

from app.webhooks.pool import Origin
from app.webhooks.transport import origin_of


@dataclass(frozen=True, slots=True)
class Target:
    url: httpx.URL  # without user information and fragment
    origin: Origin
    host: bytes  # the Host header
    text: str  # the URL again, as the receiver puts it together from its Host header and request line
    query: str  # raw, as sent; empty when there is none
    authorization: bytes | None  # the value of the header


def parse(url: str, method: str) -> Target:
    """Raises httpx.InvalidURL and httpx.UnsupportedProtocol. A POST's URL comes again and again, a GET's never."""
    return _parse_cached(url) if method == "POST" else _parse(url)


def _parse(url: str) -> Target:
    given = httpx.URL(url)
    origin = origin_of(given)
    path = given.raw_path.decode("ascii").removesuffix("?")  # a "?" with nothing behind it is seen by no receiver
    text = f"{given.scheme}://{given.netloc.decode('ascii')}{path}"
    return Target(httpx.URL(text), origin, given.netloc, text, given.query.decode("ascii"), _basic(given))


_parse_cached = lru_cache(maxsize=4096)(_parse)


def _basic(url: httpx.URL) -> bytes | None:
    """RFC 7617, in UTF-8."""
    if not url.userinfo:
        return None
    return b"Basic " + b64encode(f"{url.username}:{url.password}".encode())
