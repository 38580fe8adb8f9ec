"""Whatever is sent, it is a plan or a BadRequest, soon: never another exception, never a long wait."""

import json
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.calls.address import AddressPolicy
from app.calls.errors import BadRequest
from app.rcml import jsonform, parse
from app.rcml.fields import OF_DIAL, OF_REQUEST, OF_SIP, Rules
from app.rcml.plan import Where
from app.rcml.query import pairs

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))
BODY = 64 * 1024

# After JSONTestSuite: what breaks parsers as a document breaks programs as a value.
NASTY = [
    "null", "true", "false", "0", "-0", "-1", "1.0", "1e3", "1E400", "-1e-400", "0.1", "1" * 400, "1" * 5_000,
    "123123e100000", "9223372036854775808", "-237462374673276894279832749832423479823246327846",
    '""', '" "', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\uffff"', '"\\u2028"',
    '"\\u0085"', '"\\u202e"', '"\\"', '"a\\r\\nb"', '"%00"', '"%0d%0a"', '"%"', '"' + "a" * 10_000 + '"', '"é"',
    '"\\/"', "[]", "[[]]", "[null]", '["x"]', "[1,true]", "{}", '{"":""}', '{"a":1}', '{"a":null}', '{"\\u0000":"x"}',
    '{"a":"b","a":"c"}', "[" * 12 + "]" * 12, '{"a":' * 12 + "1" + "}" * 12, "NaN", "Infinity", "-Infinity",
]  # fmt: skip


def outcome(read: Callable[[], object]) -> str:
    try:
        read()
    except BadRequest as error:
        assert error.status in (400, 415, 422)
        assert error.problems
        return error.problems[0].code
    return "plan"


@pytest.mark.parametrize("name", sorted(OF_REQUEST | OF_DIAL | OF_SIP | {"uri", "sip", "unknown"}))
def test_every_nasty_value_in_every_json_field(name: str) -> None:
    for value in NASTY:
        if name in OF_REQUEST | OF_DIAL | {"sip", "unknown"}:
            outcome(partial(jsonform.parse, f'{{"sip":"sip:a@h","{name}":{value}}}'.encode(), RULES))
        outcome(partial(jsonform.parse, f'{{"sip":[{{"uri":"sip:a@h","{name}":{value}}}]}}'.encode(), RULES))
        outcome(partial(jsonform.parse, value.encode(), RULES))


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b'<?xml version="1.0" encoding="')
@example(b"<Response><Dial><Sip>\xed\xa0\x80</Sip></Dial></Response>")
@settings(max_examples=300, deadline=None)
def test_any_bytes(body: bytes) -> None:
    for charset in (None, "utf-8", "iso-8859-1", "utf-16", "\x00", ""):
        outcome(partial(parse.parse, body, RULES, charset=charset))
    outcome(lambda: jsonform.parse(body, RULES))


