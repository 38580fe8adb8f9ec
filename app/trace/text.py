"""The ladder in plain text, for terminals and tickets."""

from collections.abc import Sequence
from datetime import UTC

from app.calls.call import Call
from app.trace.story import Arrow, Ladder, Note, Participant
from app.trace.wording import gap, offset, outcome, plain, since, took

_MARGIN = 12  # characters for the time
_WIDTH = 40  # of a column
_GAP_SECONDS = 1.5
_LONG_TITLE = 16  # characters; more leave no room for the CSeq's method


def as_text(ladder: Ladder) -> str:
    """Lines of ASCII arrows; what a peer sent is shown without its control characters."""
    story = ladder.story
    began = ladder.began.astimezone(UTC)
    lines = [f"Call {story.call.sid}  {plain(story.call.from_uri)} -> {plain(story.call.to_uri)}"]
    lines += [f"{began:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC is +0", ""]
    lines += _heads(ladder.participants)
    previous = ladder.began
    for row in ladder.rows:
        if (pause := (row.at - previous).total_seconds()) > _GAP_SECONDS:
            lines.append(_line("", _lifelines(ladder, f" {gap(pause)} later")))
        previous = row.at
        lines += _rows(ladder, row)
    if not ladder.rows:
        lines.append("(no SIP message is stored for this call)")
    if story.missing:
        lines.append(f"({story.missing} more messages were not kept)")
    return "\n".join([*lines, "", *(_foot(leg, number) for number, leg in enumerate(story.legs, 1)), ""])


def _heads(participants: Sequence[Participant]) -> list[str]:
    names = "".join(plain(one.name)[: _WIDTH - 2].ljust(_WIDTH) for one in participants)
    addresses = "".join(plain(one.address)[: _WIDTH - 2].ljust(_WIDTH) for one in participants)
    return [" " * _MARGIN + names.rstrip(), " " * _MARGIN + addresses.rstrip()]


def _rows(ladder: Ladder, row: Arrow | Note) -> list[str]:
    time = offset(since(ladder.began, row.at)).rjust(_MARGIN - 3)
    if isinstance(row, Note):
        return [_line(time, _note(ladder, row))]
    first = _line(time, _arrow(ladder, row))
    return [first, _line("", _lifelines(ladder, f"  {plain(row.detail)}"))] if row.detail else [first]


def _line(time: str, rest: str) -> str:
    return f"{time}".ljust(_MARGIN) + rest.rstrip()


def _lifelines(ladder: Ladder, text: str = "", column: int = 0) -> str:
    """A bar in every column; `text` behind that of `column`."""
    bars = "".join("|".ljust(_WIDTH) for _ in ladder.participants)
    start = column * _WIDTH + 1
    return bars[:start] + text + bars[start + len(text) :] if text else bars


def _arrow(ladder: Ladder, arrow: Arrow) -> str:
    length = arrow.peer * _WIDTH - 1
    label = _label(arrow, ladder.has_several_legs)[: length - 4]
    dash = "." if arrow.again else "-"
    drawn = label.center(length - 1, dash)
    drawn = f"{drawn}>" if arrow.sent else f"<{drawn}"
    return _lifelines(ladder, drawn)


def _label(arrow: Arrow, numbered: bool) -> str:
    mark = f"[{arrow.leg}] " if numbered else ""
    seen = arrow.seen
    number = seen.cseq if seen.code and len(seen.title) < _LONG_TITLE else seen.number
    again = " again" if arrow.again else ""
    return plain(f" {mark}{seen.title} ({number}){again} ")


def _note(ladder: Ladder, note: Note) -> str:
    mark = f"[{note.leg or 'parent'}] " if ladder.has_several_legs else ""
    if note.told is None:
        return _lifelines(ladder, f" * {mark}{note.event}")
    told = note.told
    answer = str(told.status) if told.status is not None else plain(told.error or "no answer")
    again = f", attempt {told.attempt}" if told.attempt > 1 else ""
    return _lifelines(ladder, f" <= {mark}{note.event}: {answer}, {took(told.latency_ms)}{again}", note.column)


def _foot(leg: Call, number: int) -> str:
    return f"[{number}] {plain(leg.to_uri)}: {plain(outcome(leg))}"
