"""Every final response there is, 300 to 699, on the whole road: the record, the callback and the trace say the same."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from app.sip import build
from app.sip.message import SipMessage
from tests.kit.receiver import Receiver
from tests.kit.service import Customer

PER_DIAL = 10
_WORDS = {
    486: ("busy", "busy"),
    600: ("busy", "busy"),
    603: ("busy", "declined"),
    408: ("no-answer", "unavailable"),
    480: ("no-answer", "unavailable"),
    401: ("failed", "authentication"),
    407: ("failed", "authentication"),
}
_CHALLENGES = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}


class Callee(asyncio.DatagramProtocol):
    """Answers each INVITE as the user part of its URI says: ``code-486``, or ``code-302-to-486`` with a Contact."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.port = 0
        self.invites = 0
        self.logins = 0  # INVITEs with credentials

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = SipMessage.decode(data)
        if request.method_name != "INVITE":
            return
        self.invites += 1
        self.logins += any(request.first(name) for name in ("authorization", "proxy-authorization"))
        _, code, *then = request.request_uri.partition("@")[0].split("-")
        headers: list[build.Header] = []
        if then:
            headers.append(("Contact", f"<{self.uri(then[-1])}>"))
        if int(code) in _CHALLENGES:
            headers.append((_CHALLENGES[int(code)], 'Digest realm="r", nonce="n", qop="auth"'))
        assert self.transport is not None
        self.transport.sendto(build.response(request, int(code), phrase(int(code)), to_tag=code, headers=headers), addr)

    def uri(self, what: str | int) -> str:
        return f"sip:code-{what}@127.0.0.1:{self.port}"


def phrase(code: int) -> str:
    """Nobody's usual one; a phrase may be empty and need not be ASCII."""
    return {333: "", 444: "Zażółć", 555: "200 OK"}.get(code, f"No {code}")


@pytest.fixture
async def callee() -> AsyncIterator[Callee]:
    transport, running = await asyncio.get_running_loop().create_datagram_endpoint(Callee, local_addr=("127.0.0.1", 0))
    running.transport, running.port = transport, transport.get_extra_info("sockname")[1]
    yield running
    transport.close()


async def legs_of(customer: Customer, app: Receiver, targets: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Dial all of them, so many at once; their legs when they are over."""
    waiting = [{"statusCallback": app.url, "statusCallbackEvent": "completed", **target} for target in targets]
    placed = [
        await customer.dial({"timeout": 20, "sip": waiting[first : first + PER_DIAL]})
        for first in range(0, len(waiting), PER_DIAL)
    ]
    parents = [await customer.wait_for(one["sid"], seconds=60) for one in placed]
    return [leg for parent in parents for leg in parent["legs"]]


async def heard(customer: Customer, leg: dict[str, Any], code: int) -> list[dict[str, Any]]:
    """Responses with that code in the leg's trace: a copy is stored a moment after the record."""
    async with asyncio.timeout(10):
        while True:
            messages = (await customer.get(f"/v1/calls/{leg['sid']}/trace"))["messages"]
            found = [one for one in messages if one["statusCode"] == code]
            if found and messages[-1]["method"] == "ACK":
                return found
            await asyncio.sleep(0.05)  # polling as a customer would


async def test_every_final_response(customer: Customer, app: Receiver, callee: Callee) -> None:
    codes = range(300, 700)
    legs = await legs_of(customer, app, ({"uri": callee.uri(code)} for code in codes))
    told = {seen.form["CallSid"]: seen.form for seen in await app.wait_for(len(codes), timeout=30)}
    assert callee.invites == len(told) == len(legs) == 400
    for code, leg in zip(codes, legs, strict=True):
        status, reason = _WORDS.get(code, ("failed", "rejected"))
        assert leg["to"] == callee.uri(code)
        assert (leg["status"], leg["reason"]) == (status, reason), code
        assert (leg["sipResponseCode"], leg["sipResponseReason"]) == (code, phrase(code) or None)
        form = told[leg["sid"]]
        assert (form["CallStatus"], form["SipResponseCode"], form["Reason"]) == (status, str(code), reason)
        assert form["CallDuration"] == "0"
        (response,) = await heard(customer, leg, code)
        assert response["data"].startswith(f"SIP/2.0 {code} {phrase(code)}\r\n")


async def test_a_3xx_with_a_contact_leads_to_what_that_one_answers(
    customer: Customer, app: Receiver, callee: Callee
) -> None:
    codes = [code for code in range(300, 400) if code % 7 == 0 or code < 306]
    ends = [486, 603, 404, 480, 305, 600, 503]
    pairs = [(code, ends[n % len(ends)]) for n, code in enumerate(codes)]
    legs = await legs_of(customer, app, ({"uri": callee.uri(f"{code}-to-{end}")} for code, end in pairs))
    for (code, end), leg in zip(pairs, legs, strict=True):
        assert (leg["status"], leg["reason"]) == _WORDS.get(end, ("failed", "rejected"))
        assert (leg["sipResponseCode"], leg["sipResponseReason"]) == (end, phrase(end))
        assert await heard(customer, leg, end) and await heard(customer, leg, code)
    assert callee.invites == 2 * len(pairs)
    assert callee.logins == 0


async def test_credentials_that_are_refused_are_not_offered_for_ever(
    customer: Customer, app: Receiver, callee: Callee
) -> None:
    targets = [{"uri": callee.uri(code), "username": "alice", "password": "wrong"} for code in (401, 407, 403)]
    legs = await legs_of(customer, app, targets)
    found = [(leg["status"], leg["reason"], leg["sipResponseCode"]) for leg in legs]
    assert found == [("failed", "authentication", 401), ("failed", "authentication", 407), ("failed", "rejected", 403)]
    assert (callee.invites, callee.logins) == (5, 2)
    assert [len(await heard(customer, leg, code)) for leg, code in zip(legs, (401, 407, 403), strict=True)] == [2, 2, 1]
