"""The ladder drawn: one self-contained SVG without scripts or fonts from elsewhere, for light and dark screens.

Whatever a peer wrote ends as text: every string goes through `_safe`.
"""

from collections.abc import Iterator
from datetime import UTC
from html import escape

from app.calls.call import Call
from app.calls.status import Status
from app.trace.layout import CHARACTER, FOOT_LINE, HEAD_HEIGHT, HEAD_Y, MARGIN, OWN_X, Layout, column_x, layout
from app.trace.story import Arrow, Ladder, Note
from app.trace.wording import gap, offset, outcome, plain, since, took

MEDIA_TYPE = "image/svg+xml"
# For whoever opens it by itself: it can do nothing but be looked at.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}

# Pixels of one character, roughly.
_TITLE, _NAME, _BOLD, _TEXT, _SMALL = 9.8, 8.4, 7.8, 7.3, 6.2
_TIP = 4_000  # characters of a message that the pointer shows
_SANS = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_COLOURS = {  # class: light, dark
    "request": ("#2457d6", "#8ab4f8"),
    "provisional": ("#a15c00", "#fbbf5c"),
    "success": ("#15803d", "#7bd88f"),
    "failure": ("#c5221f", "#ff8a80"),
    "unreadable": ("#6b7280", "#9aa0a6"),
    "again": ("#8b929c", "#7d838c"),
}
_STATUS_COLOURS = {
    Status.COMPLETED: "success",
    Status.BUSY: "failure",
    Status.FAILED: "failure",
    Status.NO_ANSWER: "provisional",
    Status.CANCELED: "again",
}
_STYLE = f"""
text{{{_SANS};font-size:13px;fill:#1b1f24}}
.page{{fill:#fff}}.title{{font-size:17px;font-weight:600}}.dim,.time{{fill:#667080}}
.mono,.time,.detail{{{_MONO};font-size:11.5px}}.detail,.number{{fill:#667080}}.number{{font-size:11.5px;font-weight:400}}
.time{{text-anchor:end}}.name{{font-weight:600;font-size:14px}}.mid{{text-anchor:middle}}
.label{{font-weight:600;text-anchor:middle}}.halo{{stroke:#fff;stroke-width:5px;paint-order:stroke;stroke-linejoin:round}}
.head{{fill:#f3f5f8;stroke:#d3dae3}}.life{{stroke:#ccd3dc;stroke-width:1.5}}.talk{{fill:#bfe5cb}}
.band{{fill:none;stroke:#b9c8ea;stroke-dasharray:3 3}}
.rule{{stroke:#e3e7ec}}.lead{{stroke:#b9c1cc;stroke-dasharray:1 5;stroke-linecap:round}}
.pill{{fill:#f3f5f8;stroke:#d3dae3}}.badge{{fill:#e4e9f2}}
.line{{stroke-width:1.8;fill:none}}.dash{{stroke-dasharray:5 4}}
""" + "".join(f".{name}{{stroke:{light}}}.{name}-fill{{fill:{light}}}" for name, (light, _) in _COLOURS.items())
_DARK = """
text{fill:#e6e9ee}.page{fill:#14171c}.dim,.time,.detail,.number{fill:#98a1ad}.halo{stroke:#14171c}
.head,.pill{fill:#1f242c;stroke:#3a424e}.life{stroke:#3a424e}.talk{fill:#275238}.band{stroke:#3d4d73}
.rule{stroke:#2a3038}.lead{stroke:#4a5360}.badge{fill:#2c3440}
""" + "".join(f".{name}{{stroke:{dark}}}.{name}-fill{{fill:{dark}}}" for name, (_, dark) in _COLOURS.items())


def as_svg(ladder: Ladder) -> str:
    """The whole document."""
    placed = layout(ladder)
    width, height = max(placed.width, 860), placed.height
    call = ladder.story.call
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="SIP ladder of call {_safe(call.sid)}">',
        f"<style>{_STYLE}@media(prefers-color-scheme:dark){{{_DARK}}}</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        *_title(ladder, width),
        *_grounds(placed),
        *_heads(placed, HEAD_Y),
        *(_heads(placed, placed.bottom) if placed.is_long else ()),
        *_pauses(placed, width),
    ]
    for row in placed.rows:
        y = row.y
        time = offset(since(ladder.began, row.row.at))
        parts.append(_text(MARGIN + 82, y + 4, time, "time"))
        parts += _arrow(ladder, row.row, y) if isinstance(row.row, Arrow) else _note(ladder, row.row, y)
    if not placed.rows:
        parts.append(_text(OWN_X + 24, placed.bottom - 30, "No SIP message is stored for this call.", "dim"))
    return "\n".join([*parts, *_foot(placed, width), "</svg>", ""])


