"""Whole calls against SIPp, which checks branches, tags and credentials by itself: its exit status is the verdict."""

import asyncio
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.calls.outcome import Outcome, Reason
from app.calls.ports import Ended, Progress
from app.calls.status import Status
from app.sip.trace import WireMessage
from app.sip.transaction import Timing
from tests.kit.ports import free_port
from tests.kit.sipp import Sipp, sipp
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import PATIENCE

SCENARIOS = Path(__file__).parent / "scenarios"

pytestmark = pytest.mark.peer


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    return await new_bench(timing=Timing())


def callee(name: str, *arguments: str, tcp: bool = False, **words: str) -> AbstractContextManager[Sipp]:
    """SIPp playing a scenario of ours, each ``[word]`` of it replaced."""
    text = (SCENARIOS / f"{name}.xml").read_text()
    for word, value in words.items():
        text = text.replace(f"[{word}]", value)
    return sipp(*arguments, scenario=text, tcp=tcp)


async def content(peer: Sipp) -> None:
    """It ends, and saw nothing to complain about; its last wait is for what should not come."""
    status = await asyncio.to_thread(peer.wait)
    assert status == 0, peer.said()


class Ready:
    """Watches the wire until the callee has shown that it is ready for our BYE."""

    def __init__(self, bench: Bench, sign: bytes = b"INFO sip:") -> None:
        self._sign = sign
        self._shown = asyncio.Event()
        bench.phone.endpoint.on_message = self._look

    async def wait(self) -> None:
        await asyncio.wait_for(self._shown.wait(), PATIENCE)

    def _look(self, seen: WireMessage) -> None:
        if seen.direction == "in" and self._sign in seen.data:
            self._shown.set()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "sign"), [("answers", b"INFO sip:"), ("needs_prack", b"INFO sip:"), ("forks", b" BYE\r\n")]
)
async def test_an_answered_call_that_we_hang_up(bench: Bench, name: str, sign: bytes, tcp: bool) -> None:
    with callee(name, tcp=tcp) as peer:
        ready = Ready(bench, sign)
        leg = await bench.call(peer.uri + (";transport=tcp" if tcp else ""))
        await answered(leg)
        await ready.wait()
        leg.hang_up()
        assert (await outcome_of(leg)).status is Status.COMPLETED
        await content(peer)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("name", ["hangs_up", "holds"])
async def test_an_answered_call_that_the_callee_hangs_up(bench: Bench, name: str, tcp: bool) -> None:
    with callee(name, tcp=tcp) as peer:
        leg = await bench.call(peer.uri + (";transport=tcp" if tcp else ""))
        await answered(leg)
        outcome = await outcome_of(leg)
        assert (outcome.status, outcome.reason) == (Status.COMPLETED, Reason.CALLEE_HANGUP)
        await content(peer)


@pytest.mark.parametrize(
    ("code", "phrase", "status", "reason"),
    [
        (486, "Busy Here", Status.BUSY, Reason.BUSY),
        (603, "Decline", Status.BUSY, Reason.DECLINED),
        (480, "Temporarily Unavailable", Status.NO_ANSWER, Reason.UNAVAILABLE),
        (404, "Not Found", Status.FAILED, Reason.REJECTED),
        (503, "Service Unavailable", Status.FAILED, Reason.REJECTED),
    ],
)
async def test_a_call_that_is_refused(bench: Bench, code: int, phrase: str, status: Status, reason: Reason) -> None:
    with callee("refuses", code=str(code), phrase=phrase) as peer:
        leg = await bench.call(peer.uri)
        assert (await told(leg, Progress)).ringing
        assert (await told(leg, Ended)).outcome == Outcome(status, reason, code, phrase)
        await content(peer)


@pytest.mark.parametrize("name", ["challenges_401", "challenges_407"])
async def test_a_call_that_is_challenged(bench: Bench, name: str) -> None:
    with callee(name) as peer:
        ready = Ready(bench)
        leg = await bench.call(peer.uri, username="alice", password="secret")
        await answered(leg)
        await ready.wait()
        leg.hang_up()
        await content(peer)


async def test_a_call_that_rings_until_it_is_canceled(bench: Bench) -> None:
    with callee("rings_until_canceled") as peer:
        leg = await bench.call(peer.uri)
        while not (await told(leg, Progress)).ringing:
            pass
        leg.hang_up()
        assert (await told(leg, Ended)).outcome.status is Status.CANCELED
        await content(peer)


async def test_a_call_that_nobody_answers(new_bench: NewBench) -> None:
    bench = await new_bench()
    with callee("never_answers", "-nr") as peer:
        leg = await bench.call(peer.uri)
        outcome = await outcome_of(leg)
        assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.UNREACHABLE)
        await content(peer)


async def test_a_call_that_is_redirected(bench: Bench) -> None:
    with callee("answers") as other, callee("redirects", elsewhere=str(other.port)) as first:
        ready = Ready(bench)
        leg = await bench.call(first.uri)
        await answered(leg)
        await ready.wait()
        leg.hang_up()
        await content(first)
        await content(other)


async def test_a_port_that_nobody_is_bound_to(new_bench: NewBench) -> None:
    bench = await new_bench()
    outcome = await outcome_of(await bench.call(f"sip:bob@127.0.0.1:{free_port()}"))
    assert outcome.reason is Reason.UNREACHABLE
