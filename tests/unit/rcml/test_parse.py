"""What RCML is read as, and where its problems are said to be."""

import json
from ipaddress import ip_network

import pytest

from app.calls.address import AddressPolicy
from app.calls.callback import Callback
from app.calls.errors import BadRequest, Problem
from app.calls.event import Event
from app.calls.uri import NameAddr, SipUri
from app.rcml.fields import Rules
from app.rcml.jsonform import parse as from_json
from app.rcml.parse import parse
from app.rcml.plan import (
    CallerOrder,
    Dial,
    DialRequest,
    Gather,
    Hangup,
    Link,
    Pause,
    RecordingCallback,
    Say,
    Screening,
    Target,
)
from app.rcml.query import pairs

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))


def read(body: str | bytes, query: str = "", charset: str | None = None) -> DialRequest:
    sent = body if isinstance(body, bytes) else body.encode()
    return parse(sent, RULES, charset=charset, query=pairs(query.encode()))


def only_target(text: str) -> Target:
    return only_dial(text).targets[0]


def only_dial(text: str | bytes, charset: str | None = None) -> Dial:
    (dial,) = read(text, charset=charset).document.verbs
    assert isinstance(dial, Dial)
    return dial


def problems(body: str) -> tuple[Problem, ...]:
    with pytest.raises(BadRequest) as caught:
        read(body)
    return caught.value.problems


def sip(uri: str) -> str:
    return f"<Response><Dial><Sip>{uri}</Sip></Dial></Response>"


def test_every_attribute_reaches_the_plan() -> None:
    request = read(
        """<?xml version="1.0" encoding="UTF-8"?>
        <Response><!-- a comment --><Dial callerId='"Bob" &lt;sip:bob@h>' timeout="60" timeLimit="86400"
            hangupOnStar="TRUE" record="record-from-ringing-dual" answerOnBridge="false"
            action="https://app.example/after" method="GET" recordingStatusCallback="https://app.example/rec"
            recordingStatusCallbackMethod="get" recordingStatusCallbackEvent="in-progress,completed"><?php a pi ?>
          <Sip username="alice" password="s&amp;cret" statusCallback="HTTPS://u:p@App.Example/e?a=1"
               url="https://app.example/screen" method="GET" timeout="20"
               statusCallbackMethod="get" statusCallbackEvent="ringing, completed
               answered">
            sip:alice@example.com:5080;transport=tcp?X-Order=42 </Sip>
        </Dial></Response>"""
    )
    callback = Callback(
        "https://u:p@app.example/e?a=1", "GET", frozenset({Event.RINGING, Event.COMPLETED, Event.ANSWERED})
    )
    screening = Screening(Link("https://app.example/screen", "GET"), 20)
    uri = SipUri.parse("sip:alice@example.com:5080;transport=tcp?X-Order=42")
    target = Target(uri, "alice", "s&cret", callback, screening)
    assert request.document.verbs == (
        Dial(
            (target,),
            NameAddr.parse('"Bob" <sip:bob@h>'),
            60,
            86_400,
            hangup_on_star=True,
            answer_on_bridge=False,
            record="dual",
            recording_callback=RecordingCallback(
                Link("https://app.example/rec", "GET"), frozenset({"in-progress", "completed"})
            ),
            action=Link("https://app.example/after", "GET"),
        ),
    )


def test_absent_attributes_have_the_contracts_defaults() -> None:
    dial = only_dial(sip("sip:alice@example.com"))
    assert dial == Dial((Target(SipUri.parse("sip:alice@example.com")),))
    assert (dial.timeout, dial.time_limit, dial.caller_id, dial.record) == (30, 14_400, None, None)
    assert (dial.hangup_on_star, dial.answer_on_bridge, dial.action) == (False, True, None)
    body = (
        '<Response><Dial method="GET" recordingStatusCallbackEvent=""><Sip timeout="9">sip:a@h</Sip></Dial></Response>'
    )
    assert only_dial(body) == Dial((Target(SipUri.parse("sip:a@h")),))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", "mono"),
        ("record-from-answer", "mono"),
        ("Record-From-Ringing", "mono"),
        ("record-from-answer-dual", "dual"),
        ("record-from-ringing-dual", "dual"),
        ("do-not-record", None),
        ("False", None),
    ],
)
def test_what_record_means(written: str, meant: str | None) -> None:
    assert only_dial(f'<Response><Dial record="{written}"><Sip>sip:a@h</Sip></Dial></Response>').record == meant


