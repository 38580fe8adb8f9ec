"""Examples for the OpenAPI document that work as they are. Tests send and compare them."""

from typing import Any

RCML = """<Response>
  <Dial callerId="bob" timeout="30" timeLimit="14400">
    <Sip statusCallback="https://app.example.com/events"
         statusCallbackEvent="initiated,ringing,answered,completed">sip:alice@sip.example.com?X-Order=42</Sip>
  </Dial>
</Response>
"""
DIAL: dict[str, Any] = {
    "callerId": "bob",
    "timeout": 30,
    "timeLimit": 14_400,
    "sip": [
        {
            "uri": "sip:alice@sip.example.com?X-Order=42",
            "statusCallback": "https://app.example.com/events",
            "statusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        }
    ],
}
SHORTEST: dict[str, Any] = {"sip": "sip:alice@sip.example.com"}
TWO_PARTIES: dict[str, Any] = {
    "caller": "sip:bob@sip.example.com",
    "callerId": "bob",
    "timeout": 30,
    "timeLimit": 14_400,
    "hangupOnStar": True,
    "record": True,
    "action": "https://app.example.com/after",
    "sip": [
        {
            "uri": "sip:alice@sip.example.com",
            "username": "dialer",
            "password": "change me",
            "url": "https://app.example.com/screen",
            "timeout": 20,
        }
    ],
}

# Every verb but Reject, by what each shows. Those that speak or listen need ?caller=…
VERBS: dict[str, str] = {
    "say, then dial": '<Response><Say language="en-GB">One moment, please.</Say>'
    "<Dial><Sip>sip:alice@sip.example.com</Sip></Dial></Response>",
    "play a file twice": '<Response><Play loop="2">https://app.example.com/welcome.mp3</Play></Response>',
    "press keys": '<Response><Play digits="ww1234#"/></Response>',
    "ask for a number": '<Response><Gather action="https://app.example.com/digits" numDigits="4">'
    "<Say>Enter your four digits.</Say></Gather><Say>We heard nothing.</Say></Response>",
    "record a message": "<Response><Say>Speak after the beep, and press star.</Say>"
    '<Record action="https://app.example.com/message" finishOnKey="*" maxLength="120"/></Response>',
    "dial, wait, dial another": '<Response><Dial timeout="20"><Sip>sip:alice@sip.example.com</Sip></Dial>'
    '<Pause length="2"/><Dial><Sip>sip:carol@sip.example.com</Sip></Dial></Response>',
    "go on elsewhere": '<Response><Redirect method="GET">https://app.example.com/next</Redirect></Response>',
    "hang up": "<Response><Say>Good bye.</Say><Hangup/></Response>",
}
REJECT = '<Response><Reject reason="busy"/></Response>'  # only in the document of a number

SID = "CA0f9a3c5e7b1d4f6082a4c6e8f0b2d4f6"
LEG_SID = "CA1b2d4f60820f9a3c5e7b1d4fa4c6e8f0"
ACCOUNT_SID = "AC5e7b1d4f6082a4c60f9a3ce8f0b2d4f6"

_NEW_CALL: dict[str, Any] = {
    "sid": LEG_SID,
    "accountSid": ACCOUNT_SID,
    "parentCallSid": SID,
    "direction": "outbound-dial",
    "from": "sip:bob@192.0.2.1",
    "to": "sip:alice@sip.example.com",
    "status": "queued",
    "createdAt": "2026-01-31T12:00:00.000000Z",
    "startTime": None,
    "ringTime": None,
    "answerTime": None,
    "endTime": None,
    "duration": 0,
    "ringDuration": 0,
    "sipCallId": None,
    "sipResponseCode": None,
    "sipResponseReason": None,
    "reason": None,
    "screening": None,
    "dialCallStatus": None,
    "dialCallSid": None,
    "dialCallDuration": None,
    "recordings": [],
    "legs": [],
    "rcml": None,
    "idempotencyKey": None,
    "metadata": {},
    "uri": f"/v1/calls/{LEG_SID}",
}
PLACED: dict[str, Any] = _NEW_CALL | {
    "sid": SID,
    "parentCallSid": None,
    "direction": "outbound-api",
    "legs": [_NEW_CALL],
    "rcml": '<Response><Dial callerId="bob"><Sip statusCallback="https://app.example.com/events">'
    "sip:alice@sip.example.com?X-Order=42</Sip></Dial></Response>",
    "uri": f"/v1/calls/{SID}",
}
EVENT: dict[str, Any] = {
    "id": 1,
    "callSid": LEG_SID,
    "event": "initiated",
    "at": "2026-01-31T12:00:00.012345Z",
    "detail": {},
}
DELIVERY: dict[str, Any] = {
    "id": 7,
    "messageId": "msg_5e7b1d4f6082a4c60f9a3ce8f0b2d4f6",
    "accountSid": ACCOUNT_SID,
    "callSid": LEG_SID,
    "sequence": 0,
    "state": "delivered",
    "method": "POST",
    "url": "https://app.example.com/events",
    "body": "CallSid=" + LEG_SID,
    "createdAt": "2026-01-31T12:00:00.012345Z",
    "nextAt": None,
    "finishedAt": "2026-01-31T12:00:00.098765Z",
    "expiresAt": "2026-02-01T12:00:00.012345Z",
    "attempts": [
        {
            "number": 1,
            "at": "2026-01-31T12:00:00.020000Z",
            "status": 200,
            "latencyMs": 78,
            "error": None,
            "answer": "",
        }
    ],
}
_INVITE = (
    "INVITE sip:alice@sip.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK7d\r\n"
    'CSeq: 2 INVITE\r\nProxy-Authorization: Digest username="bob", realm="example", nonce="c1", response="***"\r\n'
    "Content-Length: 0\r\n\r\n"
)
TRACE: dict[str, Any] = {
    "callSid": LEG_SID,
    "status": "ringing",
    "participants": [
        {"name": "Dial-to-SIP", "address": "192.0.2.1:5060"},
        {"name": "alice", "address": "198.51.100.7:5060 udp"},
        {"name": "callbacks", "address": "app.example.com"},
    ],
    "messages": [
        {
            "number": 1,
            "callSid": LEG_SID,
            "at": "2026-01-31T12:00:00.012345Z",
            "offsetMs": 0.0,
            "direction": "sent",
            "transport": "udp",
            "local": "192.0.2.1:5060",
            "remote": "198.51.100.7:5060",
            "participant": 1,
            "kind": "request",
            "method": "INVITE",
            "statusCode": None,
            "reason": None,
            "cseq": "2 INVITE",
            "sipCallId": "5e7b1d4f6082a4c60f9a3ce8f0b2d4f6@192.0.2.1",
            "retransmission": False,
            "detail": "login bob at example",
            "data": _INVITE,
        }
    ],
    "callbacks": [
        {
            "callSid": LEG_SID,
            "event": "initiated",
            "at": "2026-01-31T12:00:00.020000Z",
            "offsetMs": 7.655,
            "host": "app.example.com",
            "attempt": 1,
            "status": 200,
            "latencyMs": 78,
            "error": None,
        }
    ],
    "leftOut": 0,
}
TRACE_TEXT = """\
            Dial-to-SIP                             alice
            192.0.2.1:5060                          198.51.100.7:5060 udp
    +0 ms   |--------------- INVITE (1) ----------->|
  +8.1 ms   |<---------- 180 Ringing (1 INVITE) ----|
"""
PROBLEM: dict[str, Any] = {
    "type": "/docs/errors#out-of-range",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "`timeout` of <Dial> must be from 1 to 600",
    "instance": "/v1/dials",
    "errors": [
        {
            "code": "out-of-range",
            "detail": "`timeout` of <Dial> must be from 1 to 600",
            "line": 2,
            "column": 25,
        }
    ],
}
