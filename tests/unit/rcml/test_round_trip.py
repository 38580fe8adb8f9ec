"""Plan to RCML, to JSON and to storage, and back, for whatever plan is valid."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.address import AddressPolicy
from app.calls.callback import Callback
from app.calls.event import Event
from app.calls.uri import NameAddr, SipUri
from app.rcml import jsonform, parse, serial
from app.rcml.fields import Rules
from app.rcml.plan import Dial, DialRequest, Document, Target
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
callbacks = st.builds(
    Callback,
    st.builds(
        lambda scheme, auth, host, path: f"{scheme}://{auth}{host}{path}",
        st.sampled_from(["http", "https"]),
        st.sampled_from(["", "u:p@", "u%40:%26&'@"]),
        names | st.just("[2606:4700::1111]:8443"),
        st.sampled_from(["", "/", "/a?b=1&c=2&amp;d=%3C", "/'*(x);y,z@", "?q", "//x", "/&lt"]),
    ),
    st.sampled_from(["GET", "POST"]),
    st.frozensets(st.sampled_from(Event), min_size=1),
)
credentials = st.tuples(st.none(), st.none()) | st.tuples(
    texts.filter(lambda text: 0 < len(text) <= 255), texts.filter(lambda text: len(text) <= 255)
)
targets = st.builds(
    lambda uri, pair, callback: Target(uri, pair[0], pair[1], callback), uris, credentials, st.none() | callbacks
)
dials = st.builds(
    Dial,
    st.lists(targets, min_size=1, max_size=3).map(tuple),
    callers,
    st.integers(1, 600),
    st.integers(1, 86_400),
)
documents = st.lists(dials, min_size=1, max_size=3).map(lambda verbs: Document(tuple(verbs)))
metadata = st.dictionaries(
    texts.filter(lambda text: len(text) < 40), texts.filter(lambda text: len(text) < 40), max_size=4
)
requests = st.builds(DialRequest, documents, st.none() | callbacks, metadata)
single = st.builds(DialRequest, dials.map(lambda dial: Document((dial,))), st.none() | callbacks, metadata)


@given(documents)
@settings(max_examples=150, deadline=None)
def test_plan_to_rcml_to_plan(document: Document) -> None:
    assert parse.parse(to_rcml(document).encode(), RULES).document == document


@given(documents)
@settings(max_examples=50, deadline=None)
def test_rcml_means_the_same_in_every_encoding(document: Document) -> None:
    assert parse.parse(to_rcml(document).encode("utf-16"), RULES).document == document


@given(single)
@settings(max_examples=150, deadline=None)
def test_plan_to_json_to_plan(request: DialRequest) -> None:
    assert jsonform.parse(json.dumps(to_json(request)).encode(), RULES) == request


@given(requests)
@settings(max_examples=150, deadline=None)
def test_plan_to_storage_to_plan(request: DialRequest) -> None:
    assert serial.loads(serial.dumps(request)) == request


@given(documents)
@settings(max_examples=50, deadline=None)
def test_masked_rcml_is_still_rcml(document: Document) -> None:
    parse.parse(to_rcml(document, masked=True).encode(), RULES)


def test_nothing_secret_is_left_in_what_is_masked() -> None:
    target = Target(SipUri.parse("sip:a:hunter1@h.example"), "u", "hunter2", Callback("https://x:hunter3@h.example/"))
    request = DialRequest(Document((Dial((target,)),)), Callback("https://x:hunter4@h.example/"))
    assert "hunter" not in to_rcml(request.document, masked=True)
    assert "hunter" not in json.dumps(to_json(request, masked=True))


def test_json_cannot_say_two_dials() -> None:
    dial = Dial((Target(SipUri.parse("sip:a@h.example")),))
    assert to_json(DialRequest(Document((dial, dial)))) is None