def _title(ladder: Ladder, width: int) -> Iterator[str]:
    call = ladder.story.call
    title = _cut(f"{call.from_uri}  →  {_targets(ladder)}", width - 2 * MARGIN, _TITLE)
    yield _text(MARGIN, 38, title, "title")
    began = f"{ladder.began.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    yield _text(MARGIN, 62, f"{call.sid} · {began} UTC is +0", "mono dim")


def _targets(ladder: Ladder) -> str:
    first, *others = [leg.to_uri for leg in ladder.story.legs] or [ladder.story.call.to_uri]
    return f"{first} and {len(others)} more" if others else first


def _grounds(placed: Layout) -> Iterator[str]:
    """What lies under the arrows: shades, lifelines, the time in which a dialog stood."""
    for band in placed.groups:
        right = column_x(band.column)
        yield (
            f'<rect class="band" x="{OWN_X - 34}" y="{band.top}" width="{right - OWN_X + 150}" '
            f'height="{band.bottom - band.top}" rx="6"/>'
        )
        yield _text(right + 12, band.top + 16, band.label, "dim")
    for column in range(len(placed.ladder.participants)):
        x = column_x(column)
        yield f'<line class="life" x1="{x}" y1="{HEAD_Y + HEAD_HEIGHT}" x2="{x}" y2="{placed.bottom}"/>'
    for talk in placed.dialogs:
        for x in (OWN_X, column_x(talk.column)):
            height = max(talk.bottom - talk.top, 4)
            yield f'<rect class="talk" x="{x - 4}" y="{talk.top}" width="8" height="{height}" rx="4"/>'


def _heads(placed: Layout, y: int) -> Iterator[str]:
    for column, one in enumerate(placed.ladder.participants):
        x = column_x(column)
        yield f'<rect class="head" x="{x - 105}" y="{y}" width="210" height="{HEAD_HEIGHT}" rx="8"/>'
        yield _text(x, y + 20, _cut(one.name, 190, _NAME), "name mid")
        yield _text(x, y + 37, _cut(one.address, 200), "mono dim mid")


def _pauses(placed: Layout, width: int) -> Iterator[str]:
    for pause in placed.pauses:
        yield f'<line class="lead" x1="{MARGIN}" y1="{pause.y}" x2="{width - MARGIN}" y2="{pause.y}"/>'
        yield _text(OWN_X + 26, pause.y + 4, f"{gap(pause.seconds)} later", "dim halo")


