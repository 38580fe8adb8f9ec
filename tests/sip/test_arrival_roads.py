"""Incoming calls over every road: TCP, TLS with SRTP, IPv6, and our own phone calling itself."""

import asyncio
import ipaddress
import re
from pathlib import Path

import pytest

from app.calls.address import AddressPolicy
from app.calls.outcome import Reason
from app.calls.ports import Answered, Ended
from app.sip import crypto
from app.sip.crypto import Crypto, Srtp
from app.sip.engine import CallRules
from app.sip.tls import security
from tests.kit.ports import free_port, free_ports
from tests.kit.tls import Authority
from tests.sip.caller import NUMBER, Caller, StreamCaller
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import PATIENCE, sdp

KEY = crypto.attribute(Crypto(1, b"k" * 30)).encode() + b"\r\n"
SAVP = sdp().replace(b"RTP/AVP", b"RTP/SAVP") + KEY


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.certificate("127.0.0.1")


async def over_tls(new_bench: NewBench, authority: Authority, certificate: Path, srtp: Srtp) -> StreamCaller:
    secure = security(ca=authority.file, certificate=certificate, port=free_port())
    bench = await new_bench(security=secure, rules=CallRules(srtp=srtp))
    context = secure.client
    return await StreamCaller(bench, context).open()


async def test_a_call_over_tcp_lives_on_its_connection(bench: Bench) -> None:
    caller = await StreamCaller(bench).open()
    leg, ok = await caller.talking()
    assert (ok.first("contact") or "").endswith(";transport=tcp>")
    await told(leg, Answered)
    await caller.silence(bench.address)  # a reliable transport: the 200 was sent once
    leg.hang_up()
    caller.answer(await caller.expect("BYE"), 200)
    await told(leg, Ended)
    async with asyncio.timeout(PATIENCE):
        while bench.phone.calls:
            await asyncio.sleep(0)
    connection = bench.phone.endpoint.tcp._connections
    assert [each.users for each in connection.values()] == [0]
    caller.close()


async def test_the_callers_bye_lets_go_of_the_connection_too(bench: Bench) -> None:
    caller = await StreamCaller(bench).open()
    leg, ok = await caller.talking()
    await told(leg, Answered)
    caller.tell(ok, "BYE")
    await caller.expect("200 BYE")
    await told(leg, Ended)
    assert [each.users for each in bench.phone.endpoint.tcp._connections.values()] == [0]
    assert bench.phone.calls == {}
    caller.close()


async def test_a_connection_that_is_gone_keeps_no_call(bench: Bench) -> None:
    caller = await StreamCaller(bench).open()
    leg, _ = await caller.talking()
    await told(leg, Answered)
    caller.close()
    async with asyncio.timeout(PATIENCE):
        while bench.phone.endpoint.tcp._connections:
            await asyncio.sleep(0)
    leg.hang_up()
    await told(leg, Ended)
    async with asyncio.timeout(PATIENCE):
        while bench.phone.calls:
            await asyncio.sleep(0.01)


async def test_over_tls_the_media_is_encrypted_as_offered(
    new_bench: NewBench, authority: Authority, certificate: Path
) -> None:
    caller = await over_tls(new_bench, authority, certificate, Srtp.OPTIONAL)
    leg, ok = await caller.talking(body=SAVP)
    answer = ok.content.decode()
    assert " RTP/SAVP 0\r\n" in answer
    ours = crypto.parse((re.findall(r"a=crypto:([^\r\n]+)", answer) or [""])[0])
    assert ours is not None and ours.tag == 1 and ours.key != b"k" * 30
    assert leg._media._cipher is not None  # type: ignore[attr-defined] # RtpSession's
    await told(leg, Answered)
    leg.hang_up()
    await caller.expect("BYE")
    caller.close()


@pytest.mark.parametrize(
    ("srtp", "body", "code"),
    [
        (Srtp.OPTIONAL, sdp(), 200),
        (Srtp.OPTIONAL, sdp() + KEY, 200),
        (Srtp.OFF, SAVP, 488),
        (Srtp.REQUIRED, SAVP, 200),
        (Srtp.REQUIRED, sdp(), 488),
        (Srtp.OPTIONAL, sdp().replace(b"RTP/AVP", b"RTP/SAVP"), 488),
        (Srtp.REQUIRED, b"", 200),
    ],
)
async def test_over_tls_the_setting_says_what_is_taken(
    new_bench: NewBench, authority: Authority, certificate: Path, srtp: Srtp, body: bytes, code: int
) -> None:
    caller = await over_tls(new_bench, authority, certificate, srtp)
    caller.invite(body=body)
    message = await caller.next()
    if code == 200:
        (await caller.leg()).answer()
        message = await caller.expect("200 INVITE")
        encrypted = b"a=crypto:" in message.content
        assert encrypted == (b"a=crypto:" in body or srtp is Srtp.REQUIRED)
    assert message.status_code == code
    caller.close()


async def test_required_srtp_takes_no_call_without_tls(new_bench: NewBench) -> None:
    bench = await new_bench(rules=CallRules(srtp=Srtp.REQUIRED))
    for body in (sdp(), b""):
        caller = Caller(bench)
        await caller.open()
        caller.invite(body=body)
        assert "DIAL_SRTP" in ((await caller.expect("488 INVITE")).first("Warning") or "")
        caller.close()


async def test_a_call_to_sips_has_a_contact_that_is(
    new_bench: NewBench, authority: Authority, certificate: Path
) -> None:
    caller = await over_tls(new_bench, authority, certificate, Srtp.OPTIONAL)
    caller.scheme = "sips"
    leg, ok = await caller.talking()
    assert (ok.first("contact") or "").startswith(f"<sips:{NUMBER}@127.0.0.1:{caller.phone[1]}")
    await told(leg, Answered)
    leg.hang_up()
    await caller.expect("BYE")
    caller.close()


async def test_a_call_over_ipv6(new_bench: NewBench) -> None:
    policy = AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("::1/128"),))
    bench = await new_bench(host="::1", policy=policy, ports=free_ports(20, "::1"))
    caller = Caller(bench, host="::1")
    await caller.open()
    leg, ok = await caller.talking(body=sdp(address="::1").replace(b"IN IP4 ::1", b"IN IP6 ::1"))
    assert b"c=IN IP6 ::1\r\n" in ok.content
    assert ok.first("contact") == f"<sip:{NUMBER}@[::1]:{bench.address[1]}>"
    assert caller.arrivals[0].source == "::1"
    await told(leg, Answered)
    leg.hang_up()
    await caller.expect("BYE")
    caller.close()


@pytest.mark.parametrize("ours_first", [True, False])
async def test_a_number_of_ours_can_be_called_through_us(bench: Bench, ours_first: bool) -> None:
    """Both legs have one Call-ID, and each message is for the right one."""
    caller = Caller(bench)
    out = await bench.call(f"sip:{NUMBER}@127.0.0.1:{bench.address[1]}")
    into = await caller.leg()
    assert into.arrival.caller.uri.user == "alice"
    into.ring()
    into.answer()
    await answered(out)
    await answered(into)
    first, second = (out, into) if ours_first else (into, out)
    first.hang_up()
    assert (await outcome_of(first)).reason is Reason.API
    assert (await outcome_of(second)).reason in (Reason.CALLEE_HANGUP, Reason.CALLER_HANGUP)
    async with asyncio.timeout(PATIENCE):
        while bench.phone.calls:
            await asyncio.sleep(0)
    assert bench.media.ports.used == 0
