"""What the documents of live calls are read as: every verb, its defaults, and where it may stand."""

import time

import pytest

from app.calls.address import AddressPolicy
from app.calls.errors import BadRequest, Problem
from app.rcml.codes import EXPLAINED, Code
from app.rcml.fields import Rules
from app.rcml.parse import document
from app.rcml.plan import (
    ALL_KEYS,
    Dial,
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
    Verb,
    Where,
)
from tests.unit.rcml.bad_verbs import BAD_VERBS, Bad

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))
OWN = "https://u:p@app.example/voice/start.php?a=1"


def verbs(markup: str, where: Where = Where.INBOUND, base_url: str | None = None) -> tuple[Verb, ...]:
    body = f"<Response>{markup}</Response>".encode()
    return document(body, RULES, where=where, content_type="text/xml", base_url=base_url).verbs


def problems(body: bytes, where: Where = Where.INBOUND) -> tuple[Problem, ...]:
    with pytest.raises(BadRequest) as caught:
        document(body, RULES, where=where)
    return caught.value.problems


@pytest.mark.parametrize("bad", BAD_VERBS, ids=lambda bad: bad.name)
def test_it_gets_its_codes(bad: Bad) -> None:
    started = time.process_time()
    with pytest.raises(BadRequest) as caught:
        document(bad.body, RULES, where=bad.where, content_type=bad.content_type)
    assert time.process_time() - started < 2  # seconds of CPU: what is quadratic takes far longer
    assert tuple(problem.code for problem in caught.value.problems) == bad.codes
    assert caught.value.status == bad.status
    for problem in caught.value.problems:
        assert EXPLAINED[Code(problem.code)].status in (bad.status, 422)
        assert problem.detail.isprintable() and "hunter2" not in problem.detail
        if bad.status == 422 and problem.code != "wrong-root":
            assert problem.line == 1 and problem.column is not None


def test_the_table_has_no_name_twice() -> None:
    assert len({bad.name for bad in BAD_VERBS}) == len(BAD_VERBS) >= 130


GOOD: list[tuple[str, Verb]] = [
    ("<Say>Hello</Say>", Say("Hello")),
    ("<Say>\n  Hello,\n\tAnna &amp; Bo\u2028there\u00a0é </Say>", Say("Hello, Anna & Bo there é")),
    ("<Say>a<!-- x -->b<![CDATA[<c> & d]]></Say>", Say("ab<c> & d")),
    (f"<Say>{'a' * 4_096}</Say>", Say("a" * 4_096)),
    ("<Say voice='Polly.Amy' language='en-GB' loop='0'>x</Say>", Say("x", "Polly.Amy", "en-GB", 0)),
    ("<Say voice='' loop='1000'>x</Say>", Say("x", None, None, 1_000)),
    ("<Play>https://a.example/a.wav</Play>", Play("https://a.example/a.wav")),
    ("<Play loop='0'> HTTPS://u:p@A.example/?b=1&c=é </Play>", Play("https://u:p@a.example/?b=1&c=%C3%A9", 0)),
    ("<Play digits='ww12W#*aD'/>", Play(None, 1, "ww12ww#*AD")),
    ("<Play loop='3' digits='1'> </Play>", Play(None, 3, "1")),
    ("<Pause/>", Pause(1)),
    ("<Pause length='3600'></Pause>", Pause(3_600)),
    ("<Gather/>", Gather()),
    ("<Gather input='dtmf' action='https://a.example/g' method='get' timeout='600' finishOnKey='*' numDigits='1000'"
     " actionOnEmptyResult='True'/>",
     Gather((), Link("https://a.example/g", "GET"), 600, "*", 1_000, action_on_empty_result=True)),
    ("<Gather finishOnKey=''><Say>a</Say><Pause/><Play digits='1'/></Gather>",
     Gather((Say("a"), Pause(), Play(digits="1")), finish_on_key="")),
    ("<Gather finishOnKey='-1'/>", Gather(finish_on_key="")),
    ("<Gather finishOnKey='1#1*#'/>", Gather(finish_on_key="1#*")),
    ("<Record/>", Record()),
    ("<Record transcribe='false' timeout='0' finishOnKey='#' maxLength='86400' playBeep='false' action='http://a.example'"
     " recordingStatusCallback='https://a.example/r' recordingStatusCallbackMethod='GET'"
     " recordingStatusCallbackEvent='in-progress absent'/>",
     Record(Link("http://a.example"), 0, "#", 86_400, False,
            RecordingCallback(Link("https://a.example/r", "GET"), frozenset({"in-progress", "absent"})))),
    ("<Record recordingStatusCallback='https://a.example/r' recordingStatusCallbackEvent=''/>",
     Record(recording_callback=RecordingCallback(Link("https://a.example/r")))),
    ("<Redirect>https://a.example/</Redirect>", Redirect(Link("https://a.example/"))),
    ("<Redirect method='GET'>https://a.example/?a&b=2</Redirect>", Redirect(Link("https://a.example/?a&b=2", "GET"))),
    ("<Hangup/>", Hangup()),
    ("<Reject/>", Reject()),
    ("<Reject reason='BUSY'/>", Reject("busy")),
]  # fmt: skip


