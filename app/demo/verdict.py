"""Whether the whole road worked: one clear sentence about the first thing that did not. Looks at the story only."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.demo.story import Story

FINAL = {"completed", "busy", "no-answer", "failed", "canceled"}
EVENTS = ["initiated", "ringing", "answered", "completed"]
_LADDER = [
    ("product", "INVITE"),
    ("callee", "180 Ringing"),
    ("callee", "200 OK"),
    ("product", "ACK"),
    ("callee", "BYE"),
    ("product", "200 OK (BYE)"),
]


def what_failed(story: Story) -> str | None:
    """The first failure, None when everything that was promised happened."""
    return next(_failures(story), None)


def _failures(story: Story) -> Iterator[str]:
    """In the order in which the call goes, so that the first one is the cause and not a consequence."""
    yield from _of_the_end(story)
    yield from _of_the_ladder(story)
    if not story.rtp_received:
        yield "No RTP packet reached the callee."
    yield from _of_the_callbacks(story)
    yield from _of_the_record(story)
    yield from _of_the_deliveries(story)


def _of_the_end(story: Story) -> Iterator[str]:
    leg = story.leg
    if story.call is None or leg is None:
        yield "The API did not show the call and its leg."
        return
    status = leg.get("status")
    if status not in FINAL:
        seen = story.sip[-1].text if story.sip else "nothing"
        yield f"The call did not end: its record still says {status}; the last SIP message was {seen}."
    elif status != "completed":
        yield f"The call ended {status} ({_why(leg)}), but the callee was to answer and to hang up."
    elif leg.get("reason") != "callee-hangup":
        yield f"The call ended by {leg.get('reason')}, but it was the callee who was to hang up."


def _why(leg: Mapping[str, Any]) -> str:
    code = leg.get("sipResponseCode")
    answer = f"; the callee answered {code} {leg.get('sipResponseReason') or ''}".rstrip() if code else ""
    return f"reason {leg.get('reason')}{answer}"


def _of_the_ladder(story: Story) -> Iterator[str]:
    seen = [(message.by, message.text) for message in story.sip]
    for by, text in _LADDER:
        if (by, text) not in seen:
            yield f"The {by} never sent {text}."


def _of_the_callbacks(story: Story) -> Iterator[str]:
    for arrival in story.arrivals:
        if arrival.problem is not None:
            yield f"The signature of the callback `{arrival.event}` is wrong: {arrival.problem}."
        if arrival.answered >= 300:
            yield f"The receiver answered {arrival.answered} to the callback `{arrival.event}`: it was not delivered."
    came = [arrival.event.value for arrival in story.arrivals]
    if came != EVENTS:
        yield f"The callbacks came as {', '.join(came) or 'none'}; they should be {', '.join(EVENTS)}."
    numbers = [arrival.sequence for arrival in story.arrivals]
    if numbers != ["0", "1", "2", "3"]:
        yield f"The callbacks' SequenceNumbers are {', '.join(numbers)}; they should be 0, 1, 2, 3."


def _of_the_record(story: Story) -> Iterator[str]:
    leg, call = story.leg or {}, story.call or {}
    last = story.arrivals[-1].parameters
    if last.get("CallSid") != leg.get("sid"):
        yield f"The callbacks name {last.get('CallSid')}, the record of the leg {leg.get('sid')}."
    if last.get("CallDuration") != str(leg.get("duration")):
        yield f"The callback says {last.get('CallDuration')} s, the record {leg.get('duration')} s."
    if call.get("status") != "completed" or call.get("dialCallSid") != leg.get("sid"):
        yield f"The leg completed, but its parent ended {call.get('status')} with the leg {call.get('dialCallSid')}."


def _of_the_deliveries(story: Story) -> Iterator[str]:
    states = [str(delivery.get("state")) for delivery in story.deliveries]
    if states != ["delivered"] * len(EVENTS):
        yield f"The API shows the deliveries as {', '.join(states) or 'none'}; all {len(EVENTS)} should be delivered."
