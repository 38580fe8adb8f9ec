"""How often each source may ask: a token bucket per address, in bounded memory. Knows no message."""

import ipaddress
from collections import OrderedDict

_MOST_SOURCES = 10_000  # buckets; the one that was used longest ago goes first, and is full again by then
_BURST = 2.0  # seconds' worth that may come at once


class SourceRate:
    """`rate` requests a second of each source, twice as many at once; 0: as many as it likes."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate * _BURST)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was true

    def admits(self, source: str, now: float) -> bool:
        """Take one token of `source`, an IP address; `now` in seconds that never jump."""
        if not self._rate:
            return True
        key = _key(source)
        tokens, since = self._buckets.pop(key, (self._most, now))
        tokens = min(self._most, tokens + (now - since) * self._rate)
        admitted = tokens >= 1
        self._buckets[key] = (tokens - 1 if admitted else tokens, now)
        if len(self._buckets) > _MOST_SOURCES:
            self._buckets.popitem(last=False)
        return admitted


def _key(source: str) -> str:
    """One subscriber's IPv6 addresses are a /64."""
    if ":" not in source:
        return source
    try:
        return str(ipaddress.ip_network((source.partition("%")[0], 64), strict=False))
    except ValueError:
        return source
