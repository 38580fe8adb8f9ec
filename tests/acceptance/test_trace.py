"""The trace of real calls on the whole road: what SIPp and we said, what the callbacks were told, and how it looks."""

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit import browser, tshark
from tests.kit.receiver import Receiver
from tests.kit.service import Customer
from tests.kit.sipp import sipp

pytestmark = pytest.mark.peer

CALLEES = Path(__file__).parent / "callees"


async def trace_of(customer: Customer, sid: str, *, ends_with: str, told: int = 0) -> dict[str, Any]:
    """The trace once it is all there, with `told` ends told: copies are stored a moment after the call's own record."""
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = await customer.get(f"/v1/calls/{sid}/trace")
            said = titles(found["messages"])
            ends = [one for one in found["callbacks"] if one["event"] == "completed" and one["status"]]
            if said and said[-1] == ends_with and len(ends) == told:
                return found
            await asyncio.sleep(0.05)  # polling as a customer would


def titles(messages: Iterable[dict[str, Any]]) -> list[str]:
    return [one["method"] if one["statusCode"] is None else f"{one['statusCode']} {one['method']}" for one in messages]


async def test_a_call_with_407_183_and_cancel_is_shown_whole_and_without_its_password(
    customer: Customer, app: Receiver
) -> None:
    with sipp(scenario=(CALLEES / "challenges_then_rings.xml").read_text()) as callee:
        target = {"uri": callee.uri, "username": "alice", "password": "sesame", "statusCallback": app.url}
        placed = await customer.dial({"timeout": 1, "sip": [target]})
        await customer.wait_for(placed["sid"])
        found = await trace_of(customer, placed["sid"], ends_with="ACK", told=1)
        sent = callee.said()
    assert titles(found["messages"]) == [
        "INVITE", "407 INVITE", "ACK", "INVITE", "100 INVITE", "183 INVITE",
        "CANCEL", "200 CANCEL", "487 INVITE", "ACK",
    ]  # fmt: skip
    assert [one["event"] for one in found["callbacks"]] == ["initiated", "ringing", "completed"]
    login = found["messages"][3]
    assert login["detail"] == "login alice at asterisk" and 'username="alice"' in login["data"]
    response = sent.partition('response="')[2][:32]
    assert len(response) == 32 and response not in login["data"] and 'response="***"' in login["data"]
    capture = (await customer.http.get(f"/v1/calls/{placed['sid']}/trace.pcap")).content
    seen = tshark.fields(capture, "sip.Method", "sip.Status-Code", "ip.checksum.status", "udp.checksum.status")
    assert [row[0] or row[1] for row in seen] == [title.partition(" ")[0] for title in titles(found["messages"])]
    assert {tuple(row[2:]) for row in seen} == {("1", "1")}


async def test_over_tcp_what_was_sent_first_stands_first_and_has_its_own_port(customer: Customer) -> None:
    with sipp("-sn", "uas", tcp=True) as callee:
        placed = await customer.dial({"timeLimit": 1, "sip": callee.uri + ";transport=tcp"})
        await customer.wait_for(placed["sid"])
        found = await trace_of(customer, placed["sid"], ends_with="200 BYE")
    assert titles(found["messages"]) == ["INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert len({one["local"] for one in found["messages"]}) == 1 and not found["messages"][0]["local"].endswith(":0")
    capture = (await customer.http.get(f"/v1/calls/{placed['sid']}/trace.pcap")).content
    assert [row[1] for row in tshark.fields(capture, "sip.CSeq", "tcp.analysis.flags")] == [""] * 6


async def test_nothing_is_shown_as_sent_that_never_left(customer: Customer) -> None:
    placed = await customer.dial({"timeout": 2, "sip": "sip:alice@127.0.0.1:9;transport=tcp"})
    assert (await customer.wait_for(placed["sid"]))["legs"][0]["reason"] == "unreachable"
    assert (await customer.get(f"/v1/calls/{placed['sid']}/trace"))["messages"] == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_race_of_three_is_drawn_with_nothing_over_the_edge(
    customer: Customer, app: Receiver, scheme: Any
) -> None:
    rings = (CALLEES / "rings_for_ever.xml").read_text()
    with ExitStack() as stack:
        callees = [stack.enter_context(sipp("-sn", "uas")), *(stack.enter_context(sipp(scenario=rings)) for _ in "ab")]
        placed = await customer.dial(
            {"timeLimit": 1, "sip": [{"uri": c.uri, "statusCallback": app.url} for c in callees]}
        )
        await customer.wait_for(placed["sid"])
        await trace_of(customer, placed["sid"], ends_with="200 BYE", told=3)
    svg = (await customer.http.get(f"/v1/calls/{placed['sid']}/trace.svg")).text
    async with browser.page() as page:
        await page.emulate_media(color_scheme=scheme)
        await page.set_content(f"<body style='margin:0'>{svg}</body>")
        outside = await page.evaluate(
            """() => { const edge = document.querySelector("svg").getBoundingClientRect();
            return [...document.querySelectorAll("svg text")].map(t => [t.textContent, t.getBoundingClientRect()])
                .filter(([_, box]) => box.left < edge.left || box.right > edge.right || box.bottom > edge.bottom)
                .map(([text, _]) => text); }"""
        )
        ground = await page.evaluate("() => getComputedStyle(document.querySelector('svg .page')).fill")
        ink = await page.evaluate("() => getComputedStyle(document.querySelector('svg .title')).fill")
        columns = await page.locator("svg .name").all_text_contents()
    assert outside == []
    assert (ground, ink) == (
        ("rgb(255, 255, 255)", "rgb(27, 31, 36)") if scheme == "light" else ("rgb(20, 23, 28)", "rgb(230, 233, 238)")
    )
    assert columns == ["Dial-to-SIP", "alice", "alice", "alice", "callbacks"]
