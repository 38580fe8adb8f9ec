"""baresip over TLS, with and without SRTP: a phone that somebody else wrote."""

import asyncio

import pytest

from app.calls.outcome import Reason
from app.sip.crypto import Srtp
from app.sip.engine import CallRules
from app.sip.tls import security
from tests.kit.baresip import baresip
from tests.kit.tls import Authority
from tests.sip.conftest import NewBench, answered, outcome_of
from tests.sip.peer import PATIENCE

pytestmark = pytest.mark.peer


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize(
    ("encryption", "srtp", "is_encrypted"),
    [
        ("srtp-mand", Srtp.REQUIRED, True),
        ("srtp", Srtp.OPTIONAL, True),
        ("", Srtp.OPTIONAL, False),
        ("srtp", Srtp.OFF, False),
    ],
)
async def test_baresip_talks_over_tls(
    new_bench: NewBench, authority: Authority, encryption: str, srtp: Srtp, is_encrypted: bool
) -> None:
    bench = await new_bench(security=security(ca=authority.file), rules=CallRules(srtp=srtp))
    with baresip(certificate=authority.certificate("127.0.0.1"), encryption=encryption) as phone:
        leg = await bench.call(phone.tls_uri)
        answer = await answered(leg)
        assert answer.dialog["transport"] == "tls"
        async with asyncio.timeout(PATIENCE):
            while leg._media.packets_received < 10:
                await asyncio.sleep(0)  # the loop reads sockets meanwhile
        assert (leg._media._cipher is not None) == is_encrypted  # type: ignore[attr-defined] # RtpSession's
        # It opens the way through NATs with one RTCP packet in the clear (APP, "PING").
        assert leg._media.counters.unauthentic <= 1  # type: ignore[attr-defined] # RtpSession's
        leg.hang_up()
        assert (await outcome_of(leg)).reason is Reason.API


async def test_a_baresip_that_insists_on_savp_gets_it_after_its_488(new_bench: NewBench, authority: Authority) -> None:
    bench = await new_bench(security=security(ca=authority.file), rules=CallRules(srtp=Srtp.OPTIONAL))
    with baresip(certificate=authority.certificate("127.0.0.1"), encryption="srtp-mand") as phone:
        leg = await bench.call(phone.tls_uri)
        await answered(leg)
        assert leg._media._cipher is not None  # type: ignore[attr-defined] # RtpSession's
        leg.hang_up()
        assert (await outcome_of(leg)).reason is Reason.API


async def test_baresip_with_a_certificate_for_somebody_else_is_not_called(
    new_bench: NewBench, authority: Authority
) -> None:
    bench = await new_bench(security=security(ca=authority.file))
    with baresip(certificate=authority.certificate("elsewhere.test")) as phone:
        outcome = await outcome_of(await bench.call(phone.tls_uri))
    assert "tls: certificate is not for 127.0.0.1" in (outcome.detail or "")
