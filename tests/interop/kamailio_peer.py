"""Kamailio's part: calls through a record-routing, forking proxy that asks for a login, the target's own and ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.interop.lab import Lab, Placed, outcome
from tests.interop.ledger import Proof
from tests.interop.sipp_peer import Scenario
from tests.kit.baresip import baresip
from tests.kit.kamailio import Kamailio
from tests.kit.sipp import Sipp

LOGIN = {"username": "alice", "password": "secret"}


@dataclass(frozen=True, slots=True)
class Way:
    """Through `proxy`, from `lab`; `outbound` when it is the service's own proxy and the target is the callee."""

    proxy: Kamailio
    lab: Lab
    outbound: bool = False

    @asynccontextmanager
    async def callees(self, *names: str, tcp: bool = False, **words: str) -> AsyncIterator[list[Sipp]]:
        """SIPp behind the proxy; all must be content in the end."""
        with ExitStack() as stack:
            running = []
            for name in names:
                start = partial(Scenario(name).start, tcp=tcp, proxy=str(self.proxy.port), **words)
                running.append(stack.enter_context(await asyncio.to_thread(start)))
            yield running
            for name, callee in zip(names, running, strict=True):
                assert await asyncio.to_thread(callee.wait, 30) == 0, f"{name}: {callee.complaints()}"

    def target(self, kind: str, *callees: Sipp, transport: str = "") -> dict[str, Any]:
        if self.outbound:
            return {"uri": callees[0].uri, **LOGIN}
        user = "-".join((kind, *(str(callee.port) for callee in callees)))
        return {"uri": self.proxy.uri(user) + transport, **LOGIN}

    def did(self, leg: dict[str, Any], what: str) -> int:
        return self.proxy.said(what, leg["sipCallId"])


async def _ends(placed: Placed, expected: str) -> dict[str, Any]:
    leg = (await placed.ends())[0]
    assert outcome(leg) == expected, f"{outcome(leg)}\n{await placed.ladder()}"
    return leg


async def _answered(way: Way, kind: str = "udp", transport: str = "") -> dict[str, Any]:
    """A call that we hang up: once challenged, ACK and BYE go the way that it recorded."""
    async with way.callees("behind_a_proxy", tcp=kind == "tcp") as (callee,):
        placed = await way.lab.place(way.target(kind, callee, transport=transport))
        await placed.reaches("in-progress")
        await placed.hang_up()
        leg = await _ends(placed, "completed api 200")
    did = [way.did(leg, what) for what in ("challenges", "forwards INVITE", "forwards ACK", "forwards BYE")]
    assert did == [1, 1, 1, 1], did
    return {"routes": await _routes(placed, "BYE"), **leg}


async def _routes(placed: Placed, method: str) -> int:
    """How many Route rows our request had."""
    await placed.sees(f"^{method} ", "sent")
    mine = [text for message in await placed.messages() if (text := str(message["data"])).startswith(f"{method} ")]
    return mine[0].count("\r\nRoute: ")


async def _double_record_route(way: Way, lab: Lab) -> None:
    assert (await _answered(way, "tcp"))["routes"] == 2
    assert (await _answered(way, "udp", ";transport=tcp"))["routes"] == 2


