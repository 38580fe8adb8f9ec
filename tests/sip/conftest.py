"""A real phone on loopback with real RTP ports and short timers, and peers whose every message the test writes."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import uvloop

from app.calls.address import AddressPolicy
from app.calls.outcome import Outcome
from app.calls.ports import Answered, Ended, LegOrder, Moved, Progress, Signal
from app.calls.sid import new_account_sid, new_call_sid
from app.calls.uri import NameAddr, SipUri
from app.media.rtp import RtpPool
from app.runtime.clock import SteadyClock
from app.sip.call import SipCall
from app.sip.conversation import Conversation
from app.sip.phone import SipPhone
from app.sip.transaction import Timing
from tests.kit.ports import free_port, free_ports
from tests.sip.peer import PATIENCE, Peer

FAST = Timing(t1=0.02, t2=0.08, t4=0.1)  # 64·T1 is 1.28 s

S = TypeVar("S", bound=Signal)


def loopback_only() -> AddressPolicy:
    return AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))


def order_to(
    uri: str, *, caller: str = "<sip:alice@127.0.0.1>", username: str | None = None, password: str | None = None
) -> LegOrder:
    return LegOrder(new_call_sid(), new_account_sid(), SipUri.parse(uri), NameAddr.parse(caller), username, password)


@dataclass(slots=True)
class Bench:
    """One phone and the media behind it."""

    phone: SipPhone
    media: RtpPool
    legs: list[Conversation] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        return self.phone.local

    def leg(self, uri: str, **more: str) -> SipCall:
        leg = self.phone.leg(order_to(uri, **more))
        self.legs.append(leg)
        return leg

    async def call(self, uri: str, **more: str) -> SipCall:
        """A leg whose INVITE has left."""
        leg = self.leg(uri, **more)
        facts = await leg.prepare()
        assert not isinstance(facts, Outcome), facts
        leg.invite()
        return leg

    async def refused(self, uri: str) -> Outcome:
        """The outcome of a leg that cannot even be prepared."""
        found = await self.leg(uri).prepare()
        assert isinstance(found, Outcome)
        return found


async def told(leg: Conversation, kind: type[S]) -> S:
    """The next signal, which must be of that kind."""
    signal = await asyncio.wait_for(leg.signals.get(), PATIENCE)
    assert isinstance(signal, kind), f"{signal} came"
    return signal


async def outcome_of(leg: Conversation) -> Outcome:
    """How it ends, whatever comes before."""
    while True:
        signal = await asyncio.wait_for(leg.signals.get(), PATIENCE)
        if isinstance(signal, Ended):
            return signal.outcome


async def answered(leg: Conversation) -> Answered:
    """Its answer, whatever provisional came before."""
    while True:
        signal = await asyncio.wait_for(leg.signals.get(), PATIENCE)
        if isinstance(signal, Progress | Moved):
            continue
        assert isinstance(signal, Answered), f"{signal} came"
        return signal


NewBench = Callable[..., Awaitable[Bench]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], object]]:
    """The loop that the product runs on: its transports and readers are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def new_bench() -> AsyncIterator[NewBench]:
    benches: list[Bench] = []

    async def make(
        *, timing: Timing = FAST, policy: AddressPolicy | None = None, ports: range | None = None, **more: str
    ) -> Bench:
        host = more.pop("host", "127.0.0.1")
        media = RtpPool(host if host == "::1" else "127.0.0.1", ports or free_ports(100), 30.0)
        phone = SipPhone(
            host=host,
            port=free_port(),
            policy=policy or loopback_only(),
            media=media,
            clock=SteadyClock(),
            timing=timing,
            **more,  # type: ignore[arg-type] # advertised_host alone
        )
        await phone.start()
        benches.append(Bench(phone, media))
        return benches[-1]

    yield make
    for bench in benches:
        for leg in bench.legs:
            leg.hang_up()
        await bench.phone.stop()


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    return await new_bench()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = await Peer().open()
    yield made
    made.close()
