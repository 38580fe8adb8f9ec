"""Plan to RCML, to JSON and to storage, and back, for whatever plan is valid."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.address import AddressPolicy
from app.calls.callback import Callback
from app.calls.event import Event
from app.calls.uri import NameAddr, SipUri
from app.rcml import jsonform, parse, serial
from app.rcml.fields import Rules
from app.rcml.plan import (
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
    Where,
)
from app.rcml.render import to_json, to_rcml

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))

texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("&<>\"' ;%]")
)
escaped = st.sampled_from(["%20", "%C3%A9", "%26", "%3C", "%F0%9F%98%80"])
users = st.lists(st.sampled_from("abzAZ09-_.!~*'()&=+$,;?/") | escaped, min_size=1, max_size=20).map("".join)
labels = st.from_regex(r"[a-z_0-9]([a-z0-9_-]{0,8}[a-z0-9_])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
hosts = names | st.sampled_from(["1.1.1.1", "2606:4700::1111"])
values = st.lists(st.sampled_from("abZ09-_.!~*'()[]/:&+$".replace("&", "")) | escaped, max_size=8).map("".join)
parameters = st.lists(
    st.tuples(st.sampled_from(["transport"]), st.sampled_from(["udp", "TCP"]))
    | st.tuples(st.sampled_from(["user", "ttl", "lr", "x-p"]), st.none() | values.filter(bool)),
    unique_by=lambda pair: pair[0],
    max_size=3,
).map(tuple)
headers = st.lists(
    st.tuples(st.sampled_from(["X-A", "x-b", "Subject", "User-to-User", "%58-C"]), values), max_size=3
).map(tuple)
uris = st.builds(
    SipUri,
    st.just("sip"),
    hosts,
    st.none() | users,
    st.none(),
    st.none() | st.integers(1, 65_535),
    parameters,
    headers,
) | st.builds(
    SipUri,
    st.just("sip"),
    hosts,
    users.map(lambda user: user.replace("?", "")).filter(bool),
    values.map(lambda value: "".join(char for char in value if char not in "[]/:?")),
)
caller_uris = st.builds(SipUri, st.just("sip"), hosts, st.none() | users, st.none(), st.none() | st.integers(1, 65_535))
callers = st.none() | users | st.builds(NameAddr, caller_uris, st.none() | texts.filter(lambda text: len(text) <= 60))
urls = st.builds(
    lambda scheme, auth, host, path: f"{scheme}://{auth}{host}{path}",
    st.sampled_from(["http", "https"]),
    st.sampled_from(["", "u:p@", "u%40:%26&'@"]),
    names | st.just("[2606:4700::1111]:8443"),
    st.sampled_from(["", "/", "/a?b=1&c=2&amp;d=%3C", "/'*(x);y,z@", "?q", "//x", "/&lt"]),
)
methods = st.sampled_from(["GET", "POST"])
links = st.builds(Link, urls, methods)
maybe_links = st.none() | links
callbacks = st.builds(Callback, urls, methods, st.frozensets(st.sampled_from(Event), min_size=1))
recording_callbacks = st.none() | st.builds(
    RecordingCallback, links, st.frozensets(st.sampled_from(["in-progress", "completed", "absent"]), min_size=1)
)
credentials = st.tuples(st.none(), st.none()) | st.tuples(
    texts.filter(lambda text: 0 < len(text) <= 255), texts.filter(lambda text: len(text) <= 255)
)
targets = st.builds(
    lambda uri, pair, callback, screening: Target(uri, pair[0], pair[1], callback, screening),
    uris,
    credentials,
    st.none() | callbacks,
    st.none() | st.builds(Screening, links, st.integers(1, 600)),
)
dials = st.builds(
    Dial,
    st.lists(targets, min_size=1, max_size=3).map(tuple),
    callers,
    st.integers(1, 600),
    st.integers(1, 86_400),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "mono", "dual"]),
    recording_callbacks,
    maybe_links,
)
spoken = texts.map(lambda text: " ".join(text.split())).filter(bool)
languages = st.sampled_from(["en", "en-GB", "zh-Hans-CN", "de-1996"])
loops = st.integers(0, 1_000)
voices = st.sampled_from(["man", "Alice", "Polly.Amy", "polly.Joanna-Neural", "Google.en-GB-Standard-A"])
says = st.builds(Say, spoken, st.none() | voices, st.none() | languages, loops)
plays = st.builds(Play, urls, loops) | st.builds(
    Play, st.none(), loops, st.text("0123456789*#ABCDw", min_size=1, max_size=20)
)
pauses = st.builds(Pause, st.integers(1, 3_600))
keys = st.lists(st.sampled_from("0123456789*#"), unique=True).map("".join)
gathers = st.builds(
    Gather,
    st.lists(says | plays | pauses, max_size=3).map(tuple),
    maybe_links,
    st.integers(1, 600),
    keys,
    st.none() | st.integers(1, 1_000),
    st.booleans(),
)
records = st.builds(
    Record, maybe_links, st.integers(0, 600), keys, st.integers(1, 86_400), st.booleans(), recording_callbacks
)
others = st.builds(Redirect, links) | st.just(Hangup()) | st.builds(Reject, st.sampled_from(["rejected", "busy"]))
verbs = dials | says | plays | pauses | gathers | records | others
documents = st.lists(verbs, max_size=4).map(lambda found: Document(tuple(found)))
orders = st.builds(
    lambda uri, from_, timeout, pair: CallerOrder(uri, from_, timeout, *pair),
    uris,
    callers,
    st.integers(1, 600),
    credentials,
)
metadata = st.dictionaries(
    texts.filter(lambda text: len(text) < 40), texts.filter(lambda text: len(text) < 40), max_size=4
)
requests = st.builds(DialRequest, documents, st.none() | callbacks, metadata, st.none() | orders)
single = st.builds(
    DialRequest, dials.map(lambda dial: Document((dial,))), st.none() | callbacks, metadata, st.none() | orders
)


def read(document: Document, encoding: str = "utf-8", *, masked: bool = False) -> Document:
    return parse.document(to_rcml(document, masked=masked).encode(encoding), RULES, where=Where.INBOUND)


@given(documents)
@settings(max_examples=200, deadline=None)
def test_plan_to_rcml_to_plan(document: Document) -> None:
    assert read(document) == document


@given(documents)
@settings(max_examples=50, deadline=None)
def test_rcml_means_the_same_in_every_encoding(document: Document) -> None:
    assert read(document, "utf-16") == document


@given(single)
@settings(max_examples=150, deadline=None)
def test_plan_to_json_to_plan(request: DialRequest) -> None:
    assert jsonform.parse(json.dumps(to_json(request)).encode(), RULES) == request


@given(requests)
@settings(max_examples=200, deadline=None)
def test_plan_to_storage_to_plan(request: DialRequest) -> None:
    assert serial.loads(serial.dumps(request)) == request
    assert serial.loads_document(serial.dumps_document(request.document)) == request.document


@given(documents)
@settings(max_examples=50, deadline=None)
def test_masked_rcml_is_still_rcml(document: Document) -> None:
    assert len(read(document, masked=True).verbs) == len(document.verbs)


def test_a_row_of_the_first_format_is_read() -> None:
    row = {
        "v": 1,
        "dials": [
            {
                "user": "b%C3%B6b",
                "name_addr": None,
                "timeout": 20,
                "time_limit": 60,
                "targets": [["sip:a@h?X-A=1", "u", "p", ["https://h.example/", "GET", ["completed"]]]],
            },
            {
                "user": None,
                "name_addr": '"Bob" <sip:bob@h>',
                "timeout": 30,
                "time_limit": 14_400,
                "targets": [["sip:a@h", None, None, None]],
            },
        ],
        "callback": ["https://h.example/", "POST", ["initiated", "completed"]],
        "metadata": {"a": "b"},
    }
    callback = Callback("https://h.example/", "GET", frozenset({Event.COMPLETED}))
    first = Dial((Target(SipUri.parse("sip:a@h?X-A=1"), "u", "p", callback),), "b%C3%B6b", 20, 60)
    second = Dial((Target(SipUri.parse("sip:a@h")),), NameAddr.parse('"Bob" <sip:bob@h>'))
    whole = Callback("https://h.example/", "POST", frozenset({Event.INITIATED, Event.COMPLETED}))
    assert serial.loads(json.dumps(row).encode()) == DialRequest(Document((first, second)), whole, {"a": "b"})


@pytest.mark.parametrize("stored", [b"", b"[]", b"null", b"{}", b'{"v":3,"verbs":[]}', b"\xff"])
def test_what_was_not_stored_by_this_program_is_a_value_error(stored: bytes) -> None:
    for load in (serial.loads, serial.loads_document):
        with pytest.raises(ValueError):
            load(stored)
    with pytest.raises(ValueError):
        serial.loads_document(serial.dumps(DialRequest(Document(()))))


def test_nothing_secret_is_left_in_what_is_masked() -> None:
    link = Link("https://x:hunter1@h.example/a")
    target = Target(
        SipUri.parse("sip:a:hunter2@h.example"),
        "u",
        "hunter3",
        Callback("https://x:hunter4@h.example/"),
        Screening(link),
    )
    dial = Dial((target,), record="dual", recording_callback=RecordingCallback(link), action=link)
    document = Document(
        (
            dial,
            Play(link.url),
            Gather((Play(link.url),), link),
            Record(link, recording_callback=RecordingCallback(link)),
            Redirect(link),
        )
    )
    shown = to_rcml(document, masked=True)
    assert "hunter" not in shown and shown.count("https://***:***@h.example/a") == 9
    assert to_rcml(document).count("hunter") == 12
    caller = CallerOrder(SipUri.parse("sip:b:hunter5@h.example"), username="b", password="hunter6")
    request = DialRequest(Document((dial,)), Callback("https://x:hunter7@h.example/"), caller=caller)
    assert "hunter" not in json.dumps(to_json(request, masked=True))
    assert json.dumps(to_json(request)).count("hunter") == 9


@pytest.mark.parametrize("verbs", [(), (Hangup(),), "two", "dial and more"])
def test_json_says_one_dial_and_nothing_else(verbs: tuple[Verb, ...] | str) -> None:
    dial = Dial((Target(SipUri.parse("sip:a@h.example")),))
    more: dict[str, tuple[Verb, ...]] = {"two": (dial, dial), "dial and more": (dial, Hangup())}
    assert to_json(DialRequest(Document(more[verbs] if isinstance(verbs, str) else verbs))) is None
