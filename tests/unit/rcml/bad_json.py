"""Bad JSON requests and the exact codes and pointers that each gets. Used by unit and integration tests."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Bad:
    name: str
    body: bytes
    found: tuple[tuple[str, str | None], ...]  # code and pointer
    status: int = 422


def _raw(name: str, body: bytes, code: str) -> Bad:
    return Bad(name, body, ((code, None),), 400)


def _with(name: str, members: dict[str, object], *found: tuple[str, str]) -> Bad:
    body = json.dumps({"sip": "sip:alice@example.com"} | members).encode()
    return Bad(name, body, found)


def _sip(name: str, members: dict[str, object], *found: tuple[str, str]) -> Bad:
    body = json.dumps({"sip": [{"uri": "sip:alice@example.com"} | members]}).encode()
    return Bad(name, body, found)


# After JSONTestSuite (n_* and the i_* that are not a plan), each as the whole body.
RAW = [
    _raw(name, body, code)
    for name, body, code in [
        ("nothing", b"", "json-syntax"),
        ("white space", b" ", "json-syntax"),
        ("NaN", b"[NaN]", "json-syntax"),
        ("Infinity", b'{"timeout": Infinity}', "json-syntax"),
        ("minus Infinity", b'{"timeout": -Infinity}', "json-syntax"),
        ("trailing comma", b'{"sip":"sip:a@example.com",}', "json-syntax"),
        ("single quotes", b"{'sip': 1}", "json-syntax"),
        ("comment", b'{"sip":1} // x', "json-syntax"),
        ("two values", b"{}{}", "json-syntax"),
        ("cut short", b'{"sip": "sip:a@exa', "json-syntax"),
        ("open array", b"[1", "json-syntax"),
        ("number with a leading zero", b"[012]", "json-syntax"),
        ("number with a plus", b"[+1]", "json-syntax"),
        ("number with a bare point", b"[1.]", "json-syntax"),
        ("hex", b"[0x1]", "json-syntax"),
        ("control character in a string", b'["a\x00b"]', "json-syntax"),
        ("tab in a string", b'["\t"]', "json-syntax"),
        ("bad escape", b'["\\x"]', "json-syntax"),
        ("half an escape", b'["\\u00"]', "json-syntax"),
        ("capital True", b"[True]", "json-syntax"),
        ("form feed", b"[\x0c1]", "json-syntax"),
        ("RCML", b"<Response/>", "json-syntax"),
        ("depth 17", b"[" * 17 + b"]" * 17, "too-deep"),
        ("depth 60,000", b"[" * 60_000, "too-deep"),
        ("depth 10,000 of objects", b'{"a":' * 10_000, "too-deep"),
        ("not UTF-8", b'["\xff"]', "encoding-invalid"),
        ("overlong UTF-8", b'["\xc0\xaf"]', "encoding-invalid"),
        ("surrogate in UTF-8", b'["\xed\xa0\x80"]', "encoding-invalid"),
        ("UTF-16", '{"sip":"sip:a@example.com"}'.encode("utf-16"), "encoding-invalid"),
        ("UTF-16 without mark", '{"sip":"sip:a@example.com"}'.encode("utf-16-be"), "json-syntax"),
    ]
]

ROOT = [
    Bad(name, body, (("wrong-root", ""),))
    for name, body in [
        ("null", b"null"),
        ("true", b"true"),
        ("number", b"42"),
        ("string", b'"sip:alice@example.com"'),
        ("lone surrogate", b'"\\ud800"'),
        ("list", b'["sip:alice@example.com"]'),
        ("number of 5,000 digits", b"1" * 5_000),
        ("number that is infinite", b"1e400"),
    ]
]

MEMBERS = [
    Bad("empty object", b"{}", (("nothing-to-do", ""),)),
    Bad("sip null", b'{"sip":null}', (("nothing-to-do", ""),)),
    Bad("sip empty", b'{"sip":[]}', (("dial-empty", "/sip"),)),
    Bad("sip number", b'{"sip":1}', (("type-invalid", "/sip"),)),
    Bad("sip object", b'{"sip":{"uri":"sip:a@example.com"}}', (("type-invalid", "/sip"),)),
    Bad("sip list of strings", b'{"sip":["sip:a@example.com"]}', (("type-invalid", "/sip/0"),)),
    Bad("sip list of null", b'{"sip":[null]}', (("type-invalid", "/sip/0"),)),
    Bad("sip empty string", b'{"sip":""}', (("uri-missing", "/sip"),)),
    Bad("sip without uri", b'{"sip":[{}]}', (("uri-missing", "/sip/0"),)),
    Bad("uri number", b'{"sip":[{"uri":1}]}', (("type-invalid", "/sip/0/uri"),)),
    Bad("uri with a space", b'{"sip":[{"uri":" sip:a@example.com"}]}', (("uri-invalid", "/sip/0/uri"),)),
    Bad("uri lone surrogate", b'{"sip":[{"uri":"sip:\\udc00@example.com"}]}', (("character-invalid", "/sip/0/uri"),)),
    Bad("uri NUL", b'{"sip":[{"uri":"sip:a\\u0000@example.com"}]}', (("character-invalid", "/sip/0/uri"),)),
    Bad(
        "eleven targets",
        json.dumps({"sip": [{"uri": "sip:a@example.com"}] * 11}).encode(),
        (("too-many-targets", "/sip"),),
    ),
    Bad(
        "repeated member",
        b'{"sip":"sip:a@example.com","timeout":1,"timeout":2}',
        (("repeated-field", "/timeout"),),
    ),
    Bad(
        "repeated member of a target",
        b'{"sip":[{"uri":"sip:a@example.com","uri":"sip:b@example.com"}]}',
        (("repeated-field", "/sip/0/uri"),),
    ),
    _with("unknown member", {"foo": 1}, ("unknown-field", "/foo")),
    _with("unknown member that is null", {"foo": None}, ("unknown-field", "/foo")),
    _sip("unknown member of a target that is null", {"": None}, ("unknown-field", "/sip/0/")),
    _with("member in another case", {"Timeout": 1}, ("unknown-field", "/Timeout")),
    _with("member with a slash", {"a/b~c": 1}, ("unknown-field", "/a~1b~0c")),
    _with("member that is empty", {"": 1}, ("unknown-field", "/")),
    _with("timeout as text", {"timeout": "30"}, ("integer-invalid", "/timeout")),
    _with("timeout as a fraction", {"timeout": 30.0}, ("integer-invalid", "/timeout")),
    _with("timeout as a boolean", {"timeout": True}, ("integer-invalid", "/timeout")),
    _with("timeout as a list", {"timeout": [30]}, ("integer-invalid", "/timeout")),
    _with("timeout of 5,000 digits", {"timeout": 10**4_000}, ("integer-invalid", "/timeout")),
    _with("timeout 0", {"timeout": 0}, ("out-of-range", "/timeout")),
    _with("timeout -1", {"timeout": -1}, ("out-of-range", "/timeout")),
    _with("timeout 601", {"timeout": 601}, ("out-of-range", "/timeout")),
    _with("timeLimit 86401", {"timeLimit": 86_401}, ("out-of-range", "/timeLimit")),
    _with("hangupOnStar as text", {"hangupOnStar": "true"}, ("boolean-invalid", "/hangupOnStar")),
    _with("hangupOnStar as a number", {"hangupOnStar": 1}, ("boolean-invalid", "/hangupOnStar")),
    _with("record as text", {"record": "true"}, ("record-invalid", "/record")),
    _with("record as a number", {"record": 1.5}, ("record-invalid", "/record")),
    _with("record as a list", {"record": []}, ("record-invalid", "/record")),
    _with("record by another name", {"record": "always"}, ("record-invalid", "/record")),
    _with("answerOnBridge as text", {"answerOnBridge": "false"}, ("boolean-invalid", "/answerOnBridge")),
    Bad("caller alone", b'{"caller":"sip:bob@example.com"}', (("nothing-to-do", ""),)),
    _with("caller as a number", {"caller": 1}, ("type-invalid", "/caller")),
    _with("caller without scheme", {"caller": "bob@example.com"}, ("uri-invalid", "/caller")),
    _with("caller on loopback", {"caller": "sip:bob@127.0.0.1"}, ("address-denied", "/caller")),
    _with("caller with a header of ours", {"caller": "sip:bob@h?Via=x"}, ("header-forbidden", "/caller")),
    _with("caller with an escaped line", {"caller": "sip:b%0aob@h"}, ("character-invalid", "/caller")),
    _with("from without caller", {"from": "bob"}, ("needs-caller", "/from")),
    _with("callerTimeout without caller", {"callerTimeout": 60}, ("needs-caller", "/callerTimeout")),
    _with(
        "login without caller",
        {"callerUsername": "u", "callerPassword": "p"},
        ("needs-caller", "/callerUsername"),
        ("needs-caller", "/callerPassword"),
    ),
    _with("callerTimeout 0", {"caller": "sip:b@h", "callerTimeout": 0}, ("out-of-range", "/callerTimeout")),
    _with("callerTimeout 601", {"caller": "sip:b@h", "callerTimeout": 601}, ("out-of-range", "/callerTimeout")),
    _with("from with a line", {"caller": "sip:b@h", "from": "a\nb"}, ("character-invalid", "/from")),
    _with("from that is empty", {"caller": "sip:b@h", "from": ""}, ("caller-id-invalid", "/from")),
    _with(
        "callerPassword alone",
        {"caller": "sip:b@h", "callerPassword": "p"},
        ("credentials-incomplete", "/callerPassword"),
    ),
    _with(
        "callerUsername empty",
        {"caller": "sip:b@h", "callerUsername": ""},
        ("credentials-incomplete", "/callerUsername"),
    ),
    _with(
        "callerPassword with NUL",
        {"caller": "sip:b@h", "callerUsername": "u", "callerPassword": "\0"},
        ("character-invalid", "/callerPassword"),
    ),
    _with("action relative", {"action": "after"}, ("url-relative", "/action")),
    _with("action to a private address", {"action": "http://[::1]/"}, ("address-denied", "/action")),
    _with("method of action", {"action": "https://a.example/", "method": "PUT"}, ("method-invalid", "/method")),
    _with(
        "recording callback to a private address",
        {"recordingStatusCallback": "http://169.254.169.254/"},
        ("address-denied", "/recordingStatusCallback"),
    ),
    _with(
        "event of recordings",
        {"recordingStatusCallbackEvent": ["completed", "answered", "x"]},
        ("event-unknown", "/recordingStatusCallbackEvent"),
        ("event-unknown", "/recordingStatusCallbackEvent"),
    ),
    _with("ringTone", {"ringTone": "de"}, ("not-supported", "/ringTone")),
    _with("callerId as a number", {"callerId": 15551234567}, ("type-invalid", "/callerId")),
    _with("callerId empty", {"callerId": ""}, ("caller-id-invalid", "/callerId")),
    _with("callerId with a line", {"callerId": "a\r\nVia: x"}, ("character-invalid", "/callerId")),
    _with("callerId with half a pair", {"callerId": "\ud83d"}, ("character-invalid", "/callerId")),
    _with("callerId with U+FFFF", {"callerId": "\uffff"}, ("character-invalid", "/callerId")),
    _with("baseUrl relative", {"baseUrl": "x"}, ("url-relative", "/baseUrl")),
    _with("baseUrl as an object", {"baseUrl": {}}, ("type-invalid", "/baseUrl")),
    _with("statusCallback as true", {"statusCallback": True}, ("type-invalid", "/statusCallback")),
    _with("statusCallback relative", {"statusCallback": "x"}, ("url-relative", "/statusCallback")),
    _with("statusCallback to 10/8", {"statusCallback": "http://10.0.0.1"}, ("address-denied", "/statusCallback")),
    _with("method that is none", {"statusCallbackMethod": "PUT"}, ("method-invalid", "/statusCallbackMethod")),
    _with("metadata as text", {"metadata": "x"}, ("metadata-invalid", "/metadata")),
    _with("metadata of numbers", {"metadata": {"a": 1}}, ("metadata-invalid", "/metadata/a")),
    _with("metadata of null", {"metadata": {"a": None}}, ("metadata-invalid", "/metadata/a")),
    _with("metadata of objects", {"metadata": {"a": {}}}, ("metadata-invalid", "/metadata/a")),
    _with("metadata with NUL", {"metadata": {"a": "\0"}}, ("character-invalid", "/metadata/a")),
    _with("metadata with half a pair", {"metadata": {"a": "\ud800"}}, ("character-invalid", "/metadata/a")),
    _with("metadata over 4 KiB", {"metadata": {"a": "x" * 4_089}}, ("too-long", "/metadata")),
    _with("two problems", {"timeout": 0, "foo": 1}, ("unknown-field", "/foo"), ("out-of-range", "/timeout")),
    _sip("unknown member of a target", {"foo": 1}, ("unknown-field", "/sip/0/foo")),
    _sip("dial's member in a target", {"callerId": "x"}, ("unknown-field", "/sip/0/callerId")),
    _sip("password alone", {"password": "p"}, ("credentials-incomplete", "/sip/0/password")),
    _sip("username null", {"username": None, "password": "p"}, ("credentials-incomplete", "/sip/0/password")),
    _sip("username empty", {"username": "", "password": "p"}, ("credentials-incomplete", "/sip/0/username")),
    _sip("username as a number", {"username": 1, "password": "p"}, ("type-invalid", "/sip/0/username")),
    _sip("password with a line", {"username": "u", "password": "a\nb"}, ("character-invalid", "/sip/0/password")),
    _sip("screening at 10/8", {"url": "http://u:p@10.0.0.1/"}, ("address-denied", "/sip/0/url")),
    _sip("screening's method", {"url": "https://a.example/", "method": 1}, ("type-invalid", "/sip/0/method")),
    _sip("screening's timeout", {"timeout": 601}, ("out-of-range", "/sip/0/timeout")),
    _sip("answering machines", {"machineDetection": "Enable"}, ("not-supported", "/sip/0/machineDetection")),
    _sip(
        "event as a number",
        {"statusCallback": "https://a.example/", "statusCallbackEvent": 1},
        ("type-invalid", "/sip/0/statusCallbackEvent"),
    ),
    _sip(
        "events that are numbers",
        {"statusCallback": "https://a.example/", "statusCallbackEvent": [1]},
        ("type-invalid", "/sip/0/statusCallbackEvent"),
    ),
    _sip(
        "unknown event",
        {"statusCallback": "https://a.example/", "statusCallbackEvent": ["ringing", "busy"]},
        ("event-unknown", "/sip/0/statusCallbackEvent"),
    ),
    _sip(
        "method PUT",
        {"statusCallback": "https://a.example/", "statusCallbackMethod": "PUT"},
        ("method-invalid", "/sip/0/statusCallbackMethod"),
    ),
    _sip("forbidden header", {"uri": "sip:a@example.com?v=x"}, ("header-forbidden", "/sip/0/uri")),
    _sip("sips over udp", {"uri": "sips:a@example.com;transport=UDP"}, ("uri-invalid", "/sip/0/uri")),
    _sip("loopback", {"uri": "sip:a@127.0.0.1"}, ("address-denied", "/sip/0/uri")),
]

BAD_JSON = RAW + ROOT + MEMBERS