CALLER = (
    "caller=sip:bob@example.com;transport=tcp?X-A=1&from=%22Us%22%20%3Csip:us@h%3E&callerTimeout=20"
    "&callerUsername=bob&callerPassword=s%26cret"
)


def test_a_caller_comes_in_the_query_and_may_hear_every_verb() -> None:
    request = read("<Response><Say>Hello</Say><Gather/><Hangup/></Response>", CALLER)
    assert request.caller == CallerOrder(
        SipUri.parse("sip:bob@example.com;transport=tcp?X-A=1"), NameAddr.parse('"Us" <sip:us@h>'), 20, "bob", "s&cret"
    )
    assert request.document.verbs == (Say("Hello"), Gather(), Hangup())
    assert read(sip("sip:a@h"), "caller=sip:bob@h").caller == CallerOrder(SipUri.parse("sip:bob@h"))
    assert read(sip("sip:a@h")).caller is None


def test_json_says_the_same_of_the_caller() -> None:
    members = {
        "caller": "sip:bob@example.com;transport=tcp?X-A=1",
        "from": '"Us" <sip:us@h>',
        "callerTimeout": 20,
        "callerUsername": "bob",
        "callerPassword": "s&cret",
        "sip": "sip:a@h",
    }
    assert from_json(json.dumps(members).encode(), RULES) == read(sip("sip:a@h"), CALLER)


def test_without_a_caller_a_dial_may_stand_among_verbs_that_need_no_ear() -> None:
    found = read(f"<Response><Pause/>{sip('sip:a@h')[10:-11]}<Hangup/></Response>").document.verbs
    assert [type(verb) for verb in found] == [Pause, Dial, Hangup]


def test_events_that_are_present_but_empty_mean_completed() -> None:
    for value in ("", " ", ", ,"):
        body = (
            f'<Response><Dial><Sip statusCallback="https://a.example" statusCallbackEvent="{value}">'
            "sip:a@example.com</Sip></Dial></Response>"
        )
        callback = only_target(body).status_callback
        assert callback is not None and callback.events == {Event.COMPLETED}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sip:a@example.com?X-A=1&X-B=2", "sip:a@example.com?X-A=1&X-B=2"),
        ("sip:a@example.com?X-A=1&amp;X-B=2&X-C=3", "sip:a@example.com?X-A=1&X-B=2&X-C=3"),
        ("sip:a@example.com?X-A=1&#38;X-B=2&#x26;X-C=3", "sip:a@example.com?X-A=1&X-B=2&X-C=3"),
        ("<![CDATA[sip:a@example.com?X-A=1&X-B=2]]>", "sip:a@example.com?X-A=1&X-B=2"),
        ("sip:a@example.com?X-A=1<!-- & &x; -->&X-B=2", "sip:a@example.com?X-A=1&X-B=2"),
        ("sip:a@example.com?X-A=1&amp=2&lt=3", "sip:a@example.com?X-A=1&amp=2&lt=3"),
    ],
)
def test_a_raw_ampersand_is_data(written: str, meant: str) -> None:
    assert only_target(sip(written)).uri == SipUri.parse(meant)


def test_raw_ampersands_in_attributes_are_data() -> None:
    body = (
        '<Response><Dial><Sip statusCallback="https://a.example/?a=1&b=2&&c">sip:a@example.com</Sip></Dial></Response>'
    )
    callback = only_target(body).status_callback
    assert callback is not None and callback.url == "https://a.example/?a=1&b=2&&c"


def test_ten_thousand_raw_ampersands_are_data() -> None:
    (problem,) = problems(sip("&" * 10_000))
    assert problem.code == "too-long"