PIECES = [
    "<Response>", "</Response>", "<Dial>", "<Dial timeout='30'>", "</Dial>", "<Sip>", "</Sip>", "sip:a@h", "&", "&amp;",
    "&#10;", "&#x110000;", "&x;", "<!--", "-->", "<![CDATA[", "]]>", "<?pi", "?>", "<!DOCTYPE a>", "<", ">", "'", '"',
    " a='1'", " xmlns='u'", " xmlns:p='u'", "<p:q/>", " p:a='1'", "\n", "\0", "\u2028", "é", "😀", "=", "/",
    "<?xml version='1.0'?>", "<Say>", "</Say>", "<Say loop='0'/>", "<Gather>", "</Gather>", "<Gather timeout='x'>",
    "<Play>", "</Play>", "<Play digits='1'/>", "<Record/>", "<Redirect>", "</Redirect>", "http://h/", "<Reject/>",
    "<Pause length='2'/>", "<Hangup/>", "<break/>", " voice='a'", " finishOnKey=''", " language='en'",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
@settings(max_examples=600, deadline=None)
def test_any_markup(text: str) -> None:
    outcome(lambda: parse.parse(text.encode(), RULES))
    outcome(lambda: parse.parse(text.encode("utf-16"), RULES))
    for where in Where:
        outcome(partial(parse.document, text.encode(), RULES, where=where, base_url="https://h/"))
        outcome(partial(parse.document, b"<Response>" + text.encode() + b"</Response>", RULES, where=where))


@given(st.binary(max_size=100), st.text(max_size=30))
@example(b"\0", "AUDIO/")
@settings(max_examples=200, deadline=None)
def test_any_answer_of_any_type(content: bytes, content_type: str) -> None:
    for kind in (None, content_type, f"text/xml; charset={content_type}"):
        outcome(
            partial(parse.document, content, RULES, where=Where.SCREENING, content_type=kind, base_url="https://h/")
        )


@given(st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_query(query: bytes) -> None:
    good = b"<Response><Dial><Sip>sip:a@h</Sip></Dial></Response>"
    outcome(lambda: parse.parse(good, RULES, query=pairs(query)))


def full(unit: str, start: str = "", end: str = "") -> bytes:
    room = BODY - len((start + end).encode())
    return (start + unit * (room // len(unit.encode())) + end).encode()


SIP = ("<Response><Dial><Sip>", "</Sip></Dial></Response>")
ATTRIBUTE = "<Response><Dial callerId='", "'><Sip>sip:a@h</Sip></Dial></Response>"
SAY = ("<Response><Say>", "</Say></Response>")
CALLBACK = "<Response><Dial><Sip statusCallback='", "'>sip:a@h</Sip></Dial></Response>"
LARGE = {
    "elements": full("<a/>", "<Response>", "</Response>"),
    "elements in Dial": full("<Sip/>", "<Response><Dial>", "</Dial></Response>"),
    "dials": full("<Dial><Sip>sip:h</Sip></Dial>", "<Response>", "</Response>"),
    "text": full("x", "<Response>", "</Response>"),
    "tails": full("x<a/>", "<Response>", "</Response>"),
    "lines": full("\n", "<Response>", "</Response>"),
    "comments": full("<!---->", "<Response>", "</Response>"),
    "sections": full("<![CDATA[]]>", *SIP),
    "attributes": ("<Response " + " ".join(f"a{n}=''" for n in range(7_000)) + "/>").encode(),
    "namespaces": ("<Response " + " ".join(f"xmlns:a{n}='u'" for n in range(3_500)) + "/>").encode(),
    **{
        f"{char} in Sip": full(char, *SIP)
        for char in ("&", "&amp;", "@", ":", ";", "?", "%41", " ", "é", '"', ";a=b", "?a=b&", "[")
    },
    **{f"{char} in callerId": full(char, *ATTRIBUTE) for char in ("&", "@", ' "', "&lt;", "\\", "%", " ", '"\\')},
    **{
        f"{char} in callerId, then <": full(char, ATTRIBUTE[0], "&lt;" + ATTRIBUTE[1])
        for char in (" ", '"', "a", '\\"')
    },
    **{
        f"{char} in statusCallback": full(char, CALLBACK[0] + "http://", CALLBACK[1])
        for char in ("&", "@", "/", ".", "%", "a", "é", "[", ":")
    },
    **{f"{char} in Say": full(char, *SAY) for char in (" ", "&", "é", "\u2028", "a", "a\n", "<b/>", "<break/>x")},
    **{
        f"{char} in {name}": full(char, f"<Response><{verb} {name}='", "'/></Response>")
        for verb, name, chars in (
            ("Say", "language", ("a", "-", "a-", "abcdefgh-")),
            ("Say", "voice", ("a", "&#10;")),
            ("Play", "digits", ("w", "W", "1", "é")),
            ("Gather", "finishOnKey", ("1", "1*#", "x")),
            ("Gather", "input", ("dtmf ", "speech ", " ", "x")),
            ("Gather", "timeout", ("9", "-")),
            ("Record", "recordingStatusCallbackEvent", ("x,", ", ", "completed ")),
        )
        for char in chars
    },
    **{
        f"verbs {verb[:40]}": full(verb, "<Response>", "</Response>")
        for verb in (
            "<Say/>",
            "<Say>a</Say>",
            "<Say><s/></Say>",
            "<Play/>",
            "<Play>http://h/</Play>",
            "<Gather/>",
            "<Pause/>",
            "<Gather><Say>a</Say></Gather>",
            "<Record trim=''/>",
            "<Redirect>a</Redirect>",
            "<Hangup/>",
            "<Reject/>",
            "<Sms/>",
            "<Gather hints='a' language='b' enhanced='c' speechModel='d'/>",
        )
    },
    "prompts": full("<Say>a</Say>", "<Response><Gather>", "</Gather></Response>"),
    "prompts that are none": full("<Dial/>", "<Response><Gather>", "</Gather></Response>"),
    "json objects": b'{"sip":[' + b"{}," * 20_000 + b"{}]}",
    "json strings": b'{"sip":[' + b'"",' * 20_000 + b'""]}',
    "json members": ("{" + ",".join(f'"a{n}":1' for n in range(6_000)) + "}").encode(),
    "json repeated": b"{" + b",".join([b'"a":1'] * 10_000) + b"}",
    "json quotes": full('"'),
    "json escapes": full("\\", '"', '"'),
    "json recording events": json.dumps({"sip": "sip:a@h", "recordingStatusCallbackEvent": ["x"] * 15_000}).encode(),
    "json events": json.dumps({"sip": "sip:a@h", "statusCallbackEvent": ["x"] * 15_000}).encode(),
    "json metadata": json.dumps({"sip": "sip:a@h", "metadata": {str(n): 1 for n in range(5_000)}}).encode(),
}


@pytest.mark.parametrize("name", LARGE)
def test_64_kib_of_anything_are_read_in_no_time(name: str) -> None:
    read = jsonform.parse if name.startswith("json") else partial(parse.document, where=Where.INBOUND)
    started = time.process_time()
    outcome(lambda: read(LARGE[name], RULES))
    if not name.startswith("json"):
        outcome(lambda: parse.parse(LARGE[name], RULES))
    assert time.process_time() - started < 2  # seconds of CPU: what is quadratic takes far longer
