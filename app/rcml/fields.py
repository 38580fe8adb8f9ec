"""Which attributes a dial request, a <Dial> and a <Sip> have, and what becomes of each. Knows no notation.

RCML, JSON and the query all hand over the same `Fields`, so one rule has one home.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from app.calls.address import AddressPolicy
from app.calls.callback import Callback
from app.calls.event import ALL_EVENTS
from app.calls.uri import SipUri
from app.rcml import target as targets
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.plan import DEFAULT_TIME_LIMIT, DEFAULT_TIMEOUT, MAX_TARGETS, Dial, Target
from app.rcml.report import Fields, Given, Place, Report, shown
from app.rcml.url import UrlRule

MAX_CREDENTIAL = 255  # characters of a username or a password

# What a document may not name on any element: it exists elsewhere, and is not done here.
_NOT_SUPPORTED = frozenset({"ringTone", "sequential", "trim", "referUrl"})
_RECORDING_EVENTS = ("in-progress", "completed", "absent")


@dataclass(frozen=True, slots=True)
class Rules:
    """The addresses that a request may name."""

    sip: AddressPolicy
    http: AddressPolicy


@dataclass(slots=True)
class Check:
    """One request being checked: its rules, what relative URLs resolve against, and what was found so far."""

    rules: Rules
    base_url: str | None = None
    report: Report = field(default_factory=Report)

    def url(self, given: Given) -> str | None:
        return UrlRule(self.rules.http, self.base_url).absolute(given, self.report)

    def sip_uri(self, given: Given) -> SipUri | None:
        return targets.target(given, self.report, self.rules.sip)

    def integer(self, given: Given | None, low: int, high: int, default: int) -> int:
        return default if given is None else (values.integer(given, self.report, low, high) or default)


Validator = Callable[[Check, Given], object]


def _url(check: Check, given: Given) -> object:
    return check.url(given)


def _method(check: Check, given: Given) -> object:
    return values.method(given, check.report)


def _seconds(check: Check, given: Given) -> object:
    return values.integer(given, check.report, 1, 600)


def _credential(check: Check, given: Given) -> object:
    return values.text(given, check.report, limit=MAX_CREDENTIAL)


def _recording_events(check: Check, given: Given) -> object:
    return values.words(given, check.report, _RECORDING_EVENTS)


# Attributes that exist and are not done yet: their values are checked all the same, so that a wrong one is told today.
_YET_OF_REQUEST: Mapping[str, Validator] = {
    "caller": lambda check, given: check.sip_uri(given),
    "from": lambda check, given: targets.caller_id(given, check.report),
    "callerTimeout": _seconds,
    "callerUsername": _credential,
    "callerPassword": _credential,
}
_YET_OF_DIAL: Mapping[str, Validator] = {
    "action": _url,
    "method": _method,
    "recordingStatusCallback": _url,
    "recordingStatusCallbackMethod": _method,
    "recordingStatusCallbackEvent": _recording_events,
}
_YET_OF_SIP: Mapping[str, Validator] = {"url": _url, "method": _method, "timeout": _seconds}

# Attributes of which only the value that changes nothing is done yet.
_ONLY_DEFAULT: Mapping[str, tuple[Callable[[Given, Report], bool | None], bool]] = {
    "hangupOnStar": (values.boolean, False),
    "record": (values.record, False),
    "answerOnBridge": (values.boolean, True),
}

_STATUS_CALLBACK = ("statusCallback", "statusCallbackMethod", "statusCallbackEvent")
OF_REQUEST = frozenset({"baseUrl", "metadata", *_STATUS_CALLBACK, *_YET_OF_REQUEST})
OF_DIAL = frozenset({"callerId", "timeout", "timeLimit", *_YET_OF_DIAL, *_ONLY_DEFAULT})
OF_SIP = frozenset({"username", "password", *_STATUS_CALLBACK, *_YET_OF_SIP})


def known(fields: Fields, names: Collection[str], check: Check, unknown: Code) -> None:
    """Reports every field that is not among `names`."""
    if all(name in names for name in fields):
        return
    folded = {name.lower(): name for name in names}
    for name, given in fields.items():
        if name in names:
            continue
        if name in _NOT_SUPPORTED:
            if given.value is not None:
                check.report.add(Code.NOT_SUPPORTED, f"{given.name} is not supported; leave it out", given.place)
            continue
        meant = folded.get(name.lower())
        hint = f"did you mean {meant}?" if meant else "correct or remove it"
        check.report.add(unknown, f"{given.name} does not exist; {hint}", given.place)


def base_url(fields: Fields, check: Check) -> None:
    """Takes baseUrl into `check` for the URLs that follow."""
    given = fields.get("baseUrl")
    if given is not None:
        # Its address is looked at when a URL is resolved against it.
        check.base_url = UrlRule(None).absolute(given, check.report)


def dial(fields: Fields, of: tuple[Target, ...], check: Check) -> Dial:
    """A <Dial> from its attributes; what is wrong is in the report, and the value is then of no use."""
    _not_yet(fields, _YET_OF_DIAL, check)
    _only_default(fields, check)
    given = fields.get("callerId")
    return Dial(
        of,
        caller_id=None if given is None else targets.caller_id(given, check.report),
        timeout=check.integer(fields.get("timeout"), 1, 600, DEFAULT_TIMEOUT),
        time_limit=check.integer(fields.get("timeLimit"), 1, 86_400, DEFAULT_TIME_LIMIT),
    )


def count(number: int, name: str, place: Place, check: Check) -> None:
    """One to ten targets."""
    if number == 0:
        check.report.add(Code.DIAL_EMPTY, f"{name} has no target; give it one to {MAX_TARGETS}", place)
    elif number > MAX_TARGETS:
        detail = f"{name} has {number} targets; at most {MAX_TARGETS} ring at once"
        check.report.add(Code.TOO_MANY_TARGETS, detail, place)


def sip(fields: Fields, uri: Given | None, check: Check) -> Target | None:
    """A <Sip> from its attributes and its text; None after a report about its URI."""
    parsed = None if uri is None else check.sip_uri(uri)
    _not_yet(fields, _YET_OF_SIP, check)
    username, password = (_text(fields, name, check) for name in ("username", "password"))
    if "password" in fields and "username" not in fields:
        detail = f"{fields['password'].name} needs username too; give both, or leave it out"
        check.report.add(Code.CREDENTIALS_INCOMPLETE, detail, fields["password"].place)
    callback = status_callback(fields, check)
    return None if parsed is None else Target(parsed, username, password, callback)


def status_callback(fields: Fields, check: Check) -> Callback | None:
    """The three statusCallback fields as one value; method and events mean nothing without a URL, and harm nobody."""
    given, method, event = (fields.get(name) for name in _STATUS_CALLBACK)
    verb = "POST" if method is None else values.method(method, check.report)
    events = ALL_EVENTS if event is None else values.events(event, check.report)
    url = None if given is None else check.url(given)
    return Callback(url, verb, events) if url and verb and events else None


def request_fields(fields: Fields, check: Check) -> None:
    """Reports the request-level fields that are not done yet."""
    _not_yet(fields, _YET_OF_REQUEST, check)


def nothing_to_do(check: Check, place: Place) -> None:
    detail = "the request dials nobody; add a <Dial> with a <Sip>, or `sip` in JSON"
    check.report.add(Code.NOTHING_TO_DO, detail, place)


def _text(fields: Fields, name: str, check: Check) -> str | None:
    given = fields.get(name)
    if given is None:
        return None
    value = values.text(given, check.report, limit=MAX_CREDENTIAL)
    if value == "" and name == "username":
        check.report.add(Code.CREDENTIALS_INCOMPLETE, f"{given.name} is empty; write it, or leave it out", given.place)
    return value


def _not_yet(fields: Fields, names: Mapping[str, Validator], check: Check) -> None:
    for name, validate in names.items():
        given = fields.get(name)
        if given is not None:
            validate(check, given)
            detail = f"{given.name} is not supported yet; leave it out"
            check.report.add(Code.NOT_SUPPORTED_YET, detail, given.place)


def _only_default(fields: Fields, check: Check) -> None:
    for name, (read, default) in _ONLY_DEFAULT.items():
        given = fields.get(name)
        if given is None:
            continue
        value = read(given, check.report)
        if value is not None and value is not default:
            only = "false" if default is False else "true"
            given_value = shown(str(given.value).lower())
            detail = f"{given.name} is not supported yet with the value {given_value}; use {only}"
            check.report.add(Code.NOT_SUPPORTED_YET, detail, given.place)
