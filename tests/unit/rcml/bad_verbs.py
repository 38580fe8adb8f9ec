"""Bad documents of live calls, and the exact codes that each gets, in the order of the text."""

from dataclasses import dataclass

from app.rcml.plan import Where


@dataclass(frozen=True)
class Bad:
    name: str
    body: bytes
    codes: tuple[str, ...]
    status: int = 422
    where: Where = Where.INBOUND
    content_type: str | None = "text/xml"


def verb_row(markup: str, *codes: str, where: Where = Where.INBOUND) -> Bad:
    name = f"{where.name} {markup[:60]} {len(markup)}"
    return Bad(name, f"<Response>{markup}</Response>".encode(), codes, where=where)


def _in_each(element: str, *attributes: tuple[str, str]) -> list[Bad]:
    return [verb_row(element.replace("~", attribute), code) for attribute, code in attributes]


_SAY = "<Say ~>hello</Say>"
_PLAY = "<Play ~>https://a.example/a.wav</Play>"

SAY = [
    verb_row("<Say/>", "text-missing"),
    verb_row("<Say> \n </Say>", "text-missing"),
    verb_row("<Say><![CDATA[ ]]></Say>", "text-missing"),
    verb_row(f"<Say>{'a' * 4_097}</Say>", "too-long"),
    verb_row("<Say>a&#127;b</Say>", "character-invalid"),
    verb_row("<Say>a&#x80;b</Say>", "character-invalid"),
    verb_row("<Say>one <break time='1s'/> two</Say>", "not-supported"),
    verb_row("<Say><prosody rate='slow'>two</prosody></Say>", "not-supported"),
    verb_row("<Say><emphasis>a</emphasis><say-as>b</say-as></Say>", "not-supported", "not-supported"),
    verb_row("<Say><Play>https://a.example/</Play></Say>", "element-not-allowed"),
    *_in_each(
        _SAY,
        ('voice="a&#10;b"', "character-invalid"),
        (f'voice="{"a" * 101}"', "too-long"),
        ('voice="nobody"', "value-invalid"),
        ('voice="Polly."', "value-invalid"),
        ('voice="Polly.Joanna; rm"', "value-invalid"),
        ('voice="ElevenLabs.Sarah"', "value-invalid"),
        ('language=""', "value-invalid"),
        ('language="en_GB"', "value-invalid"),
        ('language="en-"', "value-invalid"),
        ('language="englishlanguage"', "value-invalid"),
        (f'language="en{"-abcdefgh" * 4}"', "value-invalid"),
        ('language="en&#x85;"', "character-invalid"),
        ('loop="-1"', "integer-invalid"),
        ('loop="1001"', "out-of-range"),
        ('loop="forever"', "integer-invalid"),
        ('Voice="man"', "unknown-attribute"),
        ('rate="1"', "unknown-attribute"),
    ),
]
PLAY = [
    verb_row("<Play/>", "text-missing"),
    verb_row("<Play> </Play>", "text-missing"),
    verb_row("<Play>a.wav</Play>", "url-relative"),
    verb_row("<Play>ftp://a.example/a.wav</Play>", "url-invalid"),
    verb_row("<Play>http://u:hunter2@10.0.0.1/a.wav</Play>", "address-denied"),
    verb_row("<Play>https://a.example/a b.wav</Play>", "url-invalid"),
    verb_row("<Play>https://a.example/a&#10;b.wav</Play>", "character-invalid"),
    verb_row(f"<Play>https://a.example/{'a' * 4_000}</Play>", "too-long"),
    verb_row("<Play><Say>x</Say></Play>", "text-missing", "element-not-allowed"),
    verb_row("<Play digits='1'>https://a.example/a.wav</Play>", "text-not-allowed"),
    *_in_each(
        "<Play ~/>",
        ('digits=""', "value-invalid"),
        ('digits="1 2"', "value-invalid"),
        ('digits="12E"', "value-invalid"),
        ('digits="&#x661;"', "value-invalid"),
        ('digits="1&#10;"', "character-invalid"),
        (f'digits="{"w" * 101}"', "too-long"),
        ('digits="1" loop="1001"', "out-of-range"),
    ),
    *_in_each(
        _PLAY, ('loop=""', "integer-invalid"), ('loop="1.5"', "integer-invalid"), ('voice="a"', "unknown-attribute")
    ),
]
GATHER = [
    verb_row("<Gather>press 1</Gather>", "text-not-allowed"),
    verb_row("<Gather><Gather/></Gather>", "element-not-allowed"),
    verb_row("<Gather><Dial><Sip>sip:a@h</Sip></Dial></Gather>", "element-not-allowed"),
    verb_row("<Gather><Hangup/><say/></Gather>", "element-not-allowed", "element-not-allowed"),
    verb_row(
        "<Gather><Say/><Play>x</Play><Pause length='x'/></Gather>", "text-missing", "url-relative", "integer-invalid"
    ),
    *_in_each(
        "<Gather ~/>",
        ('action="x"', "url-relative"),
        ('action="http://127.0.0.1/"', "address-denied"),
        ('method="DELETE"', "method-invalid"),
        ('timeout="0"', "out-of-range"),
        ('timeout="auto"', "integer-invalid"),
        ('timeout="601"', "out-of-range"),
        ('finishOnKey="A"', "value-invalid"),
        ('finishOnKey="-2"', "value-invalid"),
        ('finishOnKey="1&#9;"', "character-invalid"),
        (f'finishOnKey="{"1" * 101}"', "too-long"),
        ('numDigits="0"', "out-of-range"),
        ('numDigits="1001"', "out-of-range"),
        ('numDigits="four"', "integer-invalid"),
        ('actionOnEmptyResult="yes"', "boolean-invalid"),
        ('input="speech"', "not-supported"),
        ('input="dtmf speech"', "not-supported"),
        ('input=""', "value-invalid"),
        ('input="keys"', "value-invalid"),
        ('speechTimeout="auto"', "not-supported"),
        ('speechModel="x"', "not-supported"),
        ('hints="yes, no"', "not-supported"),
        ('language="en"', "not-supported"),
        ('profanityFilter="true"', "not-supported"),
        ('partialResultCallback="https://a.example/"', "not-supported"),
        ('partialResultCallbackMethod="GET"', "not-supported"),
        ('enhanced="true"', "not-supported"),
        ('loop="2"', "unknown-attribute"),
    ),
]
RECORD = [
    verb_row("<Record>x</Record>", "text-not-allowed"),
    verb_row("<Record><Say>x</Say></Record>", "element-not-allowed"),
    *_in_each(
        "<Record ~/>",
        ('action="x"', "url-relative"),
        ('action="http://[::1]/"', "address-denied"),
        ('method=""', "method-invalid"),
        ('timeout="-1"', "integer-invalid"),
        ('timeout="601"', "out-of-range"),
        ('finishOnKey="any"', "value-invalid"),
        ('maxLength="0"', "out-of-range"),
        ('maxLength="86401"', "out-of-range"),
        ('playBeep="no"', "boolean-invalid"),
        ('recordingStatusCallback="https://a.example/" recordingStatusCallbackEvent="failed"', "event-unknown"),
        ('recordingStatusCallback="http://0.0.0.0/"', "address-denied"),
        ('recordingStatusCallbackMethod="PUT"', "method-invalid"),
        ('transcribe="true"', "not-supported"),
        ('transcribe="maybe"', "boolean-invalid"),
        ('transcribeCallback="https://a.example/"', "not-supported"),
        ('trim="trim-silence"', "not-supported"),
        ('numDigits="1"', "unknown-attribute"),
    ),
]
OTHERS = [
    *_in_each(
        "<Pause ~/>",
        ('length="0"', "out-of-range"),
        ('length="3601"', "out-of-range"),
        ('loop="1"', "unknown-attribute"),
    ),
    verb_row("<Pause>1</Pause>", "text-not-allowed"),
    verb_row("<Redirect/>", "text-missing"),
    verb_row("<Redirect>x</Redirect>", "url-relative"),
    verb_row("<Redirect>http://169.254.169.254/latest/meta-data</Redirect>", "address-denied"),
    verb_row("<Redirect method='PUT'>https://a.example/</Redirect>", "method-invalid"),
    verb_row("<Redirect><Say>x</Say></Redirect>", "text-missing", "element-not-allowed"),
    verb_row("<Redirect loop='1'>https://a.example/</Redirect>", "unknown-attribute"),
    verb_row("<Hangup>now</Hangup>", "text-not-allowed"),
    verb_row("<Hangup reason='busy'/>", "unknown-attribute"),
    verb_row("<Hangup><Say>x</Say></Hangup>", "element-not-allowed"),
    *_in_each(
        "<Reject ~/>",
        ('reason=""', "value-invalid"),
        ('reason="late"', "value-invalid"),
        ('a="b"', "unknown-attribute"),
    ),
    verb_row("<Reject><Say>x</Say></Reject>", "element-not-allowed"),
    verb_row("<Response/>", "unknown-verb"),
    verb_row("hello", "text-not-allowed"),
    verb_row("<Dial/>", "dial-empty"),
    verb_row("<Say/><Sms/><Dial/><Foo/>", "text-missing", "not-supported", "dial-empty", "unknown-verb"),
]
_EARLESS = ("<Say>x</Say>", "<Play digits='1'/>", "<Gather/>", "<Record/>")
PLACES = [
    *(verb_row(markup, "needs-caller", where=Where.STAND_IN) for markup in _EARLESS),
    verb_row("<Say/>", "needs-caller", "text-missing", where=Where.STAND_IN),
    verb_row("<Reject/>", "verb-not-allowed", where=Where.STAND_IN),
    verb_row("<Reject/>", "verb-not-allowed", where=Where.CALLER),
    verb_row("<Reject/>", "verb-not-allowed", where=Where.SCREENING),
    verb_row("<Dial><Sip>sip:a@h</Sip></Dial>", "verb-not-allowed", where=Where.SCREENING),
    verb_row("<Dial timeout='0'/>", "verb-not-allowed", "dial-empty", "out-of-range", where=Where.SCREENING),
]
_GOOD = b"<Response><Hangup/></Response>"
WHOLE = [
    Bad("json", b'{"sip":"sip:a@h"}', ("wrong-root",), content_type="application/json"),
    Bad("json by another name", b' [{"a":1}]', ("wrong-root",), content_type="text/plain"),
    Bad("json without a name", b'{"error":"x"}', ("wrong-root",), content_type=None),
    Bad("json that is RCML", _GOOD, ("wrong-root",), content_type="application/json; charset=utf-8"),
    Bad("audio", b"RIFF\xff\xfe", ("media-type-unsupported",), 415, content_type="audio/wav"),
    Bad("audio that is RCML", _GOOD, ("media-type-unsupported",), 415, content_type="Audio/MPEG; x=y"),
    Bad("a page", b"<!DOCTYPE html><html></html>", ("dtd-not-allowed",), 400, content_type="text/html"),
    Bad("a page without a DOCTYPE", b"<html/>", ("wrong-root",), content_type="text/html"),
    Bad("text", b"Internal error", ("xml-syntax",), 400, content_type="text/plain"),
    Bad("cut short", b"<Response><Say>", ("xml-syntax",), status=400),
    Bad("a charset that is not read", _GOOD, ("encoding-unsupported",), 400, content_type="text/xml; charset=koi8-r"),
    Bad("a lying charset", b"<Response>\xe9</Response>", ("encoding-invalid",), 400, content_type="a/b;charset=utf8"),
    Bad("an entity", b"<Response><Say>&eacute;</Say></Response>", ("foreign-entity",), status=400),
]  # fmt: skip

BAD_VERBS = SAY + PLAY + GATHER + RECORD + OTHERS + PLACES + WHOLE
