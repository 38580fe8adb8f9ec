"""Which attributes a dial request, a <Dial> and a <Sip> have, and what becomes of each. Knows no notation.

RCML, JSON and the query all hand over the same `Fields`, so one rule has one home.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from app.calls.address import AddressPolicy
from app.calls.callback import Callback, HttpMethod
from app.calls.event import ALL_EVENTS
from app.calls.uri import SipUri
from app.rcml import target as targets
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.plan import (
    DEFAULT_CALLER_TIMEOUT,
    DEFAULT_SCREENING_TIMEOUT,
    DEFAULT_TIME_LIMIT,
    DEFAULT_TIMEOUT,
    MAX_TARGETS,
    CallerId,
    CallerOrder,
    Dial,
    Link,
    RecordingCallback,
    Screening,
    Target,
)
from app.rcml.report import Fields, Given, Place, Report, shown
from app.rcml.url import UrlRule

MAX_CREDENTIAL = 255  # characters of a username or a password

_STATUS_CALLBACK = ("statusCallback", "statusCallbackMethod", "statusCallbackEvent")
_CALLER = ("caller", "from", "callerTimeout", "callerUsername", "callerPassword")
_RECORDING_EVENTS = ("in-progress", "completed", "absent")
RECORDING_CALLBACK = ("recordingStatusCallback", "recordingStatusCallbackMethod", "recordingStatusCallbackEvent")

OF_REQUEST = frozenset({"baseUrl", "metadata", *_STATUS_CALLBACK, *_CALLER})
OF_DIAL = frozenset(
    {
        "callerId",
        "timeout",
        "timeLimit",
        "hangupOnStar",
        "answerOnBridge",
        "record",
        "action",
        "method",
        *RECORDING_CALLBACK,
    }
)
OF_SIP = frozenset({"username", "password", "url", "method", "timeout", *_STATUS_CALLBACK})

# What the reference has and the service does not do: the answer names it, rather than calling it unknown.
NOT_OF_DIAL = frozenset({"ringTone", "sequential", "trim", "referUrl", "referMethod", "recordingTrack"})
NOT_OF_SIP = frozenset(
    {
        "machineDetection",
        "machineDetectionTimeout",
        "machineDetectionSpeechThreshold",
        "machineDetectionSpeechEndThreshold",
        "machineDetectionSilenceTimeout",
        "amdStatusCallback",
        "amdStatusCallbackMethod",
        "sequential",
    }
)


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
    own_url: str | None = None  # a fetched document's: where <Gather> and <Record> without action go
    takes_base_url: bool = True  # whether the request may have baseUrl
    report: Report = field(default_factory=Report)

    def url(self, given: Given) -> str | None:
        rule = UrlRule(self.rules.http, self.base_url, hint=", or send baseUrl" if self.takes_base_url else "")
        return rule.absolute(given, self.report)

    def sip_uri(self, given: Given) -> SipUri | None:
        return targets.target(given, self.report, self.rules.sip)

    def integer(self, given: Given | None, low: int, high: int, default: int) -> int:
        found = None if given is None else values.integer(given, self.report, low, high)
        return default if found is None else found

    def boolean(self, given: Given | None, default: bool) -> bool:
        found = None if given is None else values.boolean(given, self.report)
        return default if found is None else found

    def method(self, given: Given | None) -> HttpMethod | None:
        """None after a report."""
        return "POST" if given is None else values.method(given, self.report)


def known(fields: Fields, names: Collection[str], check: Check, unknown: Code, refused: Collection[str] = ()) -> None:
    """Reports every field that is not among `names`; those of `refused` exist elsewhere, and are not done here."""
    if all(name in names for name in fields):
        return
    folded = {name.lower(): name for name in names}
    for name, given in fields.items():
        if name in names:
            continue
        if name in refused:
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


def caller(fields: Fields, check: Check) -> CallerOrder | None:
    """The first party; None when there is none, or after a report."""
    given = fields.get("caller")
    if given is None:
        for name in _CALLER:
            if name in fields:
                detail = f"{fields[name].name} needs `caller` too; give both, or leave it out"
                check.report.add(Code.NEEDS_CALLER, detail, fields[name].place)
    uri = None if given is None else check.sip_uri(given)
    from_ = _caller_id(fields, "from", check)
    timeout = check.integer(fields.get("callerTimeout"), 1, 600, DEFAULT_CALLER_TIMEOUT)
    username, password = _credentials(fields, "callerUsername", "callerPassword", check)
    return None if uri is None else CallerOrder(uri, from_, timeout, username, password)


def dial(fields: Fields, of: tuple[Target, ...], check: Check) -> Dial:
    """A <Dial> from its attributes; what is wrong is in the report, and the value is then of no use."""
    record = fields.get("record")
    return Dial(
        of,
        caller_id=_caller_id(fields, "callerId", check),
        timeout=check.integer(fields.get("timeout"), 1, 600, DEFAULT_TIMEOUT),
        time_limit=check.integer(fields.get("timeLimit"), 1, 86_400, DEFAULT_TIME_LIMIT),
        hangup_on_star=check.boolean(fields.get("hangupOnStar"), False),
        answer_on_bridge=check.boolean(fields.get("answerOnBridge"), True),
        record=None if record is None else values.record(record, check.report),
        recording_callback=recording_callback(fields, check),
        action=link(fields, "action", check),
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
    username, password = _credentials(fields, "username", "password", check)
    callback = status_callback(fields, check)
    screen = link(fields, "url", check)
    timeout = check.integer(fields.get("timeout"), 1, 600, DEFAULT_SCREENING_TIMEOUT)
    if parsed is None:
        return None
    return Target(parsed, username, password, callback, None if screen is None else Screening(screen, timeout))


def status_callback(fields: Fields, check: Check) -> Callback | None:
    """The three statusCallback fields as one value; method and events mean nothing without a URL, and harm nobody."""
    given, method, event = (fields.get(name) for name in _STATUS_CALLBACK)
    verb = check.method(method)
    events = ALL_EVENTS if event is None else values.events(event, check.report)
    url = None if given is None else check.url(given)
    return Callback(url, verb, events) if url and verb and events else None


def recording_callback(fields: Fields, check: Check) -> RecordingCallback | None:
    """The three recordingStatusCallback fields as one value, read as those of statusCallback are."""
    given, method, event = (fields.get(name) for name in RECORDING_CALLBACK)
    verb = check.method(method)
    events = frozenset({"completed"}) if event is None else values.words(event, check.report, _RECORDING_EVENTS)
    url = None if given is None else check.url(given)
    return RecordingCallback(Link(url, verb), events) if url and verb and events else None


def link(fields: Fields, name: str, check: Check, default: str | None = None) -> Link | None:
    """The URL `name` with `method`; `default` is the URL when there is none. None also after a report."""
    given = fields.get(name)
    method = check.method(fields.get("method"))
    url = default if given is None else check.url(given)
    return Link(url, method) if url and method else None


def nothing_to_do(check: Check, place: Place, *, has_caller: bool) -> None:
    remedy = "add a verb" if has_caller else "add a <Dial> with a <Sip>, or `sip` in JSON"
    what = "has nothing for its caller" if has_caller else "dials nobody"
    check.report.add(Code.NOTHING_TO_DO, f"the request {what}; {remedy}", place)


def _caller_id(fields: Fields, name: str, check: Check) -> CallerId | None:
    given = fields.get(name)
    return None if given is None else targets.caller_id(given, check.report)


def _credentials(fields: Fields, user: str, secret: str, check: Check) -> tuple[str | None, str | None]:
    username, password = (_credential(fields.get(name), check) for name in (user, secret))
    if username == "":
        detail = f"{fields[user].name} is empty; write it, or leave it out"
        check.report.add(Code.CREDENTIALS_INCOMPLETE, detail, fields[user].place)
    if secret in fields and user not in fields:
        detail = f"{fields[secret].name} needs {shown(user)} too; give both, or leave it out"
        check.report.add(Code.CREDENTIALS_INCOMPLETE, detail, fields[secret].place)
    return username, password


def _credential(given: Given | None, check: Check) -> str | None:
    return None if given is None else values.text(given, check.report, limit=MAX_CREDENTIAL)
