"""The short form: some twenty thousand bad datagrams, and as many bad messages straight at the parser."""

import asyncio
import contextlib
import logging
import socket
from random import Random

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from app.sip.engine import CallRules
from app.sip.headers import Address, HeaderError, Target, Via
from app.sip.message import MalformedMessage, SipMessage
from app.sip.sdp import UnusableSdp
from app.sip.transaction import Timing
from tests.fuzz import grammar
from tests.fuzz.__main__ import own_host
from tests.fuzz.callees import SoundCallee
from tests.fuzz.campaign import run
from tests.fuzz.mutation import mutated
from tests.fuzz.phone_target import PhoneTarget
from tests.kit.ports import free_ports
from tests.sip.conftest import NewBench, bench, new_bench, pytest_asyncio_loop_factories
from tests.sip.torture import invalid, semantics, valid

__all__ = ["bench", "new_bench", "pytest_asyncio_loop_factories"]

_TORTURE = tuple((valid.MESSAGES | invalid.MESSAGES | semantics.MESSAGES).values())
_DATAGRAMS = 20_000
_CALLS = 20


@pytest.fixture
def quiet() -> None:
    """Without a line per call: pytest would keep them all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


@pytest.mark.usefixtures("quiet")
async def test_twenty_thousand_bad_datagrams_hurt_nobody(new_bench: NewBench) -> None:
    # The attacker is one source: a limit would keep most of it away from what is to be hurt.
    target = PhoneTarget(await new_bench(ports=free_ports(400), rules=CallRules(inbound_rate=0)))
    report = await run(target, datagrams=_DATAGRAMS, seed=4475, host=own_host())
    assert report.is_sound, "\n".join(report.lines())
    assert report.datagrams == _DATAGRAMS and report.victims > _DATAGRAMS // 1_000
    assert report.callers > _DATAGRAMS // 400 and report.taken > _DATAGRAMS // 2_000
    assert report.answered > 1_000 and report.dropped["junk"] > 1_000 and report.requests_heard > 100


@pytest.mark.usefixtures("quiet")
async def test_calls_are_set_up_under_six_thousand_scans_a_second(new_bench: NewBench) -> None:
    flooded = await new_bench(ports=free_ports(400), timing=Timing())
    target, callee = PhoneTarget(flooded), await SoundCallee(own_host()).open()
    callee.wanted = _CALLS
    flood = asyncio.get_running_loop().create_task(_scan(target.address))
    try:
        for _ in range(_CALLS):
            await target.place(callee.uri, seconds=60)
            await asyncio.sleep(0.05)  # of the flood between any two
        async with asyncio.timeout(30):
            await callee.answered.wait()
        callee.hang_up()
        await target.settled()
    finally:
        flood.cancel()
        callee.close()
    assert set(await target.calls_of(callee.uri)) == {"completed/callee-hangup"}
    assert not await target.crashes()
    assert set(flooded.phone.endpoint._served) <= set(callee.invites)  # nothing is kept of a scan


async def _scan(address: tuple[str, int]) -> None:
    rng = Random(5060)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind((own_host(), 0))
        host, port = scanner.getsockname()
        here = grammar.Here(host, port, 4000)
        scans = [grammar.stranger(rng, here) for _ in range(50)] + [rng.randbytes(500) for _ in range(10)]
        while True:
            for scan in scans:
                scanner.sendto(scan, address)
            await asyncio.sleep(0.01)


def everything_of(message: SipMessage) -> None:
    """Ask for all that anybody asks for."""
    message.validate()
    message.release()
    for name in ("headers", "body", "authentication", "status", "via_top", "branch", "cseq", "from_tag", "to_tag"):
        getattr(message, name)
    dict(message.headers)
    with contextlib.suppress(UnusableSdp):
        message.sdp()
    for name, value in message.raw_headers:
        message.all(name)
        message.echoed(name)
        for read in (Address.parse, Target.parse, Via.parse):
            with contextlib.suppress(HeaderError):
                read(value)


@settings(max_examples=500)
@given(st.integers(0, 2**64))
def test_no_message_makes_the_parser_raise_anything_else(seed: int) -> None:
    rng = Random(seed)
    here = grammar.Here("127.0.0.1", 5060, 4000)
    data = rng.choice(_TORTURE) if rng.random() < 0.5 else grammar.stranger(rng, here)
    for _ in range(4):
        data = mutated(rng, data, _TORTURE)
        with contextlib.suppress(MalformedMessage):
            everything_of(SipMessage.decode(data))