@pytest.mark.parametrize(("markup", "meant"), GOOD, ids=[markup[:60] for markup, _ in GOOD])
def test_each_verb_is_read(markup: str, meant: Verb) -> None:
    assert verbs(markup) == (meant,)


def test_the_defaults_are_those_of_the_reference() -> None:
    gather, record = verbs("<Gather/><Record/>")
    assert isinstance(gather, Gather) and isinstance(record, Record)
    assert (gather.timeout, gather.finish_on_key, gather.num_digits, gather.action_on_empty_result) == (
        5,
        "#",
        None,
        False,
    )
    assert (record.timeout, record.finish_on_key, record.max_length, record.play_beep) == (5, ALL_KEYS, 3_600, True)


def test_relative_urls_resolve_against_the_documents_own() -> None:
    play, redirect, gather, dial = verbs(
        "<Play>/a.wav</Play><Redirect>next</Redirect><Gather action='?b=2' method='GET'/>"
        "<Dial action='../after'><Sip url='//screen.example/'>sip:a@h</Sip></Dial>",
        base_url=OWN,
    )
    assert play == Play("https://u:p@app.example/a.wav")
    assert redirect == Redirect(Link("https://u:p@app.example/voice/next"))
    assert isinstance(gather, Gather) and gather.action == Link("https://u:p@app.example/voice/start.php?b=2", "GET")
    assert isinstance(dial, Dial) and dial.action == Link("https://u:p@app.example/after")
    screening = dial.targets[0].screening
    assert screening is not None and screening.link.url == "https://screen.example/"


def test_gather_and_record_without_action_go_to_the_documents_own_url() -> None:
    found = verbs("<Gather/><Gather method='GET'/><Record/><Dial><Sip>sip:a@h</Sip></Dial>", base_url=OWN + "#top")
    actions = [verb.action for verb in found if isinstance(verb, Gather | Record | Dial)]
    assert actions == [Link(OWN), Link(OWN, "GET"), Link(OWN), None]


def test_a_relative_url_with_a_private_base_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        verbs("<Play>a.wav</Play>", base_url="http://10.0.0.1/")
    assert [problem.code for problem in caught.value.problems] == ["address-denied"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", None),
        (b"", "audio/wav"),
        (b" \r\n", "application/json"),
        (b"\xef\xbb\xbf", "text/xml"),
        ("\n".encode("utf-16"), "text/xml"),
        (b"<Response/>", "text/xml"),
        (b"<?xml version='1.0'?><Response> <!-- nothing --> </Response>", None),
    ],
)
def test_nothing_is_an_empty_document(content: bytes, content_type: str | None) -> None:
    assert document(content, RULES, where=Where.INBOUND, content_type=content_type) == Document(())


@pytest.mark.parametrize("content_type", ["text/xml", "text/plain", "text/html; charset=iso-8859-1", "", "x/y", None])
def test_rcml_is_read_whatever_it_is_called(content_type: str | None) -> None:
    body = "<Response><Say>é</Say></Response>".encode("latin-1" if content_type and "8859" in content_type else "utf-8")
    assert document(body, RULES, where=Where.CALLER, content_type=content_type).verbs == (Say("é"),)


DIAL = "<Dial><Sip>sip:a@h</Sip></Dial>"
ALLOWED = {
    Where.STAND_IN: (DIAL, "<Pause/>", "<Hangup/>", "<Redirect>https://a.example</Redirect>"),
    Where.CALLER: (DIAL, "<Say>x</Say>", "<Play digits='1'/>", "<Gather/>", "<Record/>", "<Pause/>", "<Hangup/>"),
    Where.SCREENING: ("<Say>x</Say>", "<Play digits='1'/>", "<Gather/>", "<Record/>", "<Pause/>", "<Hangup/>",
                      "<Redirect>https://a.example</Redirect>"),
    Where.INBOUND: (DIAL, "<Say>x</Say>", "<Reject/>", "<Gather/>", "<Record/>", "<Redirect>https://a.example</Redirect>"),
}  # fmt: skip


@pytest.mark.parametrize("where", Where)
def test_each_leg_has_its_verbs(where: Where) -> None:
    assert len(verbs("".join(ALLOWED[where]), where)) == len(ALLOWED[where])


def test_every_problem_has_its_place() -> None:
    found = problems(
        b"<Response>\n <Say>\n  x</Say>\n <Gather\n  timeout='x'>\n  <Hangup/></Gather>\n"
        b" <Play>\n\n   a b</Play></Response>"
    )
    assert [(problem.code, problem.line, problem.column) for problem in found] == [
        ("integer-invalid", 5, 3),
        ("element-not-allowed", 6, 3),
        ("url-relative", 9, 4),
    ]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("<Enqueue>x</Enqueue>", "<Enqueue>"),
        ("<gather/>", "did you mean <Gather>?"),
        ("<Foo/>", "Dial, Say, Play, Pause, Gather, Record, Redirect, Hangup, Reject"),
        ("<Gather speechTimeout='1'/>", "`speechTimeout` of <Gather>"),
        ("<Record finishonkey='1'/>", "did you mean finishOnKey?"),
        ("<Say><break/></Say>", "<break>"),
    ],
)
def test_the_detail_names_what_is_wrong(body: str, named: str) -> None:
    (problem,) = problems(f"<Response>{body}</Response>".encode())
    assert named in problem.detail