def test_places_are_those_of_the_text_as_sent() -> None:
    first, second, third = problems(
        '<Response>\n<Dial callerId="a&b&&c d"\n  timeout="é&" foo="1">\n  <Sip>\n\n   x&y&z</Sip></Dial></Response>'
    )[1:]
    assert (first.code, first.line, first.column) == ("integer-invalid", 3, 3)
    assert (second.code, second.line, second.column) == ("unknown-attribute", 3, 16)
    assert (third.code, third.line, third.column) == ("uri-invalid", 6, 4)


def test_the_place_of_a_syntax_error_is_that_of_the_text_as_sent() -> None:
    (plain,) = problems("<Response>\n<Dial a='xxxé' b=1/></Response>")
    (raw,) = problems("<Response>\n<Dial a='&&&é' b=1/></Response>")
    assert (plain.line, plain.column) == (raw.line, raw.column) == (2, 18)


def test_the_place_of_a_foreign_entity_is_its_ampersand() -> None:
    (problem,) = problems("<Response>\n & &amp; &nbsp;</Response>")
    assert (problem.code, problem.line, problem.column) == ("foreign-entity", 2, 10)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<Response><Dial callerId='é'><Sip>sip:a@example.com</Sip></Dial></Response>".encode(), None),
        ("<Response><Dial callerId='é'><Sip>sip:a@example.com</Sip></Dial></Response>".encode("utf-8-sig"), None),
        ("<Response><Dial callerId='é'><Sip>sip:a@example.com</Sip></Dial></Response>".encode("utf-16"), "utf-8"),
        ("<Response><Dial callerId='é'><Sip>sip:a@example.com</Sip></Dial></Response>".encode("latin-1"), "ISO-8859-1"),
        (
            "<?xml version='1.0' encoding='iso-8859-1'?><Response><Dial callerId='é'>"
            "<Sip>sip:a@example.com</Sip></Dial></Response>".encode("latin-1"),
            None,
        ),
        (
            "<?xml version='1.0' encoding='iso-8859-1'?><Response><Dial callerId='é'>"
            "<Sip>sip:a@example.com</Sip></Dial></Response>".encode(),
            "UTF-8",
        ),
        (
            b"\xfe\xff"
            + "<?xml version='1.0' encoding='UTF-16'?><Response><Dial callerId='é'>"
            "<Sip>sip:a@example.com</Sip></Dial></Response>".encode("utf-16-be"),
            None,
        ),
    ],
)
def test_mark_then_charset_then_declaration_name_the_encoding(body: bytes, charset: str | None) -> None:
    assert only_dial(body, charset).caller_id == "%C3%A9"


def test_several_dials_are_read_in_order() -> None:
    request = read(
        "<Response><Dial><Sip>sip:a@example.com</Sip></Dial>"
        "<Dial><Sip>sip:b@example.com</Sip><Sip>sip:c@example.com</Sip></Dial></Response>"
    )
    dials = [verb for verb in request.document.verbs if isinstance(verb, Dial)]
    assert [[target.uri.user for target in dial.targets] for dial in dials] == [["a"], ["b", "c"]]


def test_depth_16_is_read_and_a_problem_of_its_own() -> None:
    assert problems("<a>" * 16 + "</a>" * 16)[0].code == "wrong-root"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("bob", "bob"),
        ("+15551234567", "+15551234567"),
        ("#31#", "%2331%23"),
        ("b%C3%B6b", "b%C3%B6b"),
        ("böb", "b%C3%B6b"),
        ("50%", "50%25"),
        ("sip:bob@example.com", NameAddr(SipUri("sip", "example.com", "bob"))),
        ("&lt;sip:bob@example.com>", NameAddr(SipUri("sip", "example.com", "bob"))),
        ("Bob &lt;sip:bob@127.0.0.1>", NameAddr(SipUri("sip", "127.0.0.1", "bob"), "Bob")),
        ('"B \\" o" &lt;sip:bob@h;user=phone>'.replace('"', "&quot;"),
         NameAddr(SipUri("sip", "h", "bob", params=(("user", "phone"),)), 'B " o')),
    ],
)  # fmt: skip
def test_caller_ids(written: str, meant: object) -> None:
    body = f'<Response><Dial callerId="{written}"><Sip>sip:a@example.com</Sip></Dial></Response>'
    assert only_dial(body).caller_id == meant


