"""What a recording-status callback says, and to whom. Sends nothing."""

from datetime import UTC, datetime
from email.utils import format_datetime

from app.calls.call import Call
from app.calls.callback import Callback
from app.calls.change import UNNUMBERED, Owed
from app.calls.parameters import of_every_request, owed, without_empty
from app.calls.recording import Recording, RecordingNotice, RecordingState


def notice_owed(
    notice: RecordingNotice | None, recording: Recording, call: Call | None, url: str, *, at: datetime
) -> Owed | None:
    """Nothing when it was not asked for; `call` None: its record is gone, the rest is told all the same."""
    if notice is None or recording.state not in notice.events:
        return None
    there = recording.state is RecordingState.COMPLETED
    named: list[tuple[str, object]] = [
        ("RecordingSid", recording.sid),
        ("RecordingUrl", url if there else None),
        ("RecordingStatus", recording.state),
        ("RecordingDuration", round(recording.duration or 0) if there else None),
        ("RecordingChannels", recording.channels),
        ("RecordingSource", recording.source),
        ("RecordingStartTime", format_datetime(recording.started_at.astimezone(UTC))),
        ("Timestamp", format_datetime(at.astimezone(UTC))),
    ]
    known = of_every_request(call) if call is not None else [("CallSid", str(recording.call_sid))]
    return owed(Callback(notice.url, notice.method), known + without_empty(named), UNNUMBERED)
