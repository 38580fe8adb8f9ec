"""Each way a leg can end against a real peer: status, reason, SIP code, callbacks; and the next call works."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.baresip import baresip
from tests.kit.ports import free_port
from tests.kit.receiver import Receiver
from tests.kit.service import Customer
from tests.kit.sipp import Sipp, sipp

pytestmark = pytest.mark.peer

_CALLEES = Path(__file__).parent / "callees"
_ALL = ["initiated", "ringing", "in-progress", "completed"]


def callee(name: str, *arguments: str, tcp: bool = False, **fields: str) -> AbstractContextManager[Sipp]:
    """A callee of this folder; `fields` fill its [brackets], for SIPp wants to know status codes when it starts."""
    scenario = (_CALLEES / f"{name}.xml").read_text()
    for field, value in fields.items():
        scenario = scenario.replace(f"[{field}]", value)
    return sipp(*arguments, scenario=scenario, tcp=tcp)


async def one_leg(customer: Customer, app: Receiver, target: dict[str, Any], **dial: Any) -> dict[str, Any]:
    """Dial one target with callbacks to `app`; its leg when it is over."""
    sip = {"statusCallback": app.url, **target}
    placed = await customer.dial({"sip": [sip], **dial})
    return dict((await customer.wait_for(placed["sid"], seconds=60))["legs"][0])


async def told(app: Receiver, count: int) -> list[str]:
    return [seen.form["CallStatus"] for seen in await app.wait_for(count)]


def finals(app: Receiver) -> list[str]:
    """The calls whose end was told."""
    return [seen.form["CallSid"] for seen in app.requests if "Reason" in seen.form]


@pytest.fixture(autouse=True)
async def the_next_call_works(customer: Customer) -> AsyncIterator[None]:
    yield
    with callee("hangs_up", "-d", "50") as peer:
        placed = await customer.dial({"sip": peer.uri})
        parent = await customer.wait_for(placed["sid"])
    assert (parent["status"], parent["legs"][0]["reason"]) == ("completed", "callee-hangup")


async def satisfied(peer: Sipp) -> None:
    code = await asyncio.to_thread(peer.wait)
    assert code == 0, peer.said()


@pytest.mark.parametrize(
    ("code", "phrase", "status", "reason"),
    [
        (486, "Busy Here", "busy", "busy"),
        (600, "Busy Everywhere", "busy", "busy"),
        (603, "Decline", "busy", "declined"),
        (480, "Temporarily Unavailable", "no-answer", "unavailable"),
        (408, "Request Timeout", "no-answer", "unavailable"),
        (404, "Not Found", "failed", "rejected"),
        (503, "Service Unavailable", "failed", "rejected"),
        (487, "Request Terminated", "failed", "rejected"),
    ],
)
async def test_a_refusal(customer: Customer, app: Receiver, code: int, phrase: str, status: str, reason: str) -> None:
    with callee("refuses", code=str(code), phrase=phrase) as peer:
        leg = await one_leg(customer, app, {"uri": peer.uri})
        await satisfied(peer)
    assert (leg["status"], leg["reason"]) == (status, reason)
    assert (leg["sipResponseCode"], leg["sipResponseReason"], leg["duration"]) == (code, phrase, 0)
    assert await told(app, 3) == ["initiated", "ringing", status]
    last = app.requests[-1].form
    assert (last["SipResponseCode"], last["Reason"], last["CallDuration"]) == (str(code), reason, "0")


# SIPp verifies Authorization only, so in Proxy-Authorization the shape has to do.
_VERIFIED = '<verifyauth assign_to="right" username="alice" password="secret"/>'
_SHAPE = (
    '<ereg regexp="Digest .*username=&quot;alice&quot;.*response=&quot;[0-9a-f]{32}&quot;" search_in="hdr"'
    ' header="Proxy-Authorization:" assign_to="right"/>'
)
_CHALLENGES = {401: ("WWW-Authenticate", _VERIFIED), 407: ("Proxy-Authenticate", _SHAPE)}


@pytest.mark.parametrize("code", [401, 407])
async def test_a_challenge_is_answered_with_the_targets_credentials(
    customer: Customer, app: Receiver, code: int
) -> None:
    header, check = _CHALLENGES[code]
    with callee("challenges", code=str(code), header=header, check=check) as peer:
        target = {"uri": peer.uri, "username": "alice", "password": "secret"}
        leg = await one_leg(customer, app, target, timeLimit=1)
        await satisfied(peer)
    assert (leg["status"], leg["reason"], leg["sipResponseCode"]) == ("completed", "time-limit", 200)
    assert await told(app, 3) == ["initiated", "in-progress", "completed"]


@pytest.mark.parametrize("code", [401, 407])
async def test_wrong_credentials_end_as_authentication(customer: Customer, app: Receiver, code: int) -> None:
    header = _CHALLENGES[code][0]
    refused = '<ereg regexp="nothing has this" search_in="msg" assign_to="right"/>'
    with callee("challenges", code=str(code), header=header, check=refused) as peer:
        leg = await one_leg(customer, app, {"uri": peer.uri, "username": "alice", "password": "wrong"})
        await satisfied(peer)
    assert (leg["status"], leg["reason"], leg["sipResponseCode"]) == ("failed", "authentication", code)


async def test_ringing_for_ever_is_cancelled_after_the_timeout(customer: Customer, app: Receiver) -> None:
    with callee("rings_for_ever") as peer:
        leg = await one_leg(customer, app, {"uri": peer.uri}, timeout=1)
        await satisfied(peer)
    assert (leg["status"], leg["reason"]) == ("no-answer", "timeout")
    assert leg["ringDuration"] == 1
    assert await told(app, 3) == ["initiated", "ringing", "no-answer"]


async def test_cancelling_over_the_api_sends_cancel(customer: Customer, app: Receiver) -> None:
    with callee("rings_for_ever") as peer:
        placed = await customer.dial({"sip": [{"uri": peer.uri, "statusCallback": app.url}]})
        await app.wait_for(2)
        answer = await customer.http.post(f"/v1/calls/{placed['sid']}", json={"status": "canceled"})
        assert answer.status_code == 200, answer.text
        parent = await customer.wait_for(placed["sid"])
        await satisfied(peer)
    assert (parent["status"], parent["reason"]) == ("canceled", "api")
    assert (parent["legs"][0]["status"], parent["legs"][0]["reason"]) == ("canceled", "api")


async def test_a_host_that_never_says_anything_is_unreachable(customer: Customer, app: Receiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        target = f"sip:nobody@127.0.0.1:{deaf.getsockname()[1]}"
        leg = await one_leg(customer, app, {"uri": target}, timeout=2)
    assert (leg["status"], leg["reason"]) == ("failed", "unreachable")
    assert await told(app, 2) == ["initiated", "failed"]


async def test_a_closed_tcp_port_is_unreachable(customer: Customer, app: Receiver) -> None:
    target = f"sip:nobody@127.0.0.1:{free_port()};transport=tcp"
    leg = await one_leg(customer, app, {"uri": target}, timeout=5)
    assert (leg["status"], leg["reason"]) == ("failed", "unreachable")


async def test_the_callee_hangs_up_over_tcp(customer: Customer, app: Receiver) -> None:
    with callee("hangs_up", "-d", "1000", tcp=True) as peer:
        leg = await one_leg(customer, app, {"uri": f"{peer.uri};transport=tcp"})
        await satisfied(peer)
    assert (leg["status"], leg["reason"], leg["duration"]) == ("completed", "callee-hangup", 1)
    assert await told(app, 3) == ["initiated", "in-progress", "completed"]
    assert app.requests[-1].form["SipHeader_X-Order"] == "42"


async def test_baresip_answers_and_is_hung_up(customer: Customer, app: Receiver) -> None:
    with baresip() as peer:
        wanted = ["answered", "completed"]  # whether it rings first is left to the moment
        leg = await one_leg(customer, app, {"uri": peer.uri, "statusCallbackEvent": wanted}, timeLimit=2)
    assert (leg["status"], leg["reason"], leg["duration"]) == ("completed", "time-limit", 2)
    assert await told(app, 2) == ["in-progress", "completed"]


async def test_the_first_of_several_wins_and_the_others_are_cancelled(customer: Customer, app: Receiver) -> None:
    with (
        callee("hangs_up", "-d", "300") as answers,
        callee("rings_for_ever") as rings,
        callee("refuses", code="486", phrase="Busy Here") as busy,
    ):
        uris = (rings.uri, busy.uri, answers.uri)
        sips = [{"uri": uri, "statusCallback": app.url} for uri in uris]
        placed = await customer.dial({"sip": sips})
        parent = await customer.wait_for(placed["sid"])
        for peer in (answers, rings):
            await satisfied(peer)
    rang, refused, answered = parent["legs"]
    assert (rang["status"], rang["reason"]) == ("canceled", "lost-race")
    assert (answered["status"], answered["reason"]) == ("completed", "callee-hangup")
    assert refused["status"] in ("busy", "canceled")
    assert (parent["dialCallStatus"], parent["dialCallSid"]) == ("completed", answered["sid"])
    await app.until(lambda: len(finals(app)) >= 3)
    assert sorted(finals(app)) == sorted(leg["sid"] for leg in parent["legs"])
