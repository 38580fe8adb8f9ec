"""Draws the story: a table that fills in on a terminal, plain lines anywhere else. Decides nothing."""

from collections.abc import Mapping
from typing import Any, Protocol

from rich.box import ASCII, ROUNDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from app.demo.story import Arrival, SipSeen, Story

_WIDEST = 110  # columns
_LEFT, _RIGHT = 34, 46  # columns of the two tables on a terminal of 80, frames included
_SIP_ROWS, _EVENT_ROWS = 9, 5  # kept free from the start, so that nothing jumps
_STATUS_STYLE = {"completed": "green", "in-progress": "cyan", "ringing": "yellow"}


class Screen(Protocol):
    def __enter__(self) -> "Screen":
        """Begin to show."""

    def __exit__(self, *ended: object) -> None:
        """The last state stays visible."""

    def conclude(self, failure: str | None, notes: list[str]) -> None:
        """The last word: what failed, None when nothing did, and what to look at next."""


def screen_for(console: Console, story: Story) -> Screen:
    return _LiveScreen(console, story) if console.is_terminal else _PlainScreen(console, story)


class _Marks:
    """Signs that this terminal can show."""

    def __init__(self, console: Console) -> None:
        plain = not console.encoding.lower().startswith("utf")
        self.to, self.back, self.both = ("->", "<-", "<>") if plain else ("→", "←", "⇄")
        self.good, self.bad = ("ok", "!!") if plain else ("✓", "✗")
        self.times = "x" if plain else "×"
        self.box = ASCII if plain else ROUNDED
        self.spinner = "line" if plain else "dots"

    def arrow(self, message: SipSeen) -> str:
        return self.to if message.by == "product" else self.back


class _LiveScreen:
    def __init__(self, console: Console, story: Story) -> None:
        self._console = console
        self._story = story
        self._marks = _Marks(console)
        self._spinner = Spinner(self._marks.spinner, style="cyan")
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=12, transient=False)

    def __enter__(self) -> "_LiveScreen":
        self._console.print()
        self._live.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self._live.refresh()
        self._live.__exit__(None, None, None)

    def conclude(self, failure: str | None, notes: list[str]) -> None:
        if failure is None:
            self._console.print(Text(f" {self._marks.good} The whole road works.", style="bold green"))
        else:
            self._console.print(Text(f" {self._marks.bad} {failure}", style="bold red"))
        for note in notes:
            self._console.print(Text(f"   {note}"), soft_wrap=True)
        self._console.print()

    def _picture(self) -> RenderableType:
        width = min(self._console.width, _WIDEST)
        parts: list[RenderableType] = [self._steps()]
        if width < _LEFT + _RIGHT:
            parts += [self._sip(width), self._events(width, _EVENT_ROWS)]
        else:
            left = _LEFT + (width - _LEFT - _RIGHT) // 3
            both = Table.grid(padding=0)
            both.add_row(self._sip(left), self._events(width - left, _SIP_ROWS))
            parts.append(both)
        parts.append(self._record(width))
        return Group(*parts)

    def _steps(self) -> RenderableType:
        steps = Table.grid(padding=(0, 1))
        for text in self._story.steps:
            steps.add_row(Text(f" {self._marks.good}", style="green"), Text(text))
        if self._story.doing:
            steps.add_row(Padding(self._spinner, (0, 0, 0, 1)), Text(self._story.doing))
        return steps

    def _sip(self, width: int) -> Panel:
        rows = _columns()
        for message in self._story.sip:
            ours = message.by == "product"
            style = "cyan" if ours else _code_style(message.text)
            rows.add_row(_time(message.at), Text(self._marks.arrow(message), style=style), Text(message.text, style))
        if self._story.rtp_received or self._story.rtp_sent:
            counts = f"RTP {self._story.rtp_received} in, {self._story.rtp_sent} out"
            rows.add_row("", Text(self._marks.both, style="magenta"), Text(counts, style="magenta"))
        return self._panel(rows, f"SIP {self._marks.to} callee", width, _SIP_ROWS)

    def _events(self, width: int, height: int) -> Panel:
        rows = _columns(header=True)
        for name, least in (("", 5), ("event", 9), ("CallStatus", 11), ("#", 1), ("answer", 6), ("sig", 3)):
            rows.add_column(name, no_wrap=True, header_style="dim", min_width=least)
        for arrival in self._story.arrivals:
            signature = self._marks.good if arrival.problem is None else self._marks.bad
            rows.add_row(
                _time(arrival.at),
                Text(arrival.event, style="bold"),
                Text(arrival.status, style=_STATUS_STYLE.get(arrival.status, "")),
                arrival.sequence,
                Text(_answer(arrival, self._marks), style="green" if arrival.answered < 300 else "red"),
                Text(signature, style="green" if arrival.problem is None else "red"),
            )
        return self._panel(rows, f"Webhooks {self._marks.to} receiver", width, height)

    def _record(self, width: int) -> Panel:
        rows = Table.grid(padding=(0, 2))
        for name, value in _facts(self._story):
            rows.add_row(Text(name, style="dim"), Text(value, style=_STATUS_STYLE.get(value, "")))
        return self._panel(rows, "Record GET /v1/calls/{sid}", width, 5)

    def _panel(self, rows: Table, title: str, width: int, height: int) -> Panel:
        tall = max(height, rows.row_count + rows.show_header)
        return Panel(
            rows,
            title=Text(title, style="bold"),
            title_align="left",
            box=self._marks.box,
            border_style="dim",
            width=width,
            height=tall + 2,
        )


