"""SIP and SDP that is nearly right, out of nothing or for a dialog that exists. Sends nothing."""

from dataclasses import dataclass
from random import Random

from app.sip.message import SipMessage

_METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE",
    "REGISTER", "PUBLISH", "FROBNICATE", "invite",
)  # fmt: skip
_ODD_ROWS = (
    "Require: 100rel", "Require: timer, frobnicate", "Supported: 100rel, timer", "Contact: *", "Contact: <tel:1>",
    "Contact: <sip:[::1]>", "Contact: <sip:x@256.256.256.256>", "Contact: sip:x;lr ,,;", "Max-Forwards: 0",
    "Max-Forwards: -1", "Max-Forwards: 99999", "Session-Expires: 90;refresher=uas", "Session-Expires: 1",
    "Session-Expires: 99999999999999999999", "Min-SE: x", "RSeq: 1", "RSeq: 4294967295", "RSeq: -1",
    "RAck: 1 1 INVITE", "Record-Route: <sip:127.0.0.1;lr>", "Record-Route: <sip:127.0.0.1>",
    "Record-Route: <>, <, >", "Route: <sip:x;lr>", "Allow: UPDATE", "Allow:", "Expires: 1e9",
    "Retry-After: 5 (soon);duration=x", "Warning: 399 x \"", "Date: never",
    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"", "WWW-Authenticate: Digest realm=\"",
    "Priority: x", "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256, stale=true",
    "WWW-Authenticate: Basic", "Proxy-Authenticate: Digest nonce=,realm=,,,", "Content-Encoding: gzip",
    "Content-Type: multipart/mixed;boundary=\"\"", "Content-Type: multipart/mixed;boundary=x",
    "Content-Type: text/plain", "Content-Type:", "Subject: \N{SNOWMAN}", "X-A: b", "Call-ID: again",
    "CSeq: 1 INVITE", "To: <sip:a>;tag=a;tag=b", "l: 0", "l: 00000000000000000000000000", ": nameless",
    "no colon at all", "Reason: SIP;cause=200", "Join: x", "Replaces: x;to-tag=1;from-tag=2", "Event: talk",
)  # fmt: skip
_SDP_ROWS = (
    "v=0", "o=- 1 1 IN IP4 127.0.0.1", "o=x", "s=-", "s=", "c=IN IP4 0.0.0.0", "c=IN IP6 ::1",
    "c=IN IP4 nowhere.invalid", "c=", "t=0 0", "b=AS:0", "m=audio 0 RTP/AVP 0", "m=audio 99999 RTP/AVP 0",
    "m=audio 9 RTP/SAVP 0", "m=video 9 RTP/AVP 31", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9/65535 RTP/AVP 0",
    "m=", "a=rtpmap:0 PCMU/8000", "a=rtpmap:0 PCMU/0", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:999 X/1",
    "a=fmtp:101 0-15", "a=ptime:0", "a=ptime:-20", "a=sendonly", "a=inactive", "a=rtcp:1",
    "a=rtcp:9 IN IP4 127.0.0.1", "a=rtcp:x", "a=rtcp-mux", "a=", "a=candidate:1 1 UDP 1 x 1 typ",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40, "a=crypto:1 X inline:", "z=", "nonsense", "",
)  # fmt: skip

CALLER = "caller-"  # what the Call-IDs of our own calls begin with


@dataclass(frozen=True, slots=True)
class Here:
    """Where answers to us shall go, and where we say that media does."""

    host: str
    port: int
    media_port: int


def sdp(rng: Random, here: Here) -> str:
    """Mostly one that a call can be had with."""
    rows = [
        "v=0", f"o=- {rng.randrange(9)} {rng.randrange(9)} IN IP4 {here.host}", "s=-", f"c=IN IP4 {here.host}", "t=0 0",
        f"m=audio {here.media_port} RTP/AVP {rng.choice(('0', '8', '0 8 101', '101 0', '8 18 0', '18'))}",
    ]  # fmt: skip
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        rows.insert(rng.randrange(len(rows) + 1), rng.choice(_SDP_ROWS))
    return "\r\n".join([*rows, ""])


def stranger(rng: Random, here: Here) -> bytes:
    """A request or response that belongs to nothing."""
    name = f"{rng.getrandbits(48):x}"
    method = rng.choice(_METHODS)
    start = f"{method} sip:x@127.0.0.1 SIP/2.0" if rng.random() < 0.7 else f"SIP/2.0 {rng.randrange(100, 700)} So"
    tag = rng.choice(("", "", f";tag={name}"))
    rows = [
        f"Via: SIP/2.0/UDP {here.host}:{here.port};rport;branch=z9hG4bK{name}",
        f"From: <sip:f@{here.host}>;tag={name}",
        f"To: <sip:x@127.0.0.1>{tag}",
        f"Call-ID: {name}",
        f"CSeq: {rng.randrange(1, 99)} {method}",
    ]
    return _message(rng, start, rows, sdp(rng, here) if rng.random() < 0.3 else "")


