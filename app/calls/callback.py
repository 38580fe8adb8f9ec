"""A callback: the URL a customer gave, how to request it and which events it wants."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from app.calls.event import ALL_EVENTS, Event

HttpMethod = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True)
class Callback:
    url: str  # absolute http(s), user information included when the customer gave some
    method: HttpMethod = "POST"
    events: frozenset[Event] = ALL_EVENTS


def masked(url: str) -> str:
    """`url` with its user information replaced, fit for logs, answers and plain columns."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="***:***@" + parts.netloc.rpartition("@")[2]))


def has_credentials(url: str) -> bool:
    return "@" in urlsplit(url).netloc
