"""SIPp as a caller, which checks what it gets by itself: its exit status is the verdict."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.calls.outcome import Outcome, Reason
from app.calls.ports import Answered
from app.calls.status import Status
from app.sip.arrival import SipArrival
from app.sip.transaction import Timing
from tests.kit.sipp import Sipp, sipp
from tests.sip.caller import NUMBER, Caller
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.sipp_steps import answer_ok, receive, scenario, send

pytestmark = pytest.mark.peer

REQUIRE = "Require: 100rel"
RACK = "RAck: [$rseq] 1 INVITE"
HUNG_UP = Outcome(Status.COMPLETED, Reason.CALLER_HANGUP)

CALLS = scenario(
    send("INVITE", 1, offer=True),
    receive(100),
    receive(180, is_optional=True),
    receive(200, keeps_target=True, check="m=audio [0-9]+ RTP/AVP 0 101"),
    send("ACK", 1),
    send("INFO", 2),
    receive(200),
    send("BYE", 3),
    receive(200),
)
HOLDS = scenario(
    send("INVITE", 1, offer=True),
    receive(100),
    receive(180, is_optional=True),
    receive(200, keeps_target=True),
    send("ACK", 1),
    send("INVITE", 2, offer=True, direction="sendonly", version=2),
    receive(200, check="a=recvonly"),
    send("ACK", 2),
    send("UPDATE", 3, offer=True, version=3),
    receive(200, check="a=sendrecv"),
    send("BYE", 4),
    receive(200),
)
OFFERS_LATE = scenario(
    send("INVITE", 1),
    receive(100),
    receive(180, is_optional=True),
    receive(200, keeps_target=True, check="m=audio [0-9]+ RTP/AVP 0 8 101"),
    send("ACK", 1, offer=True),
    send("BYE", 2),
    receive(200),
)
CANCELS = scenario(
    send("INVITE", 1, offer=True),
    receive(100),
    receive(180),
    send("CANCEL", 1, back=3),
    receive(200),
    receive(487),
    send("ACK", 1, back=6),
)
NEVER_ACKS = scenario(
    send("INVITE", 1, offer=True),
    receive(100),
    receive(180, is_optional=True),
    receive(200),
    receive("BYE"),
    answer_ok("BYE"),
)
IS_HUNG_UP = scenario(
    send("INVITE", 1, offer=True),
    receive(100),
    receive(180, is_optional=True),
    receive(200, keeps_target=True),
    send("ACK", 1),
    receive("BYE"),
    answer_ok("BYE"),
)
PRACKS = scenario(
    send("INVITE", 1, offer=True, rows=REQUIRE),
    receive(100),
    """
  <recv response="180" rrs="true"><action>
    <ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/>
  </action></recv>""",
    send("PRACK", 2, rows=RACK),
    receive(200, check="CSeq: 2 PRACK"),
    """
  <recv response="183"><action>
    <ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" check_it="true" assign_to="rseq"/>
  </action></recv>""",
    send("PRACK", 3, rows=RACK),
    receive(200, check="CSeq: 3 PRACK"),
    receive(200, keeps_target=True, check="CSeq: 1 INVITE"),
    send("ACK", 1),
    send("BYE", 4),
    receive(200),
)


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    return await new_bench(timing=Timing())


async def content(peer: Sipp) -> None:
    status = await asyncio.to_thread(peer.wait)
    assert status == 0, peer.said()


async def picks_up(leg: SipArrival) -> None:
    leg.ring()
    leg.answer()
    await answered(leg)


async def picks_up_early(leg: SipArrival) -> None:
    leg.ring()
    leg.open_early()
    leg.answer()
    await answered(leg)


async def rings(leg: SipArrival) -> None:
    leg.ring()


async def hangs_up(leg: SipArrival) -> None:
    await picks_up(leg)
    leg.hang_up()


async def waits_in_vain(leg: SipArrival) -> None:
    leg.answer()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(
    ("steps", "act", "outcome"),
    [
        pytest.param(CALLS, picks_up, HUNG_UP, id="calls"),
        pytest.param(HOLDS, picks_up, HUNG_UP, id="holds"),
        pytest.param(OFFERS_LATE, picks_up, HUNG_UP, id="offers late"),
        pytest.param(PRACKS, picks_up_early, HUNG_UP, id="pracks"),
        pytest.param(CANCELS, rings, Outcome(Status.CANCELED, Reason.CALLER_HANGUP), id="cancels"),
        pytest.param(IS_HUNG_UP, hangs_up, Outcome(Status.COMPLETED, Reason.API), id="is hung up"),
    ],
)
async def test_sipp_calls(
    bench: Bench, steps: str, act: Callable[[SipArrival], Awaitable[None]], outcome: Outcome, tcp: bool
) -> None:
    caller = Caller(bench)
    with sipp(f"127.0.0.1:{bench.address[1]}", "-s", NUMBER, scenario=steps, tcp=tcp) as peer:
        leg = await caller.leg()
        await act(leg)
        assert await outcome_of(leg) == outcome
        await content(peer)
    async with asyncio.timeout(5):
        while bench.phone.calls:
            await asyncio.sleep(0.01)
    assert bench.media.ports.used == 0


async def test_sipps_own_caller_makes_ten_calls(bench: Bench) -> None:
    caller = Caller(bench)
    with sipp(f"127.0.0.1:{bench.address[1]}", "-sn", "uac", "-s", NUMBER, "-r", "100", "-d", "10", calls=10) as peer:
        for _ in range(10):
            leg = await caller.leg()
            leg.answer()
        await content(peer)
    assert all([isinstance(await answered(leg), Answered) for leg in bench.legs])
    assert [await outcome_of(leg) for leg in bench.legs] == [HUNG_UP] * 10


async def test_sipp_never_acknowledges(new_bench: NewBench) -> None:
    bench = await new_bench(timing=Timing(t1=0.05, t2=0.2, t4=0.2))
    caller = Caller(bench)
    with sipp(f"127.0.0.1:{bench.address[1]}", "-s", NUMBER, scenario=NEVER_ACKS) as peer:
        leg = await caller.leg()
        await waits_in_vain(leg)
        assert "never acknowledged" in ((await outcome_of(leg)).detail or "")
        await content(peer)
