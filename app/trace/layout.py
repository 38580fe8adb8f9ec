"""Where everything of a drawn ladder stands, in pixels; knows no SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.trace.glance import Kind
from app.trace.story import Arrow, Ladder, Note, Row

MARGIN = 28
GUTTER = 92  # for the time
OWN_X = MARGIN + GUTTER + 70
SPAN = 300  # between two columns
HEAD_Y = 92
HEAD_HEIGHT = 46
FIRST_Y = HEAD_Y + HEAD_HEIGHT + 44
FOOT_LINE = 26
GAP_SECONDS = 1.5
_ONE_SCREEN = 1_200
CHARACTER = 7.0  # pixels of one, roughly

_ARROW_STEP, _DETAIL_STEP, _NOTE_STEP, _GAP_STEP = 34, 17, 30, 34
_NO_GROUP = ("ACK", "BYE", "CANCEL", "PRACK")


@dataclass(frozen=True, slots=True)
class Placed:
    """One row and its height on the page."""

    row: Row
    y: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing happened here for that long."""

    y: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Band:
    """What belongs together on the line between us and a peer."""

    column: int
    top: int
    bottom: int
    label: str


@dataclass(frozen=True, slots=True)
class Layout:
    ladder: Ladder
    rows: tuple[Placed, ...]
    pauses: tuple[Pause, ...]
    bottom: int  # of the lifelines

    @property
    def width(self) -> int:
        return column_x(len(self.ladder.participants) - 1) + (150 if len(self.ladder.participants) > 1 else 560)

    @property
    def is_long(self) -> bool:
        """Whether who is who stands below, too: above it is out of sight by then."""
        return self.bottom > _ONE_SCREEN

    @property
    def height(self) -> int:
        return (
            self.bottom
            + (HEAD_HEIGHT if self.is_long else 0)
            + 40
            + FOOT_LINE * (len(self.ladder.story.legs) + bool(self.ladder.story.missing))
            + 12
        )

    @property
    def groups(self) -> list[Band]:
        """Each transaction inside a dialog: re-INVITE, UPDATE, INFO…, from its request to its last answer."""
        found: dict[tuple[int, str, str, str], list[Placed]] = {}
        for placed, arrow in self._arrows():
            asked_by_us = arrow.sent != bool(arrow.seen.code)
            method = "INVITE" if arrow.seen.method == "ACK" else arrow.seen.method
            key = (arrow.leg, arrow.seen.number, method, str(asked_by_us))
            opens = arrow.in_dialog and not arrow.seen.code and arrow.seen.method not in _NO_GROUP
            if key in found or opens:
                found.setdefault(key, []).append(placed)
        return [
            _band(rows, ("re-INVITE" if method == "INVITE" else method)) for (_, _, method, _), rows in found.items()
        ]

    @property
    def dialogs(self) -> list[Band]:
        """From each leg's 2xx to its BYE."""
        started: dict[int, Placed] = {}
        ended: dict[int, Placed] = {}
        for placed, arrow in self._arrows():
            if arrow.seen.kind is Kind.SUCCESS and arrow.seen.method == "INVITE":
                started.setdefault(arrow.leg, placed)
            elif arrow.seen.method == "BYE" and arrow.leg in started:
                ended.setdefault(arrow.leg, placed)
        last = self.rows[-1] if self.rows else None
        return [
            Band(_peer_of(placed), placed.y, (ended.get(leg) or last or placed).y, "")
            for leg, placed in started.items()
        ]

    def _arrows(self) -> Iterator[tuple[Placed, Arrow]]:
        for placed in self.rows:
            if isinstance(placed.row, Arrow):
                yield placed, placed.row


def column_x(column: int) -> int:
    return OWN_X + column * SPAN


def layout(ladder: Ladder) -> Layout:
    """One row below the other; a pause has room of its own."""
    rows: list[Placed] = []
    pauses: list[Pause] = []
    y, previous = FIRST_Y, ladder.began
    for row in ladder.rows:
        if (seconds := (row.at - previous).total_seconds()) > GAP_SECONDS:
            pauses.append(Pause(y - 6, seconds))
            y += _GAP_STEP
        rows.append(Placed(row, y))
        previous = row.at
        if isinstance(row, Note):
            y += _NOTE_STEP
        else:
            y += _ARROW_STEP + (_DETAIL_STEP if row.detail else 0)
    return Layout(ladder, tuple(rows), tuple(pauses), y if rows else y + 20)


def _peer_of(placed: Placed) -> int:
    return placed.row.peer if isinstance(placed.row, Arrow) else 0


def _band(rows: Sequence[Placed], label: str) -> Band:
    return Band(_peer_of(rows[0]), rows[0].y - 23, rows[-1].y + 23, label)
