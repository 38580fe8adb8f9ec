"""Plans to bytes and back for storage, passwords included: the caller seals them. Checks nothing again."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from app.calls.callback import Callback
from app.calls.event import Event
from app.calls.uri import NameAddr, SipUri
from app.rcml.plan import (
    CallerId,
    CallerOrder,
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
    Screening,
    Target,
    Verb,
)

_VERSION = 2  # of the format; rows of an older program are read as long as they are kept

_Value = dict[str, Any]


def dumps(request: DialRequest) -> bytes:
    return _bytes(
        {
            "v": _VERSION,
            "verbs": [_verb(verb) for verb in request.document.verbs],
            "callback": _callback(request.status_callback),
            "metadata": dict(request.metadata),
            "caller": None if request.caller is None else _caller(request.caller),
        }
    )


def loads(stored: bytes) -> DialRequest:
    """The request that `dumps` was given, this version's or an older one's; raises ValueError for anything else."""
    value = _value_of(stored)
    if value.get("v") == 1:
        verbs: list[Verb] = [_dial_of_1(dial) for dial in value["dials"]]
        return DialRequest(Document(tuple(verbs)), _callback_of(value["callback"]), value["metadata"])
    if value.get("v") != _VERSION:
        raise ValueError("not a stored dial request of this program")
    caller = value["caller"]
    return DialRequest(
        _document_of(value),
        _callback_of(value["callback"]),
        value["metadata"],
        None if caller is None else _caller_of(caller),
    )


def dumps_document(document: Document) -> bytes:
    """A document that replaces the one a call runs."""
    return _bytes({"v": _VERSION, "document": True, "verbs": [_verb(verb) for verb in document.verbs]})


def loads_document(stored: bytes) -> Document:
    """The document that `dumps_document` was given; raises ValueError for anything else."""
    value = _value_of(stored)
    if value.get("v") != _VERSION or "document" not in value:
        raise ValueError("not a stored document of this program")
    return _document_of(value)


def _bytes(value: _Value) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _value_of(stored: bytes) -> _Value:
    value = json.loads(stored)
    if not isinstance(value, dict):
        raise ValueError("not a stored plan")
    return value


def _document_of(value: _Value) -> Document:
    return Document(tuple(_READERS[verb["verb"]](verb) for verb in value["verbs"]))


def _verb(verb: Verb) -> _Value:
    match verb:
        case Dial():
            return {"verb": "Dial", **_dial(verb)}
        case Say():
            return {"verb": "Say", "text": verb.text, "voice": verb.voice, "language": verb.language, "loop": verb.loop}
        case Play():
            return {"verb": "Play", "url": verb.url, "loop": verb.loop, "digits": verb.digits}
        case Pause():
            return {"verb": "Pause", "length": verb.length}
        case Gather():
            return {"verb": "Gather", **_gather(verb)}
        case Record():
            return {"verb": "Record", **_record(verb)}
        case Redirect():
            return {"verb": "Redirect", "link": _link(verb.link)}
        case Hangup():
            return {"verb": "Hangup"}
        case Reject():
            return {"verb": "Reject", "reason": verb.reason}


def _dial(dial: Dial) -> _Value:
    return {
        "targets": [_target(target) for target in dial.targets],
        "caller_id": _caller_id(dial.caller_id),
        "timeout": dial.timeout,
        "time_limit": dial.time_limit,
        "hangup_on_star": dial.hangup_on_star,
        "answer_on_bridge": dial.answer_on_bridge,
        "record": dial.record,
        "recording_callback": _recording_callback(dial.recording_callback),
        "action": _link(dial.action),
    }


def _dial_of(value: _Value) -> Dial:
    return Dial(
        tuple(_target_of(target) for target in value["targets"]),
        _caller_id_of(value["caller_id"]),
        timeout=value["timeout"],
        time_limit=value["time_limit"],
        hangup_on_star=value["hangup_on_star"],
        answer_on_bridge=value["answer_on_bridge"],
        record=value["record"],
        recording_callback=_recording_callback_of(value["recording_callback"]),
        action=_link_of(value["action"]),
    )


def _dial_of_1(value: _Value) -> Dial:
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


def _target(target: Target) -> _Value:
    screening = target.screening
    return {
        "uri": str(target.uri),
        "username": target.username,
        "password": target.password,
        "callback": _callback(target.status_callback),
        "screening": None if screening is None else [_link(screening.link), screening.timeout],
    }


def _target_of(value: _Value) -> Target:
    screening = value["screening"]
    return Target(
        SipUri.parse(value["uri"]),
        value["username"],
        value["password"],
        _callback_of(value["callback"]),
        None if screening is None else Screening(Link(*screening[0]), screening[1]),
    )


def _gather(gather: Gather) -> _Value:
    return {
        "prompts": [_verb(prompt) for prompt in gather.prompts],
        "action": _link(gather.action),
        "timeout": gather.timeout,
        "finish_on_key": gather.finish_on_key,
        "num_digits": gather.num_digits,
        "action_on_empty_result": gather.action_on_empty_result,
    }


def _gather_of(value: _Value) -> Gather:
    return Gather(
        tuple(_PROMPTS[prompt["verb"]](prompt) for prompt in value["prompts"]),
        _link_of(value["action"]),
        value["timeout"],
        value["finish_on_key"],
        value["num_digits"],
        action_on_empty_result=value["action_on_empty_result"],
    )


def _record(record: Record) -> _Value:
    return {
        "action": _link(record.action),
        "timeout": record.timeout,
        "finish_on_key": record.finish_on_key,
        "max_length": record.max_length,
        "play_beep": record.play_beep,
        "recording_callback": _recording_callback(record.recording_callback),
    }


def _record_of(value: _Value) -> Record:
    return Record(
        _link_of(value["action"]),
        value["timeout"],
        value["finish_on_key"],
        value["max_length"],
        value["play_beep"],
        recording_callback=_recording_callback_of(value["recording_callback"]),
    )


_PROMPTS: Mapping[str, Callable[[_Value], Say | Play | Pause]] = {
    "Say": lambda value: Say(value["text"], value["voice"], value["language"], value["loop"]),
    "Play": lambda value: Play(value["url"], value["loop"], value["digits"]),
    "Pause": lambda value: Pause(value["length"]),
}
_READERS: Mapping[str, Callable[[_Value], Verb]] = {
    **_PROMPTS,
    "Dial": _dial_of,
    "Gather": _gather_of,
    "Record": _record_of,
    "Redirect": lambda value: Redirect(Link(*value["link"])),
    "Hangup": lambda value: Hangup(),
    "Reject": lambda value: Reject(value["reason"]),
}


def _caller(caller: CallerOrder) -> _Value:
    return {
        "uri": str(caller.uri),
        "from": _caller_id(caller.from_),
        "timeout": caller.timeout,
        "username": caller.username,
        "password": caller.password,
    }


def _caller_of(value: _Value) -> CallerOrder:
    uri, from_ = SipUri.parse(value["uri"]), _caller_id_of(value["from"])
    return CallerOrder(uri, from_, value["timeout"], value["username"], value["password"])


def _caller_id(caller: CallerId | None) -> _Value | None:
    if caller is None:
        return None
    return {"name_addr" if isinstance(caller, NameAddr) else "user": str(caller)}


def _caller_id_of(value: _Value | None) -> CallerId | None:
    if value is None:
        return None
    user: str | None = value.get("user")
    return NameAddr.parse(value["name_addr"]) if user is None else user


def _link(link: Link | None) -> list[str] | None:
    return None if link is None else [link.url, link.method]


def _link_of(value: list[Any] | None) -> Link | None:
    return None if value is None else Link(*value)


def _recording_callback(callback: RecordingCallback | None) -> list[Any] | None:
    return None if callback is None else [_link(callback.link), sorted(callback.events)]


def _recording_callback_of(value: list[Any] | None) -> RecordingCallback | None:
    return None if value is None else RecordingCallback(Link(*value[0]), frozenset(value[1]))


def _callback(callback: Callback | None) -> list[Any] | None:
    if callback is None:
        return None
    return [callback.url, callback.method, [event.value for event in Event if event in callback.events]]


def _callback_of(value: list[Any] | None) -> Callback | None:
    if value is None:
        return None
    url, method, events = value
    return Callback(url, method, frozenset(map(Event, events)))
