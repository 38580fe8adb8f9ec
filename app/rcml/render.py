"""A dial request back to RCML and to JSON, with or without its passwords. The inverse of `parse` and `jsonform`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from app.calls.callback import Callback, masked
from app.calls.event import ALL_EVENTS, Event
from app.calls.uri import SipUri
from app.rcml.plan import (
    DEFAULT_SCREENING_TIMEOUT,
    Dial,
    DialRequest,
    Document,
    Gather,
    Hangup,
    Link,
    Pause,
    Play,
    Record,
    RecordingCallback,
    Redirect,
    Reject,
    Say,
    Target,
    Verb,
)

MASK = "***"
_DUAL = "record-from-answer-dual"

_Attributes = dict[str, object]


def to_rcml(document: Document, *, masked: bool = False) -> str:
    """The document as RCML, defaults left out; `masked` hides passwords and the user information of URLs."""
    return "<Response>" + _all(document.verbs, masked) + "</Response>"


def to_json(request: DialRequest, *, masked: bool = False) -> dict[str, Any] | None:
    """The request as JSON, None when it is other than one Dial (JSON cannot say that)."""
    verbs = request.document.verbs
    if len(verbs) != 1 or not isinstance(verbs[0], Dial):
        return None
    dial, caller = verbs[0], request.caller
    members: dict[str, Any] = {}
    if caller is not None:
        members |= {
            "caller": _uri(caller.uri, masked),
            "from": None if caller.from_ is None else str(caller.from_),
            "callerTimeout": caller.timeout,
            "callerUsername": caller.username,
            "callerPassword": _secret(caller.password, masked),
        }
    members |= {
        **_of_dial(dial, masked),
        "timeout": dial.timeout,
        "timeLimit": dial.time_limit,
        **_json_recording(dial.recording_callback, masked),
        "sip": [_json_target(target, masked) for target in dial.targets],
        **_json_callback(request.status_callback, masked),
    }
    if dial.record is not None:
        members["record"] = True if dial.record == "mono" else _DUAL
    if request.metadata:
        members["metadata"] = dict(request.metadata)
    return {name: value for name, value in members.items() if value is not None}


def _all(verbs: Sequence[Verb], hide: bool) -> str:
    return "".join(_verb(verb, hide) for verb in verbs)


def _verb(verb: Verb, hide: bool) -> str:
    """One verb; what has its default is left out, for then it means the same."""
    match verb:
        case Dial():
            return _element("Dial", _dial(verb, hide), "".join(_sip(target, hide) for target in verb.targets))
        case Gather():
            return _element("Gather", _gather(verb, hide), _all(verb.prompts, hide))
        case Record():
            return _element("Record", _record(verb, hide))
        case Say():
            attributes: _Attributes = {"voice": verb.voice, "language": verb.language, "loop": _but(1, verb.loop)}
            return _element("Say", attributes, escape(verb.text))
        case Play():
            text = "" if verb.url is None else _url(verb.url, hide)
            return _element("Play", {"loop": _but(1, verb.loop), "digits": verb.digits}, escape(text))
        case Pause():
            return _element("Pause", {"length": _but(1, verb.length)})
        case Redirect():
            return _element("Redirect", {"method": _but("POST", verb.link.method)}, escape(_url(verb.link.url, hide)))
        case Hangup():
            return _element("Hangup", {})
        case Reject():
            return _element("Reject", {"reason": _but("rejected", verb.reason)})


def _dial(dial: Dial, hide: bool) -> _Attributes:
    default = Dial(())
    return {
        **_of_dial(dial, hide),
        "timeout": _but(default.timeout, dial.timeout),
        "timeLimit": _but(default.time_limit, dial.time_limit),
        "record": {None: None, "mono": True, "dual": _DUAL}[dial.record],
        **_recording(dial.recording_callback, hide),
    }


def _of_dial(dial: Dial, hide: bool) -> _Attributes:
    """What both notations write alike."""
    return {
        "callerId": None if dial.caller_id is None else str(dial.caller_id),
        "hangupOnStar": _but(False, dial.hangup_on_star),
        "answerOnBridge": _but(True, dial.answer_on_bridge),
        **_link("action", dial.action, hide),
    }


def _gather(gather: Gather, hide: bool) -> _Attributes:
    default = Gather()
    return {
        **_link("action", gather.action, hide),
        "timeout": _but(default.timeout, gather.timeout),
        "finishOnKey": _but(default.finish_on_key, gather.finish_on_key),
        "numDigits": gather.num_digits,
        "actionOnEmptyResult": _but(False, gather.action_on_empty_result),
    }


def _record(record: Record, hide: bool) -> _Attributes:
    default = Record()
    return {
        **_link("action", record.action, hide),
        "timeout": _but(default.timeout, record.timeout),
        "finishOnKey": _but(default.finish_on_key, record.finish_on_key),
        "maxLength": _but(default.max_length, record.max_length),
        "playBeep": _but(True, record.play_beep),
        **_recording(record.recording_callback, hide),
    }


def _sip(target: Target, hide: bool) -> str:
    attributes: _Attributes = _of_target(target, hide)
    callback = target.status_callback
    if callback is not None:
        attributes["statusCallback"] = _url(callback.url, hide)
        attributes["statusCallbackMethod"] = _but("POST", callback.method)
        if callback.events != ALL_EVENTS:
            attributes["statusCallbackEvent"] = ",".join(_events(callback))
    return _element("Sip", attributes, escape(_uri(target.uri, hide)))


def _of_target(target: Target, hide: bool) -> _Attributes:
    """What both notations write alike."""
    screening = target.screening
    return {
        "username": target.username,
        "password": _secret(target.password, hide),
        **_link("url", None if screening is None else screening.link, hide),
        "timeout": None if screening is None else _but(DEFAULT_SCREENING_TIMEOUT, screening.timeout),
    }


def _element(name: str, attributes: _Attributes, content: str = "") -> str:
    written = "".join(
        f" {key}={quoteattr(str(value).lower() if isinstance(value, bool) else str(value))}"
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _but(default: object, value: object) -> object:
    """The value; None, which is not written, when it is the default."""
    return None if value == default else value


def _link(name: str, link: Link | None, hide: bool) -> _Attributes:
    return {} if link is None else {name: _url(link.url, hide), "method": _but("POST", link.method)}


def _recording(callback: RecordingCallback | None, hide: bool) -> _Attributes:
    if callback is None:
        return {}
    return {
        "recordingStatusCallback": _url(callback.link.url, hide),
        "recordingStatusCallbackMethod": _but("POST", callback.link.method),
        "recordingStatusCallbackEvent": _but("completed", ",".join(sorted(callback.events))),
    }


def _json_recording(callback: RecordingCallback | None, hide: bool) -> dict[str, Any]:
    if callback is None:
        return {}
    return {
        "recordingStatusCallback": _url(callback.link.url, hide),
        "recordingStatusCallbackMethod": callback.link.method,
        "recordingStatusCallbackEvent": sorted(callback.events),
    }


def _json_target(target: Target, hide: bool) -> dict[str, Any]:
    members = {
        "uri": _uri(target.uri, hide),
        **_of_target(target, hide),
        **_json_callback(target.status_callback, hide),
    }
    return {name: value for name, value in members.items() if value is not None}


def _json_callback(callback: Callback | None, hide: bool) -> dict[str, Any]:
    if callback is None:
        return {}
    return {
        "statusCallback": _url(callback.url, hide),
        "statusCallbackMethod": callback.method,
        "statusCallbackEvent": _events(callback),
    }


def _events(callback: Callback) -> list[str]:
    return [event.value for event in Event if event in callback.events]


def _url(url: str, hide: bool) -> str:
    return masked(url) if hide else url


def _secret(secret: str | None, hide: bool) -> str | None:
    return MASK if hide and secret is not None else secret


def _uri(uri: SipUri, hide: bool) -> str:
    if hide and uri.password is not None:
        uri = replace(uri, password=MASK)
    return str(uri)