def answer(rng: Random, request: SipMessage, here: Here) -> bytes:
    """A response to a request that we got, with the right branch, tags and numbers."""
    code = rng.choice((100, 180, 180, 183, 183, 199, 200, 200, 200, 202, 299, rng.randrange(300, 700)))
    rows = [f"Via: {via}" for via in request.all("via")]
    rows += [
        f"From: {request.first('from')}",
        f"To: {request.first('to')};tag={rng.choice(('callee', 'callee', 'callee', 'fork'))}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {request.cseq[0]} {rng.choice((request.method_name,) * 8 + ('BYE', 'CANCEL'))}",
    ]
    if rng.random() < 0.8:
        rows.append(f"Contact: <sip:fuzz@{here.host}:{here.port}>")
    body = sdp(rng, here) if 180 <= code < 300 and rng.random() < 0.8 else ""
    return _message(rng, f"SIP/2.0 {code} Whatever", rows, body)


def in_dialog(rng: Random, invite: SipMessage, here: Here) -> bytes:
    """A request of the callee in the dialog of that INVITE. Few of them end it."""
    method = rng.choice(("INVITE", "INVITE", "UPDATE", "UPDATE", "INFO", "OPTIONS", "ACK", "BYE", *_METHODS))
    if method == "BYE" and rng.random() < 0.8:
        method = "INFO"
    contact = (invite.first("contact") or "sip:x@h").strip("<>")
    rows = [
        f"Via: SIP/2.0/UDP {here.host}:{here.port};rport;branch=z9hG4bK{rng.getrandbits(48):x}",
        f"From: {invite.first('to')};tag={rng.choice(('callee', 'callee', 'callee', 'fork'))}",
        f"To: {invite.first('from')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {rng.randrange(1, 2**31 + 5) if rng.random() < 0.1 else rng.randrange(1, 5000)} {method}",
        f"Contact: <sip:fuzz@{here.host}:{here.port}>",
    ]
    body = (
        sdp(rng, here)
        if method in ("INVITE", "UPDATE", "ACK")
        else rng.choice(("", "Signal=5\r\nDuration=100\r\n", "#"))
    )
    if method == "INFO":
        rows.append(rng.choice(("Content-Type: application/dtmf-relay", "c: application/dtmf", "c: x/y")))
    return _message(rng, f"{method} {contact} SIP/2.0", rows, body)


def caller(rng: Random, number: str, here: Here) -> bytes:
    """An INVITE for a number that is answered."""
    name = f"{rng.getrandbits(48):x}"
    rows = [
        f"Via: SIP/2.0/UDP {here.host}:{here.port};rport;branch=z9hG4bK{name}",
        f"From: <sip:caller@{here.host}>;tag={name}",
        f"To: <sip:{number}@127.0.0.1>",
        f"Call-ID: {CALLER}{name}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:caller@{here.host}:{here.port}>",
        "Max-Forwards: 70",
        *rng.choice(((), (), (), ("Supported: 100rel, timer",), ("Require: 100rel",), ("Diversion: <sip:x@y>",))),
    ]
    return _message(rng, f"INVITE sip:{number}@127.0.0.1 SIP/2.0", rows, sdp(rng, here) if rng.random() < 0.8 else "")


def of_caller(rng: Random, answer: SipMessage, here: Here) -> bytes:
    """What the caller may say to that answer to its INVITE, mostly its ACK or PRACK."""
    method = "ACK" if answer.status_code >= 200 else "PRACK" if answer.first("rseq") else "CANCEL"
    if rng.random() < 0.5:
        method = rng.choice(("INVITE", "UPDATE", "INFO", "OPTIONS", "PRACK", "CANCEL", "BYE", *_METHODS))
    same = method in ("ACK", "CANCEL")
    branch = answer.branch if method == "CANCEL" else f"z9hG4bK{rng.getrandbits(48):x}"
    uri = (answer.first("contact") or "sip:x@127.0.0.1").strip("<>")
    to = answer.first("to") or ""
    rows = [
        f"Via: SIP/2.0/UDP {here.host}:{here.port};rport;branch={branch}",
        f"From: {answer.first('from')}",
        f"To: {to.partition(';tag=')[0] if method == 'CANCEL' else to}",
        f"Call-ID: {answer.call_id}",
        f"CSeq: {answer.cseq[0] if same else rng.randrange(2, 5000)} {method}",
        f"Contact: <sip:caller@{here.host}:{here.port}>",
        f"RAck: {answer.first('rseq') or rng.randrange(9)} {answer.cseq[0]} INVITE",
    ]
    body = sdp(rng, here) if method in ("INVITE", "UPDATE", "ACK", "PRACK") and rng.random() < 0.6 else ""
    return _message(rng, f"{method} {uri} SIP/2.0", rows, body)


def _message(rng: Random, start: str, rows: list[str], body: str) -> bytes:
    if body and not any(row.startswith("c: ") or "dtmf" in row for row in rows):
        rows.append("Content-Type: application/sdp")
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
        rows.insert(rng.randrange(len(rows) + 1), rng.choice(_ODD_ROWS))
    if rng.random() < 0.1:
        rng.shuffle(rows)
    rows.append(f"Content-Length: {len(body)}")
    return "\r\n".join([start, *rows, "", body]).encode()
