"""What the demo draws: nothing wider than the terminal, and the same facts as plain lines elsewhere."""

import io

import pytest
from rich.console import Console

from app.demo.screen import screen_for
from app.demo.story import Story
from tests.unit.demo.test_verdict import whole


def drawn(story: Story, width: int, *, terminal: bool, encoding: str = "utf-8") -> list[str]:
    written = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=written, width=width, height=40, force_terminal=terminal, color_system=None, legacy_windows=False
    )
    screen = screen_for(console, story)
    with screen:
        story.step("starting")
        story.done("started")
        story.arrived("msg_9", {"CallStatus": "ringing", "SequenceNumber": "1"}, answered=500, problem=None)
    screen.conclude("The road is broken.", ["look there"])
    written.seek(0)
    return written.read().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_cut(width: int) -> None:
    lines = drawn(whole(), width, terminal=True)
    text = "\n".join(lines)
    assert max(len(line.split("\x1b")[0]) for line in lines) <= width
    assert "…" not in text
    for word in ("200 OK (BYE)", "in-progress", "callee-hangup", "RTP 100 in", "The road is broken.", "look there"):
        assert word in text


def test_without_a_terminal_each_thing_is_a_line_when_it_happens() -> None:
    text = "\n".join(drawn(whole(), 80, terminal=False))
    assert "\x1b" not in text
    assert "step     started" in text
    assert "ringing    CallStatus=ringing SequenceNumber=1 answered 500, attempt 1, signature right" in text
    assert "failed   The road is broken." in text


def test_a_terminal_without_unicode_gets_other_signs() -> None:
    text = "\n".join(drawn(whole(), 80, terminal=True, encoding="ascii"))
    assert text.isascii()
    assert "-> INVITE" in text