class _PlainScreen:
    """One line per thing that happened, when it happened."""

    def __init__(self, console: Console, story: Story) -> None:
        self._console = console
        self._story = story
        self._marks = _Marks(console)

    def __enter__(self) -> "_PlainScreen":
        self._story.told = self._line
        return self

    def __exit__(self, *ended: object) -> None:
        self._story.told = lambda _: None

    def conclude(self, failure: str | None, notes: list[str]) -> None:
        if self._story.rtp_received:
            self._print(f"rtp      {self._story.rtp_received} packets in, {self._story.rtp_sent} out")
        for name, value in _facts(self._story):
            self._print(f"record   {name:<9}{value}")
        self._print("ok       The whole road works." if failure is None else f"failed   {failure}")
        for note in notes:
            self._print(f"         {note}")

    def _line(self, thing: str | SipSeen | Arrival) -> None:
        if isinstance(thing, str):
            self._print(f"step     {thing}")
        elif isinstance(thing, SipSeen):
            self._print(f"sip     {thing.at:6.3f}  {self._marks.arrow(thing)} {thing.text}")
        else:
            signature = "signature right" if thing.problem is None else f"signature wrong: {thing.problem}"
            self._print(
                f"webhook {thing.at:6.3f}  {thing.event:<10} CallStatus={thing.status} SequenceNumber={thing.sequence}"
                f" answered {thing.answered}, attempt {thing.attempt}, {signature}"
            )

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def _columns(*, header: bool = False) -> Table:
    return Table(box=None, padding=(0, 1, 0, 0), show_header=header, pad_edge=False)


def _time(at: float) -> Text:
    return Text(f"{at:.3f}", style="dim")


def _code_style(text: str) -> str:
    return {"2": "green", "4": "red", "5": "red", "6": "red"}.get(text[0], "yellow")


def _answer(arrival: Arrival, marks: _Marks) -> str:
    return str(arrival.answered) if arrival.attempt == 1 else f"{arrival.answered} {marks.times}{arrival.attempt}"


def _facts(story: Story) -> list[tuple[str, str]]:
    leg: Mapping[str, Any] = story.leg or {}
    if not leg:
        return []
    code = f"{leg.get('sipResponseCode') or ''} {leg.get('sipResponseReason') or ''}".strip()
    return [
        ("sid", str(leg.get("sid"))),
        ("status", str(leg.get("status"))),
        ("reason", str(leg.get("reason") or "")),
        ("SIP", code),
        ("duration", f"{leg.get('duration')} s"),
    ]
