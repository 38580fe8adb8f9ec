"""The rules for single values that RCML, JSON and the query share: numbers, words, texts. Knows no attribute."""

import re
from collections.abc import Collection

from app.calls.callback import HttpMethod
from app.calls.event import ALL_EVENTS, Event
from app.rcml.codes import Code
from app.rcml.report import Given, Report, shown

# Controls, line and paragraph separators, surrogates, and what XML cannot hold: they inject lines or cannot be stored.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_SEPARATORS = re.compile(r"[,\s]+")

_METHODS: dict[str, HttpMethod] = {"GET": "GET", "POST": "POST"}


def forbidden_in(text: str) -> str | None:
    """The first character that no value may have, as ``U+0085``, or None."""
    match = _FORBIDDEN.search(text)
    return None if match is None else f"U+{ord(match[0]):04X}"


def text(given: Given, report: Report, *, limit: int | None = None) -> str | None:
    """The string without forbidden characters, or None after a report."""
    value = given.value
    if not isinstance(value, str):
        report.add(Code.TYPE_INVALID, f"{given.name} must be a string", given.place)
        return None
    if (found := forbidden_in(value)) is not None:
        report.add(Code.CHARACTER_INVALID, f"{given.name} has the character {found}; remove it", given.place)
        return None
    if limit is not None and len(value) > limit:
        detail = f"{given.name} has {len(value)} characters; at most {limit} are allowed"
        report.add(Code.TOO_LONG, detail, given.place)
        return None
    return value


def integer(given: Given, report: Report, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`; in text decimal digits only."""
    value = given.value
    if given.textual and isinstance(value, str) and _DIGITS.match(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        report.add(Code.INTEGER_INVALID, f"{given.name} must be a whole number from {low} to {high}", given.place)
        return None
    if not low <= value <= high:
        report.add(Code.OUT_OF_RANGE, f"{given.name} must be from {low} to {high}", given.place)
        return None
    return value


def boolean(given: Given, report: Report) -> bool | None:
    value = given.value
    if given.textual and isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower())
    if not isinstance(value, bool):
        report.add(Code.BOOLEAN_INVALID, f"{given.name} must be true or false", given.place)
        return None
    return value


def method(given: Given, report: Report) -> HttpMethod | None:
    """GET or POST in any case, as the reference reads it."""
    value = text(given, report)
    if value is None:
        return None
    found = _METHODS.get(value.upper())
    if found is None:
        report.add(Code.METHOD_INVALID, f"{given.name} must be GET or POST, not '{shown(value)}'", given.place)
    return found


def record(given: Given, report: Report) -> bool | None:
    """Whether to record at all; every spelling of the contract is known."""
    words = {
        "true": True,
        "false": False,
        "do-not-record": False,
        "record-from-answer": True,
        "record-from-answer-dual": True,
        "record-from-ringing": True,
        "record-from-ringing-dual": True,
    }
    value = given.value
    if isinstance(value, bool):
        return value
    found = words.get(value.lower()) if isinstance(value, str) else None
    if found is None or (not given.textual and value.lower() in ("true", "false")):
        report.add(Code.RECORD_INVALID, f"{given.name} must be true, false or one of {', '.join(words)}", given.place)
        return None
    return found


def events(given: Given, report: Report) -> frozenset[Event] | None:
    """Names separated by comma or white space, or a JSON list of names; present but empty means completed."""
    names = _names(given, report)
    if names is None:
        return None
    unknown = [name for name in names if name not in ALL_EVENTS]
    for name in unknown:
        detail = f"{given.name}: there is no event '{shown(name)}'; the events are {', '.join(Event)}"
        report.add(Code.EVENT_UNKNOWN, detail, given.place)
    if unknown:
        return None
    return frozenset(map(Event, names)) or frozenset({Event.COMPLETED})


def words(given: Given, report: Report, known: Collection[str]) -> frozenset[str] | None:
    """Like `events`, of another vocabulary."""
    names = _names(given, report)
    if names is None:
        return None
    for name in names:
        if name not in known:
            detail = f"{given.name}: there is no event '{shown(name)}'; the events are {', '.join(known)}"
            report.add(Code.EVENT_UNKNOWN, detail, given.place)
    return frozenset(names)


def _names(given: Given, report: Report) -> list[str] | None:
    value = given.value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if not isinstance(value, str):
        report.add(Code.TYPE_INVALID, f"{given.name} must be a list of event names, or a string", given.place)
        return None
    return [name for name in _SEPARATORS.split(value) if name]
