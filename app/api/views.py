"""Calls, events, recordings and deliveries as customers see them: the fields of contract section 2 and no other."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.answers import time_text
from app.calls.call import Call
from app.calls.change import UNNUMBERED
from app.calls.recording import Recording, RecordingState
from app.calls.sid import CallSid, RecordingSid
from app.recordings.links import Links
from app.store.calls import StoredEvent
from app.store.deliveries import AttemptView, DeliveryView

View = dict[str, Any]
RecordingsOf = Mapping[CallSid, Sequence[RecordingSid]]

_NONE: RecordingsOf = {}


def call_view(call: Call, legs: Sequence[Call] = (), recordings: RecordingsOf = _NONE) -> View:
    """One call; `legs` are a parent's, with the same fields; `recordings` of all of them, as they began."""
    return {
        "sid": call.sid,
        "accountSid": call.account_sid,
        "parentCallSid": call.parent_sid,
        "direction": call.direction,
        "from": call.from_uri,
        "to": call.to_uri,
        "status": call.status,
        "createdAt": time_text(call.created_at),
        "startTime": time_text(call.start_time),
        "ringTime": time_text(call.ring_time),
        "answerTime": time_text(call.answer_time),
        "endTime": time_text(call.end_time),
        "duration": call.duration,
        "ringDuration": call.ring_duration,
        "sipCallId": call.sip_call_id,
        "sipResponseCode": call.sip_response_code,
        "sipResponseReason": call.sip_response_reason,
        "reason": call.reason,
        "screening": call.screening,
        "dialCallStatus": call.dial_call_status,
        "dialCallSid": call.dial_call_sid,
        "dialCallDuration": call.dial_call_duration,
        "recordings": list(recordings.get(call.sid, ())),
        "legs": [call_view(leg, (), recordings) for leg in legs],
        "rcml": call.rcml,
        "idempotencyKey": call.idempotency_key,
        "metadata": dict(call.metadata or {}),
        "uri": call_uri(call.sid),
    }


def call_uri(sid: str) -> str:
    return f"/v1/calls/{sid}"


def event_view(sid: str, stored: StoredEvent) -> View:
    return {
        "id": stored.seq,
        "callSid": sid,
        "event": stored.event,
        "at": time_text(stored.at),
        "detail": dict(stored.detail or {}),
    }


def recording_view(recording: Recording, links: Links) -> View:
    there = recording.state is RecordingState.COMPLETED
    return {
        "sid": recording.sid,
        "accountSid": recording.account_sid,
        "callSid": recording.call_sid,
        "source": recording.source,
        "channels": recording.channels,
        "status": recording.state,
        "startTime": time_text(recording.started_at),
        "endTime": time_text(recording.ended_at),
        "duration": recording.duration,
        "size": recording.size,
        "url": links.url_of(recording.sid) if there else None,
        "uri": f"/v1/recordings/{recording.sid}",
    }


def delivery_view(delivery: DeliveryView) -> View:
    return {
        "id": delivery.id,
        "messageId": delivery.message_id,
        "accountSid": delivery.account_sid,
        "callSid": delivery.call_sid,
        "sequence": None if delivery.sequence == UNNUMBERED else delivery.sequence,
        "state": delivery.state,
        "method": delivery.method,
        "url": delivery.url,
        "body": delivery.body,
        "createdAt": time_text(delivery.created_at),
        "nextAt": time_text(delivery.next_at),
        "finishedAt": time_text(delivery.finished_at),
        "expiresAt": time_text(delivery.expires_at),
        "attempts": [_attempt_view(attempt) for attempt in delivery.attempts],
    }


def _attempt_view(attempt: AttemptView) -> View:
    return {
        "number": attempt.number,
        "at": time_text(attempt.at),
        "status": attempt.status,
        "latencyMs": attempt.latency_ms,
        "error": attempt.error,
        "answer": attempt.answer,
    }
