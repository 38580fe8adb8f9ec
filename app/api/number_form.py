"""The JSON of a number: the whole of a new one, or what is to change of one that exists. Stores nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.calls.callback import Callback
from app.calls.event import ALL_EVENTS
from app.calls.number import Number
from app.calls.sid import AccountSid
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.fields import Check, Rules, known
from app.rcml.jsontext import Members
from app.rcml.report import Fields, Given, Place, Report, shown

MAX_NUMBER = 255
MAX_NAME = 255
# What a caller's Request-URI can say before its @; who writes the whole address, or escapes, is told so.
_NUMBER = re.compile(r"(?!\.{1,2}\Z)[^\s@:<>\"\\%]{1,255}\Z")
_ROOT = Place("")
_URLS = ("url", "fallbackUrl", "statusCallback")
_METHODS = ("method", "fallbackMethod", "statusCallbackMethod")
_CHANGEABLE = (*_URLS, *_METHODS, "statusCallbackEvent", "friendlyName")
_FIELDS = {
    "url": "url",
    "method": "method",
    "fallbackUrl": "fallback_url",
    "fallbackMethod": "fallback_method",
    "friendlyName": "friendly_name",
}


@dataclass(frozen=True, slots=True)
class NumberForm:
    """The members that were sent, as values; null has become the default."""

    sent: Mapping[str, Any]

    def onto(self, standing: Number) -> Number:
        """What was not sent stays as it is."""
        plain = {field: self.sent[name] for name, field in _FIELDS.items() if name in self.sent}
        return replace(standing, **plain, status_callback=self._callback(standing.status_callback))

    def _callback(self, standing: Callback | None) -> Callback | None:
        """Method and events mean nothing without a URL, and harm nobody."""
        url = self.sent.get("statusCallback", standing.url if standing else None)
        method = self.sent.get("statusCallbackMethod", standing.method if standing else "POST")
        events = self.sent.get("statusCallbackEvent", standing.events if standing else ALL_EVENTS)
        return Callback(url, method, events) if url else None


def new_number(members: Members, account: AccountSid, allowed: Rules) -> Number:
    """Raises BadRequest with every problem."""
    check = Check(allowed, takes_base_url=False)
    given = _given(members, ("number", *_CHANGEABLE), check)
    for name in ("number", "url"):
        if name not in given or given[name].value is None:
            check.report.add(Code.FIELD_MISSING, f"`{name}` is missing; write it", _ROOT)
    number = _number(given.get("number"), check.report)
    form = _form(given, check, is_new=True)
    check.report.raise_if_any()
    now = datetime.now(UTC)  # until it is stored
    return form.onto(Number(number, account, "", "POST", now, now))


def changes(members: Members, allowed: Rules) -> NumberForm:
    """Raises BadRequest with every problem."""
    check = Check(allowed, takes_base_url=False)
    given = _given(members, _CHANGEABLE, check)
    if "url" in given and given["url"].value is None:
        check.report.add(
            Code.FIELD_MISSING, "`url` cannot be taken away; write another, or leave it out", _ROOT.child("url")
        )
    form = _form(given, check, is_new=False)
    check.report.raise_if_any()
    return form


def is_number(text: str) -> bool:
    """Whether there can be a number of that name."""
    return _NUMBER.match(text) is not None and values.forbidden_in(text) is None


def _given(members: Members, names: tuple[str, ...], check: Check) -> Fields:
    for name in members.repeated:
        detail = f"`{shown(name)}` is there more than once; give it once"
        check.report.add(Code.REPEATED_FIELD, detail, _ROOT.child(name))
    given = {name: Given(f"`{shown(name)}`", value, _ROOT.child(name)) for name, value in members.items()}
    known(given, names, check, Code.UNKNOWN_FIELD)
    return {name: value for name, value in given.items() if name in names}


def _form(given: Fields, check: Check, *, is_new: bool) -> NumberForm:
    sent: dict[str, Any] = {}
    for name in _URLS:
        if name in given:
            sent[name] = None if given[name].value is None else check.url(given[name])
    for name in _METHODS:
        if name in given:
            sent[name] = check.method(None if given[name].value is None else given[name])
    if (events := given.get("statusCallbackEvent")) is not None:
        sent["statusCallbackEvent"] = ALL_EVENTS if events.value is None else values.events(events, check.report)
    if (called := given.get("friendlyName")) is not None:
        sent["friendlyName"] = None if called.value is None else values.text(called, check.report, limit=MAX_NAME)
    if not given and not is_new and not check.report.found:
        check.report.add(Code.NOTHING_TO_DO, f"the object changes nothing; send one of {', '.join(_CHANGEABLE)}", _ROOT)
    return NumberForm(sent)


def _number(given: Given | None, report: Report) -> str:
    if given is None or given.value is None:
        return ""
    text = values.text(given, report, limit=MAX_NUMBER)
    if text is not None and not is_number(text):
        detail = (
            f"{given.name} must be the user part of a SIP address, unescaped: +4930123456, not sip:+4930123456@host"
        )
        report.add(Code.NUMBER_INVALID, detail, given.place)
    return text or ""
