"""The rules for single values that RCML, JSON and the query share: numbers, words, texts. Knows no attribute."""

import re
from collections.abc import Collection
from typing import Literal

from app.calls.callback import HttpMethod
from app.calls.event import Event
from app.rcml.codes import Code
from app.rcml.report import Given, Report, shown

# Controls, line and paragraph separators, surrogates, and what XML cannot hold: they inject lines or cannot be stored.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_SEPARATORS = re.compile(r"[,\s]+")

_METHODS: dict[str, HttpMethod] = {"GET": "GET", "POST": "POST"}
_RECORD: dict[str, Literal["mono", "dual"] | None] = {
    "true": "mono",
    "false": None,
    "do-not-record": None,
    "record-from-answer": "mono",
    "record-from-answer-dual": "dual",
    "record-from-ringing": "mono",
    "record-from-ringing-dual": "dual",
}

_MAX_KEYS = 100
_KEYS = re.compile(r"[0-9*#]*\Z")
_TONES = re.compile(r"[0-9*#A-Da-dwW]+\Z")
_UPPER = str.maketrans("abcd", "ABCD")
_MAX_VOICE = 100  # characters
# As the reference names them. Of the two makers' names only the form is checked: they have new ones every month.
_VOICE = re.compile(r"(?i)(man|woman|male|female|alice|polly\.[a-z]+(-[a-z]+)*|google\.[a-z]{2,3}(-[a-z0-9]+)*)\Z")
_MAX_LANGUAGE = 35  # RFC 5646 §4.4.1
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*\Z")


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


def record(given: Given, report: Report) -> Literal["mono", "dual"] | None:
    """What to record; None also after a report. Ringing has no audio here: from ringing counts as from answer."""
    value = given.value
    if isinstance(value, bool):
        return "mono" if value else None
    known = isinstance(value, str) and value.lower() in _RECORD
    if not known or (not given.textual and value.lower() in ("true", "false")):
        report.add(Code.RECORD_INVALID, f"{given.name} must be true, false or one of {', '.join(_RECORD)}", given.place)
        return None
    return _RECORD[value.lower()]


def keys(given: Given, report: Report) -> str | None:
    """Keys of which each ends something, each once; -1 and nothing: none does. None after a report."""
    value = text(given, report, limit=_MAX_KEYS)
    if value is None or value == "-1":
        return None if value is None else ""
    if not _KEYS.match(value):
        report.add(Code.VALUE_INVALID, f"{given.name} may have 0-9, * and # only, or be empty", given.place)
        return None
    return "".join(dict.fromkeys(value))


def tones(given: Given, report: Report) -> str | None:
    """Keys to press, with w for half a second and W for a whole one. None after a report."""
    value = text(given, report, limit=_MAX_KEYS)
    if value is None:
        return None
    if not _TONES.match(value):
        detail = f"{given.name} must be of 0-9, *, #, A-D, w (half a second) and W (a second)"
        report.add(Code.VALUE_INVALID, detail, given.place)
        return None
    return value.replace("W", "ww").translate(_UPPER)


def language(given: Given, report: Report) -> str | None:
    """A language tag of BCP 47. None after a report."""
    value = text(given, report)
    if value is None:
        return None
    if len(value) > _MAX_LANGUAGE or not _LANGUAGE.match(value):
        report.add(Code.VALUE_INVALID, f"{given.name} must be a language tag such as en or en-GB", given.place)
        return None
    return value


def voice(given: Given, report: Report) -> str | None:
    """Who speaks; nothing means whoever speaks by default. None after a report, too."""
    value = text(given, report, limit=_MAX_VOICE)
    if not value:
        return None
    if not _VOICE.match(value):
        detail = (
            f"{given.name} must be man, woman, alice, Polly.<Name> or Google.<language tag>, not '{shown(value)}'; "
            "or leave it out"
        )
        report.add(Code.VALUE_INVALID, detail, given.place)
        return None
    return value


def word(given: Given, report: Report, known: Collection[str]) -> str | None:
    """One of `known`, in any case. None after a report."""
    value = text(given, report)
    if value is None:
        return None
    if value.lower() not in known:
        detail = f"{given.name} must be {' or '.join(known)}, not '{shown(value)}'"
        report.add(Code.VALUE_INVALID, detail, given.place)
        return None
    return value.lower()


def events(given: Given, report: Report) -> frozenset[Event] | None:
    """Names separated by comma or white space, or a JSON list of names; present but empty means completed."""
    names = words(given, report, list(Event))
    return None if names is None else frozenset(map(Event, names))


def words(given: Given, report: Report, known: Collection[str]) -> frozenset[str] | None:
    """Like `events`, of another vocabulary."""
    names = _names(given, report)
    if names is None:
        return None
    unknown = [name for name in names if name not in known]
    for name in unknown:
        detail = f"{given.name}: there is no event '{shown(name)}'; the events are {', '.join(known)}"
        report.add(Code.EVENT_UNKNOWN, detail, given.place)
    if unknown:
        return None
    return frozenset(names) or frozenset({"completed"})


def _names(given: Given, report: Report) -> list[str] | None:
    value = given.value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if not isinstance(value, str):
        report.add(Code.TYPE_INVALID, f"{given.name} must be a list of event names, or a string", given.place)
        return None
    return [name for name in _SEPARATORS.split(value) if name]
