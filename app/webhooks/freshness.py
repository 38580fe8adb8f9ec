"""How long a fetched file may be used without asking again (RFC 9111), from its headers. Keeps nothing."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

UNSAID = 300.0  # seconds, where the server says nothing
LONGEST = 86_400.0  # whatever it says

_DIRECTIVE = re.compile(r'([\w-]+)(?:=(?:"([^"]*)"|([^\s,;]*)))?')


def fresh_for(headers: httpx.Headers, now: datetime) -> float:
    """Seconds; a cache of ours is private, so `s-maxage` is not for us (RFC 9111 §4.2.1)."""
    said = directives(headers)
    if "no-cache" in said or "no-store" in said:
        return 0.0
    if "max-age" in said:
        age = _seconds(headers.get("age", "")) or 0.0
        return _bounded((_seconds(said["max-age"]) or 0.0) - age)
    if "expires" in headers:
        expires, date = _moment(headers["expires"]), _moment(headers.get("date", ""))
        return _bounded((expires - (date or now)).total_seconds()) if expires else 0.0  # "0" means: already
    return UNSAID


def may_keep(headers: httpx.Headers) -> bool:
    return "no-store" not in directives(headers)


def directives(headers: httpx.Headers) -> dict[str, str]:
    """Of Cache-Control, by name in lower case."""
    said = headers.get("cache-control", "")[:1000]
    return {name.lower(): quoted or plain for name, quoted, plain in _DIRECTIVE.findall(said)}


def _bounded(seconds: float) -> float:
    return max(0.0, min(seconds, LONGEST))


def _seconds(text: str) -> float | None:
    text = text.strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else None


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them seen from the standard library's parser
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
