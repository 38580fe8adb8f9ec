"""What a status callback says, parameter by parameter."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest

from app.calls.call import Call, Direction
from app.calls.callback import Callback
from app.calls.event import Event
from app.calls.parameters import Fired, owed, status_callback
from app.calls.sid import AccountSid, CallSid
from app.calls.status import Status

_AT = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
_LEG = Call(
    sid=CallSid("CA" + "1" * 32),
    account_sid=AccountSid("AC" + "2" * 32),
    parent_sid=CallSid("CA" + "3" * 32),
    leg_index=0,
    direction=Direction.OUTBOUND_DIAL,
    from_uri="sip:bob@h",
    to_uri="sip:alice@example.com:5080",
    status=Status.INITIATED,
    created_at=_AT,
    sip_call_id="abc@h",
)


def test_an_event_says_who_what_and_when() -> None:
    assert status_callback(Fired(_LEG, Event.INITIATED, _AT), 0) == [
        ("CallSid", "CA" + "1" * 32),
        ("AccountSid", "AC" + "2" * 32),
        ("From", "sip:bob@h"),
        ("To", "sip:alice@example.com:5080"),
        ("CallStatus", "initiated"),
        ("ApiVersion", "2012-04-24"),
        ("Direction", "outbound-dial"),
        ("ParentCallSid", "CA" + "3" * 32),
        ("SipCallId", "abc@h"),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "0"),
        ("Timestamp", "Sun, 01 Mar 2026 12:00:05 +0000"),
    ]


@pytest.mark.parametrize(
    ("event", "status"),
    [(Event.INITIATED, "initiated"), (Event.RINGING, "ringing"), (Event.ANSWERED, "in-progress")],
)
def test_call_status_names_the_event_even_when_the_record_is_elsewhere(event: Event, status: str) -> None:
    parent = replace(_LEG, parent_sid=None, status=Status.IN_PROGRESS)
    assert dict(status_callback(Fired(parent, event, _AT), 0))["CallStatus"] == status


def test_completed_adds_duration_code_and_reason() -> None:
    call = replace(
        _LEG,
        status=Status.COMPLETED,
        answer_time=_AT,
        end_time=_AT + timedelta(seconds=2.6),
        sip_response_code=200,
        reason="callee-hangup",
    )
    said = dict(status_callback(Fired(call, Event.COMPLETED, _AT), 3))
    assert (said["CallStatus"], said["CallDuration"], said["SipResponseCode"]) == ("completed", "3", "200")
    assert (said["Reason"], said["SequenceNumber"]) == ("callee-hangup", "3")


def test_a_call_that_was_never_answered_lasted_zero_seconds() -> None:
    call = replace(_LEG, status=Status.BUSY, end_time=_AT)
    assert dict(status_callback(Fired(call, Event.COMPLETED, _AT), 1))["CallDuration"] == "0"


def test_x_headers_of_the_answer_come_with_their_names_and_repeated_values_joined() -> None:
    headers = (("X-Order", "42"), ("X-Tag", "a"), ("x-tag", "b"))
    said = dict(status_callback(Fired(_LEG, Event.ANSWERED, _AT, headers), 2))
    assert (said["SipHeader_X-Order"], said["SipHeader_X-Tag"]) == ("42", "a, b")


def test_post_carries_a_form_and_get_adds_to_the_urls_own_query() -> None:
    parameters = [("To", "sip:a@h"), ("Timestamp", "Sun, 01 Mar 2026 12:00:05 +0000")]
    posted = owed(Callback("https://u:p@app/e?x=1#top"), parameters, 0)
    assert posted.url == "https://u:p@app/e?x=1#top"
    assert posted.body is not None
    assert parse_qsl(posted.body) == parameters
    got = owed(Callback("https://app/e?x=1", "GET"), parameters, 0)
    assert got.body is None
    assert parse_qsl(got.url.partition("?")[2]) == [("x", "1"), *parameters]
