"""Query parameters, strictly: unknown, repeated and impossible ones are problems, and all of them are told at once."""

import re
from collections.abc import Collection
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import TypeVar

from starlette.requests import Request

from app.rcml.codes import Code
from app.rcml.query import pairs
from app.rcml.report import Report, shown
from app.rcml.values import forbidden_in

MAX_TEXT = 1_000  # characters
_INTEGER = re.compile(r"[0-9]{1,9}\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)

Word = TypeVar("Word", bound=StrEnum)


class Parameters:
    """The parameters of one request; `done` raises BadRequest when something was wrong with any."""

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._report = Report()
        self._given: dict[str, str] = {}
        for name, value in pairs(request.scope["query_string"]):
            label = f"the query parameter `{shown(name)}`"
            if name not in known:
                hint = f"the parameters are {', '.join(known)}" if known else "the operation has none"
                self._report.add(Code.UNKNOWN_PARAMETER, f"{label} does not exist; {hint}")
            elif name in self._given:
                self._report.add(Code.REPEATED_FIELD, f"{label} is there more than once; give it once")
            else:
                self._given[name] = value

    def done(self) -> None:
        self._report.raise_if_any()

    def refuse(self, name: str, remedy: str) -> None:
        self._report.add(Code.PARAMETER_INVALID, f"the query parameter `{name}` {remedy}")

    def text(self, name: str) -> str | None:
        value = self._given.get(name)
        if value is not None and (len(value) > MAX_TEXT or forbidden_in(value) is not None):
            self.refuse(name, f"must have at most {MAX_TEXT} characters and no control character")
            return None
        return value

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str | None:
        value = self._given.get(name)
        if value is not None and not pattern.match(value):
            self.refuse(name, f"must be {what}")
            return None
        return value

    def word(self, name: str, words: type[Word]) -> Word | None:
        value = self._given.get(name)
        if value is None:
            return None
        if value not in list(words):
            self.refuse(name, f"must be one of {', '.join(words)}")
            return None
        return words(value)

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        value = self._given.get(name)
        if value is None:
            return default
        if not _INTEGER.match(value) or not low <= int(value) <= high:
            self.refuse(name, f"must be a whole number from {low} to {high}")
            return default
        return int(value)

    def day(self, name: str) -> date | None:
        value = self._given.get(name)
        found = None if value is None else _day(value)
        if value is not None and found is None:
            self.refuse(name, "must be a date such as 2026-01-31; that UTC day is meant")
        return found

    def bound(self, name: str) -> date | datetime | None:
        """A date or a moment."""
        value = self._given.get(name)
        found = None if value is None else (_day(value) or moment(value))
        if value is not None and found is None:
            self.refuse(name, "must be a date such as 2026-01-31 or a time such as 2026-01-31T12:00:00Z")
        return found


def no_parameters(request: Request) -> None:
    """Raises BadRequest when the request has any query parameter."""
    if request.scope["query_string"]:
        Parameters(request, ()).done()


def moment(text: str) -> datetime | None:
    """RFC 3339 with an offset, or None."""
    if not _MOMENT.match(text):
        return None
    try:
        return datetime.fromisoformat(text.upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _day(text: str) -> date | None:
    if not _DATE.match(text):
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if date.min < found < date.max else None  # the day after must exist too
