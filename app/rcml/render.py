"""A dial request back to RCML and to JSON, with or without its passwords. The inverse of `parse` and `jsonform`."""

from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from app.calls.callback import Callback, masked
from app.calls.event import ALL_EVENTS, Event
from app.calls.uri import SipUri
from app.rcml.plan import DEFAULT_TIME_LIMIT, DEFAULT_TIMEOUT, Dial, DialRequest, Document, Target

MASK = "***"


def to_rcml(document: Document, *, masked: bool = False) -> str:
    """The document as RCML, defaults left out; `masked` hides passwords and the user information of URLs."""
    return "<Response>" + "".join(_dial(dial, masked) for dial in document.verbs) + "</Response>"


def to_json(request: DialRequest, *, masked: bool = False) -> dict[str, Any] | None:
    """The request as JSON, None when it has other than one Dial (JSON cannot say that)."""
    if len(request.document.verbs) != 1:
        return None
    (dial,) = request.document.verbs
    members: dict[str, Any] = {
        "callerId": None if dial.caller_id is None else str(dial.caller_id),
        "timeout": dial.timeout,
        "timeLimit": dial.time_limit,
        "sip": [_json_target(target, masked) for target in dial.targets],
        **_json_callback(request.status_callback, masked),
    }
    if request.metadata:
        members["metadata"] = dict(request.metadata)
    return {name: value for name, value in members.items() if value is not None}


def _dial(dial: Dial, hide: bool) -> str:
    attributes: dict[str, object] = {"callerId": dial.caller_id}
    if dial.timeout != DEFAULT_TIMEOUT:
        attributes["timeout"] = dial.timeout
    if dial.time_limit != DEFAULT_TIME_LIMIT:
        attributes["timeLimit"] = dial.time_limit
    return f"<Dial{_written(attributes)}>" + "".join(_sip(target, hide) for target in dial.targets) + "</Dial>"


def _sip(target: Target, hide: bool) -> str:
    attributes: dict[str, object] = {"username": target.username, "password": _password(target, hide)}
    callback = target.status_callback
    if callback is not None:
        attributes["statusCallback"] = _url(callback, hide)
        if callback.method != "POST":
            attributes["statusCallbackMethod"] = callback.method
        if callback.events != ALL_EVENTS:
            attributes["statusCallbackEvent"] = ",".join(_events(callback))
    return f"<Sip{_written(attributes)}>{escape(_uri(target.uri, hide))}</Sip>"


def _written(attributes: dict[str, object]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items() if value is not None)


def _json_target(target: Target, hide: bool) -> dict[str, Any]:
    members = {
        "uri": _uri(target.uri, hide),
        "username": target.username,
        "password": _password(target, hide),
        **_json_callback(target.status_callback, hide),
    }
    return {name: value for name, value in members.items() if value is not None}


def _json_callback(callback: Callback | None, hide: bool) -> dict[str, Any]:
    if callback is None:
        return {}
    return {
        "statusCallback": _url(callback, hide),
        "statusCallbackMethod": callback.method,
        "statusCallbackEvent": _events(callback),
    }


def _events(callback: Callback) -> list[str]:
    return [event.value for event in Event if event in callback.events]


def _url(callback: Callback, hide: bool) -> str:
    return masked(callback.url) if hide else callback.url


def _password(target: Target, hide: bool) -> str | None:
    return MASK if hide and target.password is not None else target.password


def _uri(uri: SipUri, hide: bool) -> str:
    if hide and uri.password is not None:
        uri = replace(uri, password=MASK)
    return str(uri)