def _arrow(ladder: Ladder, arrow: Arrow, y: int) -> Iterator[str]:
    near, far = OWN_X, column_x(arrow.peer)
    start, end = (near, far) if arrow.sent else (far, near)
    way = 1 if end > start else -1
    colour = "again" if arrow.again else str(arrow.seen.kind)
    label, note = _label(arrow, far - near - 24)
    yield f"<g><title>{_tip(arrow.copy.data)}</title>"
    yield f'<rect class="page" opacity="0" x="{near}" y="{y - 18}" width="{far - near}" height="30"/>'
    dash = " dash" if arrow.again else ""
    yield f'<line class="line {colour}{dash}" x1="{start + way * 6}" y1="{y}" x2="{end - way * 12}" y2="{y}"/>'
    tip = end - way * 5
    yield f'<path class="{colour}-fill" d="M{tip} {y}l{-way * 10} -5v10z"/>'
    yield (
        f'<text class="label halo {colour}-fill" x="{(near + far) // 2}" y="{y - 7}">'
        f'{_safe(label)} <tspan class="number" dx="4">{_safe(note)}</tspan></text>'
    )
    if arrow.detail:
        yield _text((near + far) // 2, y + 14, _cut(arrow.detail, far - near - 20), "detail mid halo")
    if ladder.has_several_legs:
        yield from _badge(OWN_X - 22, y, arrow.leg)
    yield "</g>"


def _label(arrow: Arrow, pixels: int) -> tuple[str, str]:
    """What stands on the arrow, bold and plain; without the CSeq's method where that is too long."""
    seen = arrow.seen
    again = " · retransmission" if arrow.again else ""
    whole, short = f"CSeq {seen.cseq}{again}", f"CSeq {seen.number}{again}"
    fits = len(seen.title) * _BOLD + len(whole) * _SMALL < pixels
    note = (whole if seen.code and fits else short) if seen.cseq else ""
    if (len(seen.title) * _BOLD + len(note) * _SMALL > pixels >= len(seen.title) * _BOLD) and not again:
        note = ""  # what was said is worth more than its number
    return _cut(seen.title, pixels - len(note) * _SMALL, _BOLD), note


def _note(ladder: Ladder, note: Note, y: int) -> Iterator[str]:
    x = column_x(note.column)
    told = note.told
    if told is None:
        text, colour = note.event, "again"
    else:
        answer = str(told.status) if told.status is not None else "no answer"
        again = f" · attempt {told.attempt}" if told.attempt > 1 else ""
        text = f"{note.event} → {answer} · {took(told.latency_ms)}{again}"
        colour = "success" if told.accepted else "failure"
    shown = _cut(text, 260)
    width = round(len(shown) * _TEXT) + 36
    left = x - width // 2
    yield f"<g><title>{_safe(told.error if told and told.error else text)}</title>"
    if note.column:
        yield f'<line class="lead" x1="{OWN_X + 6}" y1="{y}" x2="{left - 4}" y2="{y}"/>'
    yield f'<rect class="pill" x="{left}" y="{y - 11}" width="{width}" height="22" rx="11"/>'
    yield f'<circle class="{colour}-fill" cx="{left + 13}" cy="{y}" r="4"/>'
    yield _text(left + 24, y + 4, shown, "")
    if ladder.has_several_legs and note.leg:
        yield from _badge(OWN_X - 22 if note.column else left - 14, y, note.leg)
    yield "</g>"


def _badge(x: int, y: int, leg: int) -> Iterator[str]:
    yield f'<circle class="badge" cx="{x}" cy="{y}" r="9"/>'
    yield _text(x, y + 4, str(leg), "mid mono")


def _foot(placed: Layout, width: int) -> Iterator[str]:
    y = placed.bottom + 22 + (HEAD_HEIGHT if placed.is_long else 0)
    yield f'<line class="rule" x1="{MARGIN}" y1="{y}" x2="{width - MARGIN}" y2="{y}"/>'
    y += FOOT_LINE
    story = placed.ladder.story
    for number, leg in enumerate(story.legs, 1):
        yield from _ending(leg, number if placed.ladder.has_several_legs else 0, y)
        y += FOOT_LINE
    if story.missing:
        yield _text(MARGIN + 18, y, f"{story.missing} more messages were not kept", "dim")


def _ending(leg: Call, number: int, y: int) -> Iterator[str]:
    colour = _STATUS_COLOURS.get(leg.status, "request")
    yield f'<circle class="{colour}-fill" cx="{MARGIN + 6}" cy="{y - 4}" r="5"/>'
    if number:
        yield from _badge(MARGIN + 28, y - 4, number)
    x = MARGIN + (44 if number else 20)
    yield (
        f'<text x="{x}" y="{y}"><tspan font-weight="600">{_safe(leg.to_uri[:80])}</tspan>'
        f'<tspan dx="10">{_safe(outcome(leg))}</tspan></text>'
    )


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}">{_safe(text)}</text>'


def _cut(text: str, pixels: float, character: float = CHARACTER) -> str:
    most = max(4, int(pixels / character))
    return text if len(text) <= most else text[: most - 1] + "…"


def _tip(data: bytes) -> str:
    text = data[:_TIP].decode(errors="replace").replace("\r\n", "\n")
    return "\n".join(_safe(line) for line in text.split("\n"))


def _safe(text: str) -> str:
    """Text and nothing else, in an element and in an attribute."""
    return escape(plain(text), quote=True)