def test_request_level_fields_come_in_the_query() -> None:
    query = (
        "baseUrl=https%3A%2F%2Fapp.example%2Fa%2F&statusCallback=done&statusCallbackMethod=GET"
        "&statusCallbackEvent=initiated&statusCallbackEvent=completed&metadata=%7B%22order%22%3A%22%C3%A9%22%7D"
    )
    request = read(sip("sip:a@example.com"), query)
    assert request.status_callback == Callback(
        "https://app.example/a/done", "GET", frozenset({Event.INITIATED, Event.COMPLETED})
    )
    assert request.metadata == {"order": "é"}


def test_a_refused_address_names_the_setting_that_allows_it() -> None:
    body = '<Response><Dial><Sip statusCallback="http://127.0.0.1:9/">sip:a@127.0.0.1</Sip></Dial></Response>'
    assert [problem.detail.partition("; ")[2].split()[0] for problem in problems(body)] == [
        "DIAL_HTTP_ALLOW",
        "DIAL_SIP_ALLOW",
    ]
    loopback = (ip_network("127.0.0.0/8"),)
    allowed = Rules(AddressPolicy("DIAL_SIP_ALLOW", loopback), AddressPolicy("DIAL_HTTP_ALLOW", loopback))
    assert parse(body.encode(), allowed).document.verbs


@pytest.mark.parametrize(
    "header",
    ["User-to-User", "P-Asserted-Identity", "Remote-Party-ID", "Diversion", "Subject", "s", "X-Order", "Foo", "d"],
)
def test_headers_that_pass(header: str) -> None:
    uri = only_target(sip(f"sip:a@example.com?{header}=1&{header}=2%20%C3%A9")).uri
    assert uri.decoded_headers() == ((header, "1"), (header, "2 é"))


def test_the_limits_of_the_uri_are_exact() -> None:
    longest = "sip:" + "a" * (254 - len("sip:@example.com")) + "@example.com"
    headers = "X-A=" + "b" * 1_019
    assert str(only_target(sip(f"{longest}?{headers}")).uri) == f"{longest}?{headers}"


def test_an_international_url_becomes_ascii() -> None:
    body = (
        '<Response><Dial><Sip statusCallback="https://bücher.example/é?ü=1">sip:a@example.com</Sip></Dial></Response>'
    )
    callback = only_target(body).status_callback
    assert callback is not None and callback.url == "https://xn--bcher-kva.example/%C3%A9?%C3%BC=1"


def test_no_more_than_a_hundred_problems_are_listed() -> None:
    found = problems("<Response>" + "<a/>" * 4_000 + "</Response>")
    assert len(found) == 101 and found[-1].code == "too-many-problems"


def test_a_password_is_in_no_detail() -> None:
    for body in (
        sip("sip:alice:hunter2@127.0.0.1"),
        '<Response><Dial><Sip username="u&#10;" password="hunter2">sip:a@example.com</Sip></Dial></Response>',
        '<Response><Dial><Sip statusCallback="https://u:hunter2@10.0.0.1/">sip:a@example.com</Sip></Dial></Response>',
        '<Response><Dial><Sip statusCallback="https://u:hunter2@a b/">sip:a@example.com</Sip></Dial></Response>',
    ):
        assert "hunter2" not in str(problems(body))


def test_method_and_events_without_a_callback_are_checked_and_mean_nothing() -> None:
    attributes = 'statusCallbackMethod="GET" statusCallbackEvent=""'
    target = only_target(f"<Response><Dial><Sip {attributes}>sip:a@example.com</Sip></Dial></Response>")
    assert target.status_callback is None


def test_a_username_alone_has_an_empty_password() -> None:
    target = only_target('<Response><Dial><Sip username="alice">sip:a@example.com</Sip></Dial></Response>')
    assert (target.username, target.password) == ("alice", None)
