"""An outbound proxy (RFC 3261 §8.1.2): every INVITE goes there first, with the target as it was dialled."""

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Progress
from app.sip.engine import CallRules
from app.sip.headers import HeaderError
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import Peer, TcpPeer, row

TARGET = "sip:bob@far.example.com:5070"


@pytest.fixture
async def bench(new_bench: NewBench, peer: Peer) -> Bench:
    """Its proxy is `peer`."""
    return await new_bench(rules=CallRules(proxy=f"sip:127.0.0.1:{peer.port}"))


async def test_a_call_goes_to_the_proxy_with_its_target_untouched(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(TARGET)
    invite = await peer.expect("INVITE")
    assert (invite.request_uri, invite.first("to")) == (TARGET, f"<{TARGET}>")
    assert invite.all("route") == [f"<sip:127.0.0.1:{peer.port};lr>"]
    record = f"<sip:127.0.0.1:{peer.port};lr;x=1>"
    peer.answer(invite, 180, headers=row("Record-Route", record))
    await told(leg, Progress)
    peer.accept(invite, headers=(("Record-Route", record), ("Contact", "<sip:bob@far.example.com>")))
    ack = await peer.expect("ACK")
    assert (ack.request_uri, ack.all("route")) == ("sip:bob@far.example.com", [record])
    await answered(leg)
    leg.hang_up()
    assert (await peer.expect("BYE")).all("route") == [record]


async def test_cancel_and_ack_take_the_same_way(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(TARGET)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    leg.hang_up()
    cancel = await peer.expect("CANCEL")
    assert cancel.all("route") == invite.all("route")
    peer.answer(cancel, 200)
    peer.answer(invite, 487)
    assert (await peer.expect("ACK")).all("route") == invite.all("route")


async def test_what_a_redirection_leads_to_is_asked_through_the_proxy(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(TARGET)
    peer.answer(await peer.expect("INVITE"), 302, "Moved", headers=row("Contact", "<sip:bob@farther.example.com>"))
    await peer.expect("ACK")
    invite = await peer.expect("INVITE")
    assert invite.request_uri == "sip:bob@farther.example.com"
    peer.answer(invite, 486)
    assert (await outcome_of(leg)).reason is Reason.BUSY


async def test_a_rescuers_cancel_goes_through_the_proxy(new_bench: NewBench, bench: Bench, peer: Peer) -> None:
    survivor = await new_bench()
    leg = await bench.call(TARGET)
    invite = await peer.expect("INVITE")
    facts = leg.facts()
    assert facts["routes"] == invite.all("route")
    await bench.phone.stop()
    await survivor.phone.hang_up_stranger(facts)
    cancel = await peer.expect("CANCEL")
    assert (cancel.branch, cancel.all("route")) == (invite.branch, invite.all("route"))


async def test_the_proxys_transport_is_the_calls(new_bench: NewBench) -> None:
    tcp = await TcpPeer().open()
    bench = await new_bench(rules=CallRules(proxy=f"sip:127.0.0.1:{tcp.port};transport=tcp;lr"))
    await bench.call(TARGET)
    invite = await tcp.expect("INVITE")
    assert invite.all("route") == [f"<sip:127.0.0.1:{tcp.port};transport=tcp;lr>"]
    assert (invite.first("via") or "").startswith("SIP/2.0/TCP ")
    tcp.close()


async def test_a_proxy_in_a_refused_range_gets_nothing(new_bench: NewBench) -> None:
    bench = await new_bench(rules=CallRules(proxy="sip:10.0.0.1"))
    outcome = await bench.refused(TARGET)
    assert outcome.reason is Reason.ADDRESS_DENIED
    assert "DIAL_SIP_ALLOW" in (outcome.detail or "")


async def test_a_call_to_sips_needs_a_proxy_with_tls(bench: Bench, peer: Peer) -> None:
    outcome = await bench.refused("sips:bob@far.example.com")
    assert outcome.reason is Reason.UNREACHABLE
    assert "DIAL_SIP_PROXY" in (outcome.detail or "")
    await peer.silence(bench.address)


def test_a_proxy_that_is_no_sip_uri_is_refused() -> None:
    with pytest.raises(HeaderError):
        CallRules(proxy="proxy.example.com")
