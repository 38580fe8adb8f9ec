"""Bad RCML requests and the exact codes that each gets, in the order of the text."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bad:
    name: str
    body: bytes
    codes: tuple[str, ...]
    status: int = 422
    charset: str | None = None
    query: str = ""


def sip_row(text: str, attributes: str = "") -> str:
    return f"<Response><Dial><Sip {attributes}>{text}</Sip></Dial></Response>"


def _dial(attributes: str) -> str:
    return f"<Response><Dial {attributes}><Sip>sip:alice@example.com</Sip></Dial></Response>"


def bad_row(name: str, body: str | bytes, *codes: str, **more: Any) -> Bad:
    return Bad(name, body if isinstance(body, bytes) else body.encode(), codes, **more)


_OK = sip_row("sip:alice@example.com")

SYNTAX = [
    bad_row(name, body, code, status=400)
    for name, body, code in [
        ("nothing", b"", "xml-syntax"),
        ("white space", b"  \n ", "xml-syntax"),
        ("text", b"sip:alice@example.com", "xml-syntax"),
        ("json", b'{"sip":"sip:alice@example.com"}', "xml-syntax"),
        ("cut short", b"<Response><Dial>", "xml-syntax"),
        ("tags that cross", b"<Response><Dial></Response></Dial>", "xml-syntax"),
        ("two roots", b"<Response/><Response/>", "xml-syntax"),
        ("attribute without quotes", b"<Response><Dial timeout=30/></Response>", "xml-syntax"),
        ("attribute twice", b'<Response><Dial timeout="1" timeout="2"/></Response>', "xml-syntax"),
        ("less in an attribute", b'<Response><Dial callerId="<"/></Response>', "xml-syntax"),
        ("NUL", b"<Response>\0</Response>", "xml-syntax"),
        ("control character", b"<Response>\x01</Response>", "xml-syntax"),
        ("reference to NUL", b"<Response>&#0;</Response>", "xml-syntax"),
        ("reference to a surrogate", b"<Response>&#xD800;</Response>", "xml-syntax"),
        ("prefix not declared", b"<x:Response/>", "xml-syntax"),
        ("64 KB of less", b"<" * 65_000, "xml-syntax"),
        ("64 KB of comments", b"<!--" * 16_000, "xml-syntax"),
        ("64 KB of quotes", b"<a " + b'"' * 65_000, "xml-syntax"),
        ("DOCTYPE", b"<!DOCTYPE Response><Response/>", "dtd-not-allowed"),
        (
            "billion laughs",
            b'<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><Response>&c;</Response>',
            "dtd-not-allowed",
        ),
        (
            "external entity",
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Response>&x;</Response>',
            "dtd-not-allowed",
        ),
        ("entity of HTML", b"<Response><Dial>&nbsp;</Dial></Response>", "foreign-entity"),
        ("entity in an attribute", b'<Response><Dial callerId="&eacute;"/></Response>', "foreign-entity"),
        ("depth 17", b"<a>" * 17 + b"</a>" * 17, "too-deep"),
        ("depth 20,000", b"<a>" * 20_000, "too-deep"),
        ("not UTF-8", b"<Response>\xff</Response>", "encoding-invalid"),
        ("odd UTF-16", b"\xff\xfe<\0R", "encoding-invalid"),
        ("UTF-7", b'<?xml version="1.0" encoding="UTF-7"?><Response/>', "encoding-unsupported"),
        ("unknown encoding", b'<?xml version="1.0" encoding="x-klingon"?><Response/>', "encoding-unsupported"),
        ("UTF-16 without mark", "<Response/>".encode("utf-16-le"), "encoding-unsupported"),
        ("UTF-32", "<Response/>".encode("utf-32"), "encoding-unsupported"),
    ]
] + [
    bad_row("charset that is not read", _OK, "encoding-unsupported", status=400, charset="windows-1252"),
    bad_row("charset that lies", b"<Response>\xe9</Response>", "encoding-invalid", status=400, charset="utf-8"),
]

STRUCTURE = [
    bad_row("another root", "<Dial><Sip>sip:alice@example.com</Sip></Dial>", "wrong-root"),
    bad_row("root in lower case", "<response/>", "wrong-root"),
    bad_row("root in a namespace", '<Response xmlns="urn:x"/>', "wrong-root"),
    bad_row("empty response", "<Response/>", "nothing-to-do"),
    bad_row("attribute of Response", _OK.replace("<Response", '<Response id="1"'), "unknown-attribute"),
    bad_row("declared prefix", _OK.replace("<Response", '<Response xmlns:x="urn:x"'), "unknown-attribute"),
    bad_row("text in Response", "<Response>hello</Response>", "text-not-allowed"),
    bad_row("unknown verb", "<Response><Call/></Response>", "unknown-verb"),
    bad_row("verb in lower case", "<Response><dial/></Response>", "unknown-verb"),
    *(
        bad_row(f"verb {verb}", f"<Response><{verb}/></Response>", "not-supported")
        for verb in (
            "Sms",
            "Message",
            "Fax",
            "Email",
            "UssdMessage",
            "Enqueue",
            "Leave",
            "Refer",
            "Connect",
            "Start",
            "Stop",
            "Pay",
            "Prompt",
            "Queue",
        )
    ),
    bad_row("verb behind Dial", _OK.replace("</Response>", "<Sms>x</Sms></Response>"), "not-supported"),
    bad_row("two verbs in another case", "<Response><SAY/><hangUp/></Response>", "unknown-verb", "unknown-verb"),
    *(
        bad_row(f"no caller for {verb}", _OK.replace("</Response>", f"{verb}</Response>"), "needs-caller")
        for verb in ("<Say>x</Say>", "<Play digits='1'/>", "<Gather/>", "<Gather><Say>x</Say></Gather>", "<Record/>")
    ),
    bad_row("Reject without caller", _OK.replace("</Response>", "<Reject/></Response>"), "verb-not-allowed"),
    *(
        bad_row(f"nobody dialled by {verb}", f"<Response>{verb}</Response>", "nothing-to-do")
        for verb in ("<Hangup/>", "<Pause/>", "<Redirect>https://a.example/</Redirect>")
    ),
    bad_row("nobody dialled, and wrong", "<Response><Pause length='0'/></Response>", "out-of-range"),
    bad_row("empty Dial", "<Response><Dial/></Response>", "dial-empty"),
    bad_row("empty second Dial", _OK.replace("</Response>", "<Dial> </Dial></Response>"), "dial-empty"),
    bad_row("number as text", "<Response><Dial>+15551234567</Dial></Response>", "text-not-allowed"),
    bad_row("text beside Sip", "<Response><Dial>x<Sip>sip:a@example.com</Sip></Dial></Response>", "text-not-allowed"),
    *(
        bad_row(f"noun {noun}", f"<Response><Dial><{noun}>x</{noun}></Dial></Response>", "unknown-noun")
        for noun in ("Number", "Client", "Conference", "Queue", "sip", "Foo")
    ),
    bad_row("element in Sip", sip_row("sip:alice@example.com<Number/>"), "element-not-allowed"),
    bad_row(
        "eleven targets",
        "<Response><Dial>" + "<Sip>sip:a@example.com</Sip>" * 11 + "</Dial></Response>",
        "too-many-targets",
    ),
    bad_row("Sip without URI", sip_row(" \n "), "uri-missing"),
    bad_row(
        "three problems",
        sip_row("x", 'foo="1" password="p"'),
        "unknown-attribute",
        "credentials-incomplete",
        "uri-invalid",
    ),
]

ATTRIBUTES = [
    bad_row("timeout 0", _dial('timeout="0"'), "out-of-range"),
    bad_row("timeout 601", _dial('timeout="601"'), "out-of-range"),
    bad_row("timeout with a sign", _dial('timeout="+30"'), "integer-invalid"),
    bad_row("timeout with a fraction", _dial('timeout="30.0"'), "integer-invalid"),
    bad_row("timeout in Arabic digits", _dial('timeout="٣٠"'), "integer-invalid"),
    bad_row("timeout of 5,000 digits", _dial('timeout="' + "9" * 5_000 + '"'), "integer-invalid"),
    bad_row("empty timeout", _dial('timeout=""'), "integer-invalid"),
    bad_row("timeLimit 0", _dial('timeLimit="0"'), "out-of-range"),
    bad_row("timeLimit 86401", _dial('timeLimit="86401"'), "out-of-range"),
    bad_row("attribute in another case", _dial('TimeOut="30"'), "unknown-attribute"),
    bad_row("attribute in a namespace", _dial('xml:lang="en"'), "unknown-attribute"),
    bad_row("hangupOnStar yes", _dial('hangupOnStar="yes"'), "boolean-invalid"),
    bad_row("record always", _dial('record="always"'), "record-invalid"),
    bad_row("answerOnBridge 0", _dial('answerOnBridge="0"'), "boolean-invalid"),
    bad_row("relative action", _dial('action="after"'), "url-relative"),
    bad_row("empty action", _dial('action=""'), "url-invalid"),
    bad_row("action to a private address", _dial('action="http://10.0.0.1/"'), "address-denied"),
    bad_row("action with a line", _dial('action="https://a.example/&#10;X: y"'), "character-invalid"),
    bad_row("method of Dial", _dial('method="PUT"'), "method-invalid"),
    bad_row("recordingStatusCallback", _dial('recordingStatusCallback="https://u:p@127.0.0.1/"'), "address-denied"),
    bad_row("recordingStatusCallbackMethod", _dial('recordingStatusCallbackMethod="HEAD"'), "method-invalid"),
    bad_row("recordingStatusCallbackEvent", _dial('recordingStatusCallbackEvent="ringing"'), "event-unknown"),
    *(bad_row(name, _dial(f'{name}="1"'), "not-supported") for name in ("ringTone", "sequential", "trim", "referUrl")),
    bad_row("relative screening", sip_row("sip:a@example.com", 'url="screen"'), "url-relative"),
    bad_row(
        "screening at a private address", sip_row("sip:a@example.com", 'url="http://[fd00::1]/"'), "address-denied"
    ),
    bad_row("screening's method", sip_row("sip:a@example.com", 'method="get it"'), "method-invalid"),
    bad_row("screening's timeout", sip_row("sip:a@example.com", 'timeout="601"'), "out-of-range"),
    bad_row("answering machines", sip_row("sip:a@example.com", 'machineDetection="Enable"'), "not-supported"),
    bad_row("password alone", sip_row("sip:a@example.com", 'password="p"'), "credentials-incomplete"),
    bad_row(
        "username with a line", sip_row("sip:a@example.com", 'username="a&#10;b" password="p"'), "character-invalid"
    ),
    bad_row("username too long", sip_row("sip:a@example.com", f'username="{"a" * 256}" password="p"'), "too-long"),
    *(
        bad_row(f"callerId {value}", _dial(f'callerId="{value}"'), "caller-id-invalid")
        for value in (
            "",
            " bob",
            "Bob Smith",
            "bob@example.com",
            "tel:+15551234567",
            "client:bob",
            "&lt;sip:bob@example.com",
            "&lt;sip:bob@example.com>;tag=1",
            "sip:bob@example.com?X-A=1",
            "sip:bob:secret@example.com",
            "sip:bob@example.com;transport=tcp",
            "sip:bob%0d%0a@example.com",
            "bob%0D%0A",
            "sip:bob@",
            "a" * 255,
        )
    ),
    *(
        bad_row(f"callerId with {char:#x}", _dial(f'callerId="a&#{char};b"'), "character-invalid")
        for char in (0x0A, 0x0D, 0x7F, 0x85, 0x2028, 0x2029)
    ),
]

_URL = "sip:a@example.com"

QUERIES = [
    bad_row("unknown parameter", _OK, "unknown-parameter", query="foo=1"),
    bad_row("dial attribute as parameter", _OK, "unknown-parameter", query="timeout=1"),
    bad_row("caller with nothing to hear", "<Response/>", "nothing-to-do", query="caller=sip:bob@example.com"),
    bad_row("caller that is no URI", _OK, "uri-invalid", query="caller=bob"),
    bad_row("caller that is empty", _OK, "uri-missing", query="caller="),
    bad_row("caller on loopback", _OK, "address-denied", query="caller=sip:bob@127.0.0.1"),
    bad_row("caller twice", _OK, "repeated-field", query="caller=sip:a@h&caller=sip:b@h"),
    bad_row("caller with an escaped line", _OK, "character-invalid", query="caller=sip:b%250aob@h"),
    bad_row("a bad caller is a caller", "<Response><Say>x</Say></Response>", "uri-invalid", query="caller=bob&from=b"),
    bad_row(
        "Reject for a caller that was called",
        "<Response><Reject/></Response>",
        "verb-not-allowed",
        query="caller=sip:b@h",
    ),
    bad_row("callerTimeout", _OK, "needs-caller", query="callerTimeout=60"),
    bad_row("callerTimeout 0", _OK, "out-of-range", query="caller=sip:b@h&callerTimeout=0"),
    bad_row("from", _OK, "needs-caller", query="from=bob"),
    bad_row("from with a line", _OK, "character-invalid", query="caller=sip:b@h&from=a%0d%0ab"),
    bad_row("callerPassword alone", _OK, "credentials-incomplete", query="caller=sip:b@h&callerPassword=p"),
    bad_row("relative baseUrl", _OK, "url-relative", query="baseUrl=/x"),
    bad_row("baseUrl twice", _OK, "repeated-field", query="baseUrl=http://a.example&baseUrl=http://b.example"),
    bad_row(
        "baseUrl to a private address",
        sip_row(_URL, 'statusCallback="x"'),
        "address-denied",
        query="baseUrl=http://10.0.0.1/",
    ),
    bad_row("statusCallback of the request", _OK, "address-denied", query="statusCallback=http://127.0.0.1/"),
    bad_row("metadata that is not JSON", _OK, "metadata-invalid", query="metadata=x"),
    bad_row("metadata that is a list", _OK, "metadata-invalid", query="metadata=[]"),
    bad_row("metadata with a number", _OK, "metadata-invalid", query="metadata=%7B%22a%22:1%7D"),
    bad_row("metadata with a line", _OK, "character-invalid", query="metadata=%7B%22a%22:%22b%5Cu2028%22%7D"),
    bad_row("broken escape", _OK, "query-syntax", status=400, query="baseUrl=%zz"),
    bad_row("query that is not UTF-8", _OK, "query-syntax", status=400, query="baseUrl=%ff"),
]

BAD_RCML = SYNTAX + STRUCTURE + ATTRIBUTES + QUERIES
