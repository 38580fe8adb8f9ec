"""The shapes of recordings for the OpenAPI document. Nothing is parsed or written with them."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from app.api.schemas import ACCOUNT_SID, RECORDING_SID, CallSid, Shape
from app.calls.recording import RecordingState

RecordingSid = Annotated[str, Field(pattern=RECORDING_SID)]


class Recording(Shape):
    """What was said on a call, or on one leg of it."""

    sid: RecordingSid
    account_sid: Annotated[str, Field(pattern=ACCOUNT_SID)]
    call_sid: CallSid = Field(description="the parent for <Dial record>, the leg that it ran on for <Record>")
    source: Literal["DialVerb", "RecordVerb"]
    channels: Literal[1, 2] = Field(description="of two the first is the caller's")
    status: RecordingState = Field(description="absent: nothing was said, or nothing could be kept")
    start_time: AwareDatetime
    end_time: AwareDatetime | None
    duration: float | None = Field(description="seconds, once it has ended")
    size: int | None = Field(description="bytes, of a completed one")
    url: str | None = Field(description="of its audio, absolute, as callbacks have it; null unless completed")
    uri: str


class Recordings(Shape):
    """Of one call, as they began; of a parent with those of its legs."""

    recordings: list[Recording]


class RecordingPage(Shape):
    """Newest first."""

    recordings: list[Recording]
    next_page_uri: str | None
