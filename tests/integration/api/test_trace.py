"""``/v1/calls/{sid}/trace`` in its four forms: of a leg, of a parent with its legs, and of nobody else's call."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from app.api import schemas
from app.calls.sid import CallSid
from app.calls.wire import LeftOut, WireCopy
from tests.integration.api.conftest import Api
from tests.kit import tshark

FORMS = {
    "": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pcap": "application/vnd.tcpdump.pcap",
}
BODY: dict[str, Any] = {"sip": [{"uri": f"sip:{name}@sip.example.com"} for name in ("anna", "bert")]}


def copy(sid: str, seq: int, data: bytes) -> WireCopy:
    at = datetime.now(UTC) + timedelta(milliseconds=seq)
    port = 5080 if seq % 2 else 5090
    direction: Any = "received" if data.startswith(b"SIP") else "sent"
    return WireCopy(CallSid(sid), seq, at, direction, "udp", ("192.0.2.1", 5060), ("198.51.100.7", port), data)


async def traced(api: Api) -> dict[str, Any]:
    """A dial whose two legs have two messages each."""
    call = await api.dial(BODY)
    copies = []
    for index, leg in enumerate(call["legs"]):
        head = f"Via: SIP/2.0/UDP 192.0.2.1:5060\r\nCall-ID: {index}@h\r\nCSeq: 1 INVITE\r\n\r\n".encode()
        copies.append(copy(leg["sid"], index, b"INVITE sip:a@h SIP/2.0\r\n" + head))
        copies.append(copy(leg["sid"], index + 10, b"SIP/2.0 486 Busy Here\r\n" + head))
    left_out = LeftOut(CallSid(call["legs"][0]["sid"]), datetime.now(UTC), 3)
    await api.parts.trace.write([*copies, left_out])
    return call


async def test_every_form_has_its_media_type(api: Api) -> None:
    call = await traced(api)
    for form, media_type in FORMS.items():
        answer = await api.client.get(f"/v1/calls/{call['sid']}/trace{form}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["content-disposition"] == f'attachment; filename="{call["sid"]}.pcap"'


async def test_a_parents_trace_is_that_of_all_its_legs_and_a_legs_its_own(api: Api) -> None:
    call = await traced(api)
    whole = (await api.client.get(f"/v1/calls/{call['sid']}/trace")).json()
    schemas.Trace.model_validate(whole)
    assert [one["callSid"] for one in whole["messages"]] == [leg["sid"] for leg in call["legs"]] * 2
    assert [one["statusCode"] for one in whole["messages"]] == [None, None, 486, 486]
    assert whole["leftOut"] == 3 and len(whole["participants"]) == 3
    last = call["legs"][1]["sid"]
    own = (await api.client.get(f"/v1/calls/{last}/trace")).json()
    assert {one["callSid"] for one in own["messages"]} == {last} and own["leftOut"] == 0


async def test_the_ladders_and_the_capture_show_the_same_messages(api: Api) -> None:
    sid = (await traced(api))["sid"]
    text = (await api.client.get(f"/v1/calls/{sid}/trace.txt")).text
    assert text.count("INVITE (1)") == 2 and text.count("486 Busy Here") == 2 and "[2]" in text
    svg = await api.client.get(f"/v1/calls/{sid}/trace.svg")
    assert "486 Busy Here" in "".join(ElementTree.fromstring(svg.text).itertext())
    assert "default-src 'none'" in svg.headers["content-security-policy"]
    capture = (await api.client.get(f"/v1/calls/{sid}/trace.pcap")).content
    assert [row[0] for row in tshark.fields(capture, "sip.Status-Code")] == ["", "", "486", "486"]


async def test_a_call_without_messages_has_an_empty_trace(api: Api) -> None:
    sid = (await api.dial(BODY))["sid"]
    for form in FORMS:
        answer = await api.client.get(f"/v1/calls/{sid}/trace{form}")
        assert answer.status_code == 200
    assert (await api.client.get(f"/v1/calls/{sid}/trace")).json()["messages"] == []


@pytest.mark.parametrize("form", FORMS)
async def test_another_accounts_trace_is_not_there(api: Api, form: str) -> None:
    call = await traced(api)
    async with api.of(await api.parts.accounts.create()) as other:
        for sid in (call["sid"], call["legs"][0]["sid"], "CA" + "0" * 32, "x"):
            answer = await other.get(f"/v1/calls/{sid}/trace{form}")
            assert answer.status_code == 404 and answer.json()["errors"][0]["code"] == "not-found"


async def test_a_parameter_is_refused_and_nobody_reads_without_a_token(api: Api) -> None:
    sid = (await api.dial(BODY))["sid"]
    assert (await api.client.get(f"/v1/calls/{sid}/trace?x=1")).status_code == 422
    assert (await api.client.get(f"/v1/calls/{sid}/trace.svg", auth=("x", "y"))).status_code == 401
    assert (await api.client.post(f"/v1/calls/{sid}/trace.txt")).status_code == 405
