"""baresip as a caller, over UDP, TCP and TLS with SRTP: a phone that somebody else wrote."""

import asyncio
from pathlib import Path

import pytest

from app.calls.outcome import Outcome, Reason
from app.calls.ports import Answered
from app.calls.status import Status
from app.sip.arrival import SipArrival
from app.sip.crypto import Srtp
from app.sip.engine import CallRules
from app.sip.tls import security
from tests.kit.baresip import baresip
from tests.kit.ports import free_port
from tests.kit.tls import Authority
from tests.sip.caller import NUMBER, Caller
from tests.sip.conftest import NewBench, answered, outcome_of
from tests.sip.peer import PATIENCE

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.certificate("127.0.0.1")


async def heard(leg: SipArrival) -> None:
    async with asyncio.timeout(PATIENCE):
        while leg._media.packets_received < 10:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("transport", "encryption"), [("udp", ""), ("tcp", ""), ("tls", "srtp-mand")], ids=["udp", "tcp", "tls"]
)
@pytest.mark.parametrize("ours", [True, False], ids=["we hang up", "it hangs up"])
async def test_baresip_calls_and_talks(
    new_bench: NewBench, authority: Authority, certificate: Path, transport: str, encryption: str, ours: bool
) -> None:
    secure = security(ca=authority.file, certificate=certificate, port=free_port())
    bench = await new_bench(security=secure, rules=CallRules(srtp=Srtp.OPTIONAL))
    caller = Caller(bench)
    port = secure.port if transport == "tls" else bench.address[1]
    with baresip(certificate=certificate, encryption=encryption) as phone:
        await asyncio.to_thread(phone.tell, "dial", f"sip:{NUMBER}@127.0.0.1:{port};transport={transport}")
        leg = await caller.leg()
        leg.ring()
        leg.open_early()
        leg.answer()
        signal = await answered(leg)
        assert isinstance(signal, Answered)
        await heard(leg)
        assert (leg._media._cipher is not None) == (transport == "tls")  # type: ignore[attr-defined] # RtpSession's
        if ours:
            leg.hang_up()
        else:
            await asyncio.to_thread(phone.tell, "hangup")
        expected = Reason.API if ours else Reason.CALLER_HANGUP
        assert await outcome_of(leg) == Outcome(Status.COMPLETED, expected)
        async with asyncio.timeout(PATIENCE):
            while bench.phone.calls:
                await asyncio.sleep(0.01)


async def test_baresip_gives_up(new_bench: NewBench) -> None:
    bench = await new_bench()
    caller = Caller(bench)
    with baresip() as phone:
        await asyncio.to_thread(phone.tell, "dial", f"sip:{NUMBER}@127.0.0.1:{bench.address[1]}")
        leg = await caller.leg()
        leg.ring()
        await asyncio.to_thread(phone.tell, "hangup")
        assert await outcome_of(leg) == Outcome(Status.CANCELED, Reason.CALLER_HANGUP)
