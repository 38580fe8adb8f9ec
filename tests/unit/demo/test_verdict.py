"""What the demo says of a story, whole or broken."""

from collections.abc import Callable
from typing import Any

import pytest

from app.demo.story import Arrival, SipSeen, Story
from app.demo.verdict import what_failed

LADDER = [
    ("product", "INVITE"),
    ("callee", "180 Ringing"),
    ("callee", "200 OK"),
    ("product", "ACK"),
    ("callee", "BYE"),
    ("product", "200 OK (BYE)"),
]


def arrival(number: int, status: str, **changes: Any) -> Arrival:
    parameters = {"CallSid": "CA2", "CallStatus": status, "SequenceNumber": str(number)}
    if status == "completed":
        parameters["CallDuration"] = "2"
    return Arrival(
        **{
            "at": 0.0,
            "message_id": f"msg_{number}",
            "parameters": parameters,
            "attempt": 1,
            "answered": 204,
            "problem": None,
            **changes,
        }
    )


def whole() -> Story:
    story = Story()
    story.sip = [SipSeen(0.0, by, text) for by, text in LADDER]  # type: ignore[arg-type]  # by is one of two words
    story.rtp_received = 100
    story.arrivals = [arrival(n, s) for n, s in enumerate(["initiated", "ringing", "in-progress", "completed"])]
    leg = {"sid": "CA2", "status": "completed", "reason": "callee-hangup", "duration": 2}
    story.call = {"sid": "CA1", "status": "completed", "dialCallSid": "CA2", "legs": [leg]}
    story.deliveries = ({"state": "delivered"},) * 4
    return story


def leg_says(**changes: Any) -> Callable[[Story], None]:
    def change(story: Story) -> None:
        story.call = {**(story.call or {}), "legs": [{**(story.leg or {}), **changes}]}

    return change


def without_rtp(story: Story) -> None:
    story.rtp_received = 0


def without_ack(story: Story) -> None:
    story.sip = [seen for seen in story.sip if seen.text != "ACK"]


def swapped(story: Story) -> None:
    story.arrivals[1], story.arrivals[2] = story.arrivals[2], story.arrivals[1]


def twice(story: Story) -> None:
    story.arrivals.append(arrival(3, "completed", attempt=2))


def unsigned(story: Story) -> None:
    story.arrivals[0] = arrival(0, "initiated", problem="No matching signature found")


def refused(story: Story) -> None:
    story.arrivals = [arrival(0, "initiated", answered=500)]


def silent(story: Story) -> None:
    story.arrivals = []


def owed(story: Story) -> None:
    story.deliveries = ({"state": "delivered"},) * 3 + ({"state": "owed"},)


def orphaned(story: Story) -> None:
    story.call = {**(story.call or {}), "status": "failed"}


def nothing(story: Story) -> None:
    story.call = None


def test_a_whole_story_has_no_failure() -> None:
    assert what_failed(whole()) is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (leg_says(status="busy", reason="busy", sipResponseCode=486, sipResponseReason="Busy Here"),
         "ended busy (reason busy; the callee answered 486 Busy Here)"),
        (leg_says(status="ringing"), "did not end: its record still says ringing"),
        (leg_says(reason="time-limit"), "ended by time-limit"),
        (leg_says(duration=7), "The callback says 2 s, the record 7 s."),
        (leg_says(sid="CA9"), "name CA2, the record of the leg CA9"),
        (without_rtp, "No RTP packet"),
        (without_ack, "The product never sent ACK."),
        (swapped, "came as initiated, answered, ringing, completed"),
        (twice, "came as initiated, ringing, answered, completed, completed"),
        (unsigned, "signature of the callback `initiated` is wrong"),
        (refused, "The receiver answered 500 to the callback `initiated`"),
        (silent, "came as none"),
        (owed, "delivered, delivered, delivered, owed"),
        (orphaned, "its parent ended failed"),
        (nothing, "did not show the call"),
    ],
)  # fmt: skip
def test_the_first_thing_that_broke_is_named(spoil: Callable[[Story], None], says: str) -> None:
    story = whole()
    spoil(story)
    assert says in (what_failed(story) or "")
