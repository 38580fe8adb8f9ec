"""Text, drawing and JSON of a trace: they say what happened, and what a peer wrote stays text."""

from datetime import timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.status import Status
from app.calls.wire import LeftOut
from app.trace.document import as_document
from app.trace.layout import layout
from app.trace.story import Story, Told, ladder
from app.trace.svg import as_svg
from app.trace.text import as_text
from app.trace.wording import gap, offset, plain
from tests.unit.trace.make import BEGAN, INVITE, copy, leg, message, story

EVIL = "</text><script>alert(1)</script>]]>&\"'\x00\x1b\u202e\ud83d\ue000<![CDATA["


def full() -> Story:
    one = leg(reason="callee-hangup", sip_response_code=200, sip_response_reason="OK")
    at = BEGAN + timedelta(milliseconds=20)
    told = [
        Told(one.sid, "answered", at, "app.example", attempt=1, status=None, latency_ms=15_000, error="timed out"),
        Told(one.sid, "answered", at, "app.example", attempt=2, status=204, latency_ms=3, error=None),
    ]
    return story(one, told=told, left_out=[LeftOut(one.sid, BEGAN, 9)])


def drawn_texts(svg: str) -> str:
    return " ".join("".join(element.itertext()) for element in ElementTree.fromstring(svg).iter() if element.text)


def test_the_text_shows_arrows_times_pauses_and_the_end() -> None:
    text = as_text(ladder(full()))
    lines = text.splitlines()
    assert lines[3].split() == ["Dial-to-SIP", "alice", "callbacks"]
    assert any(line.startswith("    +0 ms") and "INVITE (1) " in line and line.count(">") == 1 for line in lines)
    assert any("<" in line and " 200 OK (1 INVITE) " in line for line in lines)
    assert sum(" again " in line for line in lines) == 3
    assert "answered: timed out, 15.0 s" in text and "answered: 204, 3 ms, attempt 2" in text
    assert "1 min 6 s later" in text and "(9 more messages were not kept)" in text
    assert lines[-1] == "[1] sip:alice@198.51.100.7:5080: completed · callee-hangup · 200 OK"
    assert text.isascii() or "·" in text


def test_the_drawing_is_one_document_without_anything_from_elsewhere() -> None:
    svg = as_svg(ladder(full()))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "style", "rect", "text", "tspan", "line", "path", "g", "title", "circle"}
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name]
    assert "url(" not in svg and svg.count("http") == svg.count("http://www.w3.org/2000/svg")
    for said in ("INVITE", "200 OK", "retransmission", "re-INVITE", "answered → 204", "9 more messages", "1 min 6 s"):
        assert said in drawn_texts(svg)
    assert "prefers-color-scheme:dark" in svg


def test_a_hold_is_a_group_and_the_talk_a_bar_from_200_to_bye() -> None:
    placed = layout(ladder(full()))
    assert [band.label for band in placed.groups] == ["re-INVITE"]
    [bar] = placed.dialogs
    rows = {row.y: row.row for row in placed.rows}
    assert rows[bar.top].seen.title == "200 OK" and rows[bar.bottom].seen.title == "BYE"  # type: ignore[union-attr]  # arrows


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_foot(status: Status) -> None:
    assert status in as_svg(ladder(story(leg(status=status))))


def test_a_call_without_messages_says_so() -> None:
    nothing = ladder(story(leg(), copies=[]))
    assert "No SIP message" in as_svg(nothing) and "no SIP message" in as_text(nothing)
    assert as_document(nothing)["messages"] == []


def test_what_a_peer_writes_cannot_leave_its_place() -> None:
    one = leg(to=f"sip:{EVIL}@h", sip_response_code=486, sip_response_reason=EVIL)
    data = f"SIP/2.0 486 {EVIL}\r\nCSeq: 1 {EVIL}\r\nWarning: {EVIL}\r\n\r\n".encode(errors="surrogatepass")
    drawn = ladder(story(one, copies=[copy(one.sid, 0, "received", data)]))
    svg = as_svg(drawn)
    names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
    assert "script" not in names and "\u202e" not in svg and "\x1b" not in svg and "&lt;script&gt;" in svg
    text = as_text(drawn)
    assert "\x1b" not in text and "\u202e" not in text and "\x00" not in text
    assert text.encode() and svg.encode()


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode(errors="replace"))), max_size=5
    )
)
def test_any_message_can_be_drawn(datas: list[bytes]) -> None:
    one = leg()
    copies = [copy(one.sid, at, "received", data) for at, data in enumerate([INVITE, *datas])]
    drawn = ladder(story(one, copies=copies))
    ElementTree.fromstring(as_svg(drawn))
    as_text(drawn).encode()
    assert len(as_document(drawn)["messages"]) == len(copies)


def test_the_longest_trace_is_drawn_within_a_second() -> None:
    legs = [leg() for _ in range(10)]
    long = message("INFO sip:a@h SIP/2.0", "9 INFO", "X: " + "<" * 1_000, to_tag="b")
    copies = [copy(one.sid, at, "sent", long + b"%d" % at) for one in legs for at in range(200)]
    drawn = ladder(story(*legs, copies=copies))
    assert len(as_svg(drawn)) < 16 * 1024 * 1024


def test_json_has_every_message_whole() -> None:
    document = as_document(ladder(full()))
    first = document["messages"][0]
    assert (first["number"], first["direction"], first["method"], first["offsetMs"]) == (1, "sent", "INVITE", 0.0)
    assert first["data"].encode() == INVITE and first["at"] == "2026-01-31T12:00:00.012345Z"
    assert [one["status"] for one in document["callbacks"]] == [None, 204]
    assert document["leftOut"] == 9
    odd = leg()
    shown = as_document(ladder(story(odd, copies=[copy(odd.sid, 0, "sent", b"\xff\xfe\x00 SIP")])))["messages"][0]
    assert (shown["data"], shown["kind"], shown["method"]) == ("\\xff\\xfe\x00 SIP", "unreadable", None)


def test_times_are_said_as_people_say_them() -> None:
    assert [offset(ms) for ms in (0, 7.44, 120, 3_200)] == ["+0 ms", "+7.4 ms", "+120 ms", "+3.200 s"]
    assert [gap(s) for s in (2, 65, 3_720)] == ["2.0 s", "1 min 5 s", "1 h 2 min"]
    assert plain("a\r\n\tb\u200bé") == "a···b·é"


def test_what_an_arrow_says_is_whole_where_its_number_would_not_fit_beside_it() -> None:
    one = leg()
    challenged = message("SIP/2.0 407 Proxy Authentication Required", "1 INVITE", to_tag="b")
    svg = as_svg(
        ladder(story(one, copies=[copy(one.sid, 0, "sent", INVITE), copy(one.sid, 5, "received", challenged)]))
    )
    assert "407 Proxy Authentication Required" in drawn_texts(svg)


def test_who_is_who_stands_below_a_long_ladder_too() -> None:
    one = leg()
    rings = [copy(one.sid, n, "received", message("SIP/2.0 180 R", f"{n} INVITE", to_tag="b")) for n in range(1, 300)]
    for copies, times in (([copy(one.sid, 0, "sent", INVITE)], 1), ([copy(one.sid, 0, "sent", INVITE), *rings], 2)):
        svg = as_svg(ladder(story(one, copies=copies)))
        assert svg.count('class="head"') == 2 * times
        document = ElementTree.fromstring(svg)
        lowest = max(float(each.get("y", 0)) for each in document.iter() if each.get("y"))
        assert lowest < float(document.get("height", 0))
