"""The trace as plain values, for the API's JSON."""

from datetime import UTC, datetime
from typing import Any

from app.calls.wire import address_text
from app.trace.story import Arrow, Ladder, Note
from app.trace.wording import since

View = dict[str, Any]


def as_document(ladder: Ladder) -> View:
    """Messages and what callbacks were told, each by time; `data` is the message with credentials masked."""
    story = ladder.story
    arrows = [row for row in ladder.rows if isinstance(row, Arrow)]
    notes = [row for row in ladder.rows if isinstance(row, Note) and row.told is not None]
    return {
        "callSid": story.call.sid,
        "status": story.call.status,
        "participants": [{"name": one.name, "address": one.address} for one in ladder.participants],
        "messages": [_message(ladder, arrow, number) for number, arrow in enumerate(arrows, 1)],
        "callbacks": [_told(ladder, note) for note in notes],
        "leftOut": story.missing,
    }


def _message(ladder: Ladder, arrow: Arrow, number: int) -> View:
    seen, copy = arrow.seen, arrow.copy
    return {
        "number": number,
        "callSid": copy.call_sid,
        "at": _time(arrow.at),
        "offsetMs": round(since(ladder.began, arrow.at), 3),
        "direction": copy.direction,
        "transport": copy.transport,
        "local": address_text(copy.local),
        "remote": address_text(copy.remote),
        "participant": arrow.peer,
        "kind": seen.kind,
        "method": seen.method or None,
        "statusCode": seen.code or None,
        "reason": seen.reason or None,
        "cseq": seen.cseq or None,
        "sipCallId": seen.call_id or None,
        "retransmission": arrow.again,
        "detail": arrow.detail or None,
        "data": copy.data.decode(errors="backslashreplace"),
    }


def _told(ladder: Ladder, note: Note) -> View:
    told = note.told
    if told is None:
        return {}
    return {
        "callSid": told.call_sid,
        "event": told.event,
        "at": _time(told.at),
        "offsetMs": round(since(ladder.began, told.at), 3),
        "host": told.host,
        "attempt": told.attempt,
        "status": told.status,
        "latencyMs": told.latency_ms,
        "error": told.error,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
