"""Two workers with real telephones and one database: one dies when its calls have ended and their peers do not know."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest

from app.calls.address import AddressPolicy
from app.calls.ports import Phone
from app.calls.uri import SipUri
from app.dialing.rescue import Rescue
from app.media.rtp import RtpPool
from app.rcml.plan import CallerOrder, DialRequest, Document
from app.runtime.clock import SteadyClock
from app.sip.message import SipMessage
from app.sip.phone import SipPhone
from app.store.changes import Changes
from app.store.database import Database
from app.store.queue import DialQueue
from app.store.seal import Sealer
from app.worker.lease import Holder, Lease
from app.worker.sweep import Sweep
from tests.integration.dialing.stage import PARENT_EVENTS, OnStage, Stage, dial, staged
from tests.integration.store.make import changes as open_changes
from tests.integration.store.make import rows
from tests.kit.ports import free_port, free_ports
from tests.sip.peer import Peer

NewPhone = Callable[[], Awaitable[SipPhone]]
NewPeer = Callable[[], Awaitable[Peer]]

_RECORDS = "SELECT * FROM calls ORDER BY sid"
_UNHEARD = "SELECT call_sid FROM goodbye"


@pytest.fixture
async def stage(database: Database, sealer: Sealer) -> AsyncIterator[Stage]:
    async with staged(database, sealer) as made:
        yield made


@pytest.fixture
async def new_phone() -> AsyncIterator[NewPhone]:
    phones: list[SipPhone] = []

    async def make() -> SipPhone:
        policy = AddressPolicy("DIAL_SIP_ALLOW", (ip_network("127.0.0.0/8"),))
        media = RtpPool("127.0.0.1", free_ports(100), 30.0)
        phones.append(SipPhone(host="127.0.0.1", port=free_port(), policy=policy, media=media, clock=SteadyClock()))
        await phones[-1].start()
        return phones[-1]

    yield make
    for phone in phones:
        await phone.stop()


@pytest.fixture
async def new_peer() -> AsyncIterator[NewPeer]:
    peers: list[Peer] = []

    async def make() -> Peer:
        peers.append(await Peer().open())
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def with_phone(stage: Stage, phone: Phone) -> Stage:
    return replace(stage, running=replace(stage.running, phone=phone))


async def dies(stage: Stage, phone: SipPhone) -> None:
    """Like kill -9, and somebody has seen it."""
    await phone.endpoint.close()
    await rows(stage.database, "UPDATE worker SET taken = true WHERE id = :id", id=stage.worker_id)


async def swept(stage: Stage, sealer: Sealer, writer: Changes, phone: SipPhone) -> Sweep:
    """What the survivor does once a second, once."""
    queue, clock = DialQueue(stage.database, sealer, lease=600), SteadyClock()
    lease = Lease(queue, Holder("worker", 10, "127.0.0.1", 5062), clock)
    await lease.register()
    sweep = Sweep(queue, lease, Rescue(writer, clock), max_wait=60, phone=phone, goodbyes=writer.goodbyes)
    await sweep._once()
    return sweep


async def settled(stage: Stage, sweep: Sweep) -> None:
    """Until nobody is left to tell; the survivor looks once a second, the test more often."""
    async with asyncio.timeout(60):
        while await rows(stage.database, _UNHEARD):
            await sweep._once()
            await asyncio.sleep(0.01)


async def answers(peer: Peer) -> SipMessage:
    invite = await peer.expect("INVITE")
    peer.accept(invite)
    await peer.expect("ACK")
    return invite


async def answered(on: OnStage) -> None:
    await on.until(lambda legs: bool(legs) and all(leg.answer_time for leg in legs))


async def test_a_callee_that_missed_the_bye_gets_one_from_the_survivor(
    stage: Stage, sealer: Sealer, new_phone: NewPhone, new_peer: NewPeer
) -> None:
    dead, survivor, callee = await new_phone(), await new_phone(), await new_peer()
    on = await with_phone(stage, dead).start(dial(callee.uri))
    invite = await answers(callee)
    await answered(on)
    on.dial.hang_up(on.sid)
    missed = await callee.expect("BYE")
    parent, [leg] = await on.over()
    assert (parent.status, leg.status, leg.reason) == ("completed", "completed", "api")
    before = await rows(stage.database, _RECORDS)
    await dies(stage, dead)
    async with open_changes(stage.database, sealer) as writer:
        sweep = await swept(stage, sealer, writer, survivor)
        bye = await again(callee, "BYE", missed)
        assert (bye.call_id, bye.to_tag) == (invite.call_id, callee.tag)
        callee.answer(bye, 200)
        await settled(stage, sweep)
    assert await rows(stage.database, _RECORDS) == before


async def test_a_callee_that_has_said_nothing_yet_gets_the_cancel_from_the_survivor(
    stage: Stage, sealer: Sealer, new_phone: NewPhone, new_peer: NewPeer
) -> None:
    """The dead one waited for a provisional (RFC 3261 §9.1)."""
    dead, survivor, callee = await new_phone(), await new_phone(), await new_peer()
    on = await with_phone(stage, dead).start(dial(callee.uri))
    invite = await callee.expect("INVITE")
    on.dial.hang_up(on.sid)
    _, [leg] = await on.over()
    assert (leg.status, leg.reason) == ("canceled", "api")
    before = await rows(stage.database, _RECORDS)
    await dies(stage, dead)
    async with open_changes(stage.database, sealer) as writer:
        sweep = await swept(stage, sealer, writer, survivor)
        cancel = await again(callee, "CANCEL")
        assert cancel.branch == invite.branch
        callee.accept(invite)  # it crosses the CANCEL
        await again(callee, "ACK")
        callee.answer(await again(callee, "BYE"), 200)
        await settled(stage, sweep)
    assert await rows(stage.database, _RECORDS) == before


async def test_two_people_that_missed_their_byes_get_one_each_from_the_survivor(
    stage: Stage, sealer: Sealer, new_phone: NewPhone, new_peer: NewPeer
) -> None:
    dead, survivor, caller, callee = await new_phone(), await new_phone(), await new_peer(), await new_peer()
    request = DialRequest(Document((dial(callee.uri),)), PARENT_EVENTS, {}, CallerOrder(SipUri.parse(caller.uri)))
    on = await with_phone(stage, dead).request(request)
    invites = [await answers(caller), await answers(callee)]
    await answered(on)
    on.dial.hang_up(on.sid)
    missed = [await peer.expect("BYE") for peer in (caller, callee)]
    await on.over()
    before = await rows(stage.database, _RECORDS)
    await dies(stage, dead)
    async with open_changes(stage.database, sealer) as writer:
        sweep = await swept(stage, sealer, writer, survivor)
        for peer, invite, first in zip((caller, callee), invites, missed, strict=True):
            bye = await again(peer, "BYE", first)
            assert bye.call_id == invite.call_id
            peer.answer(bye, 200)
        await settled(stage, sweep)
    assert await rows(stage.database, _RECORDS) == before


async def again(peer: Peer, what: str, before: SipMessage | None = None) -> SipMessage:
    """The next one, from the survivor: repeats of what the dead one sent `before` are passed over."""
    async with asyncio.timeout(60):
        while True:
            message = await peer.inbox.get()
            if message.method_name == what and (before is None or message.branch != before.branch):
                return message