async def _hung_up_by_the_callee(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_hangs_up") as (callee,):
        leg = await _ends(await way.lab.place(way.target("udp", callee)), "completed callee-hangup 200")
    assert way.did(leg, "forwards BYE") == 1
    assert way.did(leg, "forwards INVITE") == 3  # the first and two of the callee


async def _wrong_password(way: Way, lab: Lab) -> None:
    target = {"uri": way.proxy.uri("udp-9"), "username": "alice", "password": "wrong"}
    leg = await _ends(await way.lab.place(target, timeout=20), "failed authentication 407")
    assert way.did(leg, "invited") == 2, "it goes on trying"
    assert way.did(leg, "forwards") == 0


async def _canceled(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_rings") as (callee,):
        placed = await way.lab.place(way.target("udp", callee))
        await placed.reaches("ringing")
        await placed.hang_up("canceled")
        leg = await _ends(placed, "canceled api -")
    assert way.did(leg, "forwards CANCEL") == 1


async def _refused(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_refuses", code="486", after="100") as (callee,):
        placed = await way.lab.place(way.target("udp", callee))
        await placed.reaches("ringing")
        await _ends(placed, "busy busy 486")


async def _prack(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_wants_prack") as (callee,):
        placed = await way.lab.place(way.target("udp", callee))
        await placed.reaches("in-progress")
        await placed.hang_up()
        leg = await _ends(placed, "completed api 200")
    assert way.did(leg, "forwards PRACK") == 1


async def _one_of_two(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_rings", "behind_a_proxy") as callees:
        placed = await way.lab.place(way.target("fork", *callees))
        await placed.reaches("in-progress")
        await placed.hang_up()
        await _ends(placed, "completed api 200")


async def _both_of_two(way: Way, lab: Lab) -> None:
    async with way.callees("behind_a_proxy_answers_all_the_same", "behind_a_proxy") as callees:
        placed = await way.lab.place(way.target("fork", *callees), timeLimit=1)
        leg = await _ends(placed, "completed time-limit 200")
    assert way.did(leg, "forwards BYE") == 2


async def _none_of_two(way: Way, lab: Lab) -> None:
    refuse = partial(way.callees, "behind_a_proxy_refuses")
    # In this order: 603 ends all branches, and the other phone would be cancelled before it could say that it is busy.
    async with refuse(code="486", after="50") as (busy,), refuse(code="603", after="600") as (declines,):
        await _ends(await way.lab.place(way.target("fork", busy, declines)), "busy declined 603")


async def _talks_to_baresip(way: Way, lab: Lab) -> None:
    with baresip() as phone:
        placed = await way.lab.place({"uri": phone.uri, **LOGIN}, timeLimit=1)
        leg = await _ends(placed, "completed time-limit 200")
    assert way.did(leg, "forwards BYE") == 1


async def _just_answered(way: Way, lab: Lab) -> None:
    await _answered(way)


def proofs(proxy: Kamailio, lab: Lab, proxied: Lab) -> list[Proof]:
    """`proxied` is the lab of a service whose outbound proxy it is."""
    own, target = Way(proxy, proxied, outbound=True), Way(proxy, lab)
    table: list[tuple[str, str, Way, Callable[[Way, Lab], Awaitable[None]]]] = [
        ("login", "its 407 is answered once, and a call completes through it", target, _just_answered),
        ("login", "a wrong password ends by itself after the second 407", target, _wrong_password),
        ("Record-Route", "hold, resume and BYE of the callee come along the route", target, _hung_up_by_the_callee),
        ("TCP", "between UDP and TCP, either way, both its Record-Routes are obeyed", target, _double_record_route),
        ("CANCEL", "CANCEL goes through it and 487 comes back", target, _canceled),
        ("refusal", "183, 180 and 486 come through", target, _refused),
        ("PRACK", "PRACK takes the route of the early dialog", target, _prack),
        ("fork", "of two phones the one that answers is connected", target, _one_of_two),
        ("fork", "of two phones that both answer the second is acknowledged and ended", target, _both_of_two),
        ("fork", "of two refusals the stronger one counts", target, _none_of_two),
        ("UDP", "as DIAL_SIP_PROXY: a call to anybody goes through it", own, _just_answered),
        ("login", "as DIAL_SIP_PROXY: a wrong password ends by itself", own, _wrong_password),
        ("CANCEL", "as DIAL_SIP_PROXY: CANCEL takes the same way", own, _canceled),
        ("hold", "as DIAL_SIP_PROXY: the callee holds, resumes and hangs up", own, _hung_up_by_the_callee),
        ("media", "as DIAL_SIP_PROXY: a talk with baresip behind it", own, _talks_to_baresip),
    ]
    return [Proof(feature, name, partial(check, way)) for feature, name, way, check in table]
