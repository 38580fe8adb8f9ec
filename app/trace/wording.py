"""The words that every form of a trace shares: offsets, pauses, how a leg ended, and text that is safe to show."""

import unicodedata
from datetime import datetime

from app.calls.call import Call
from app.calls.status import FINAL


def since(began: datetime, at: datetime) -> float:
    """Milliseconds."""
    return (at - began).total_seconds() * 1000


def offset(ms: float) -> str:
    """``+7.4 ms``, ``+120 ms``, ``+3.200 s``."""
    if ms >= 1000:
        return f"+{ms / 1000:.3f} s"
    return f"+{ms:.1f} ms" if 0 < ms < 100 else f"+{ms:.0f} ms"


def took(ms: int) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms} ms"


def gap(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def outcome(call: Call) -> str:
    """``completed · time-limit · 200 OK · rang 2 s, talked 61 s``."""
    parts: list[str] = [call.status]
    if call.status not in FINAL:
        parts.append("goes on")
    if call.reason and call.reason != call.status:
        parts.append(call.reason)
    if call.sip_response_code:
        parts.append(f"{call.sip_response_code} {call.sip_response_reason or ''}".strip())
    if call.answer_time is not None:
        parts.append(f"rang {call.ring_duration} s, talked {call.duration} s")
    elif call.ring_time is not None:
        parts.append(f"rang {call.ring_duration} s")
    return " · ".join(parts)


def plain(text: str) -> str:
    """`text` on one line, without anything that is not to be seen: controls, marks of direction, lone surrogates."""
    return "".join(c if c.isprintable() and unicodedata.category(c) != "Co" else "·" for c in text)
