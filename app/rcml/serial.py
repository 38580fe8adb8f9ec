"""A dial request to bytes and back for storage, passwords included: the caller seals them. Checks nothing again."""

import json
from typing import Any

from app.calls.callback import Callback
from app.calls.event import Event
from app.calls.uri import NameAddr, SipUri
from app.rcml.plan import Dial, DialRequest, Document, Target

_VERSION = 1  # of the format; rows of an older program are read as long as they are kept


def dumps(request: DialRequest) -> bytes:
    value = {
        "v": _VERSION,
        "dials": [_dial(dial) for dial in request.document.verbs],
        "callback": _callback(request.status_callback),
        "metadata": dict(request.metadata),
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def loads(stored: bytes) -> DialRequest:
    """The request that `dumps` was given; raises ValueError for anything else."""
    value = json.loads(stored)
    if not isinstance(value, dict) or value.get("v") != _VERSION:
        raise ValueError("not a stored dial request of this program")
    return DialRequest(
        Document(tuple(_dial_of(dial) for dial in value["dials"])),
        _callback_of(value["callback"]),
        value["metadata"],
    )


def _dial(dial: Dial) -> dict[str, Any]:
    caller = dial.caller_id
    return {
        "user": caller if isinstance(caller, str) else None,
        "name_addr": str(caller) if isinstance(caller, NameAddr) else None,
        "timeout": dial.timeout,
        "time_limit": dial.time_limit,
        "targets": [
            [str(target.uri), target.username, target.password, _callback(target.status_callback)]
            for target in dial.targets
        ],
    }


def _dial_of(value: dict[str, Any]) -> Dial:
    name_addr = value["name_addr"]
    return Dial(
        tuple(
            Target(SipUri.parse(uri), username, password, _callback_of(callback))
            for uri, username, password, callback in value["targets"]
        ),
        value["user"] if name_addr is None else NameAddr.parse(name_addr),
        value["timeout"],
        value["time_limit"],
    )


def _callback(callback: Callback | None) -> list[Any] | None:
    if callback is None:
        return None
    return [callback.url, callback.method, [event.value for event in Event if event in callback.events]]


def _callback_of(value: list[Any] | None) -> Callback | None:
    if value is None:
        return None
    url, method, events = value
    return Callback(url, method, frozenset(map(Event, events)))
