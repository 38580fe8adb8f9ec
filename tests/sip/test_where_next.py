"""Challenges, redirections, the next address: which INVITE leaves after one was refused."""

import asyncio
import ipaddress
import re

import pytest

from app.calls.address import AddressPolicy
from app.calls.outcome import Reason
from app.calls.ports import Ended, Moved
from app.calls.status import Status
from app.sip.message import SipMessage
from app.sip.resolve import Places
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import Peer, row

CREDENTIALS = {"username": "alice", "password": "secret"}


@pytest.fixture
async def bench(new_bench: NewBench) -> Bench:
    """With the RFC's timers: nothing here waits for one, and a busy machine brings no retransmission."""
    return await new_bench(timing=Timing())


def challenge(peer: Peer, request: SipMessage, nonce: str, *, code: int = 401, more: str = "") -> None:
    name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
    value = f'Digest realm="r", nonce="{nonce}", algorithm=MD5, qop="auth"{more}'
    peer.answer(request, code, "Challenged", headers=row(name, value))


@pytest.mark.parametrize(("code", "name"), [(401, "Authorization"), (407, "Proxy-Authorization")])
async def test_a_challenge_is_answered_with_a_new_cseq_in_the_same_call(
    bench: Bench, peer: Peer, code: int, name: str
) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    first = await peer.expect("INVITE")
    challenge(peer, first, "n1", code=code)
    assert (await peer.expect("ACK")).branch == first.branch
    second = await peer.expect("INVITE")
    assert (second.call_id, second.from_tag) == (first.call_id, first.from_tag)
    assert (second.cseq, second.to_tag) == ((2, "INVITE"), None)
    assert second.branch != first.branch
    assert 'username="alice"' in (second.first(name) or "")
    assert "secret" not in str(second.raw_headers)
    moved = await told(leg, Moved)
    assert (moved.dialog["cseq"], moved.dialog["via"]) == (2, second.first("via"))
    peer.accept(second)
    ack = await peer.expect("ACK")
    assert ack.first(name) == second.first(name)  # RFC 3261 §13.2.2.4
    await answered(leg)


async def test_a_realm_that_refuses_twice_ends_it(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    for nonce in ("n1", "n2"):
        challenge(peer, await peer.expect("INVITE"), nonce)
        await peer.expect("ACK")
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason, outcome.sip_code) == (Status.FAILED, Reason.AUTHENTICATION, 401)


async def test_a_stale_nonce_is_answered_anew(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    challenge(peer, await peer.expect("INVITE"), "n1")
    await peer.expect("ACK")
    challenge(peer, await peer.expect("INVITE"), "n2", more=", stale=true")
    await peer.expect("ACK")
    third = await peer.expect("INVITE")
    assert 'nonce="n2"' in (third.first("Authorization") or "")
    peer.accept(third)
    await answered(leg)


async def test_a_peer_that_calls_every_nonce_stale_is_given_up(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    for number in range(5):
        challenge(peer, await peer.expect("INVITE"), f"n{number}", more=", stale=true")
        await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.AUTHENTICATION


async def test_a_proxy_and_a_callee_may_both_challenge(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    challenge(peer, await peer.expect("INVITE"), "n1", code=407)
    await peer.expect("ACK")
    challenge(peer, await peer.expect("INVITE"), "n2", code=401)
    await peer.expect("ACK")
    third = await peer.expect("INVITE")
    assert 'nonce="n1"' in (third.first("Proxy-Authorization") or "")
    assert "nc=00000002" in (third.first("Proxy-Authorization") or "")
    assert 'nonce="n2"' in (third.first("Authorization") or "")
    peer.accept(third)
    await answered(leg)


def challenges(peer: Peer, request: SipMessage, code: int, *realms: str) -> None:
    rows = tuple(("Proxy-Authenticate", f'Digest realm="{realm}", nonce="n-{realm}", qop="auth"') for realm in realms)
    peer.answer(request, code, "Challenged", headers=rows)


def realms_answered(invite: SipMessage, name: str) -> list[str]:
    return sorted(value.partition('realm="')[2].partition('"')[0] for value in invite.rows(name))


async def test_every_realm_of_one_response_is_answered(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    challenges(peer, await peer.expect("INVITE"), 407, "a", "b")
    await peer.expect("ACK")
    second = await peer.expect("INVITE")
    assert realms_answered(second, "Proxy-Authorization") == ["a", "b"]
    peer.accept(second)
    assert realms_answered(await peer.expect("ACK"), "Proxy-Authorization") == ["a", "b"]
    await answered(leg)


async def test_a_forking_proxy_hands_on_challenges_of_both_kinds(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    first = await peer.expect("INVITE")
    rows = [(f"{of}-Authenticate", f'Digest realm="{of}", nonce="n"') for of in ("WWW", "Proxy")]
    peer.answer(first, 401, "Unauthorized", headers=rows)
    await peer.expect("ACK")
    second = await peer.expect("INVITE")
    assert realms_answered(second, "Authorization") == ["WWW"]
    assert realms_answered(second, "Proxy-Authorization") == ["Proxy"]
    peer.accept(second)
    await peer.expect("ACK")
    await answered(leg)


async def test_realms_add_up_until_none_of_those_asked_for_is_new(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    for asked in (["a"], ["b"], ["a", "c"]):
        challenges(peer, await peer.expect("INVITE"), 407, *asked)
        await peer.expect("ACK")
    fourth = await peer.expect("INVITE")
    assert realms_answered(fourth, "Proxy-Authorization") == ["a", "b", "c"]
    challenges(peer, fourth, 407, "b", "c")
    await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.AUTHENTICATION


async def test_no_more_than_eight_realms_are_answered_at_once(bench: Bench, peer: Peer) -> None:
    await bench.call(peer.uri, **CREDENTIALS)
    challenges(peer, await peer.expect("INVITE"), 407, *(f"realm{n}" for n in range(100)))
    await peer.expect("ACK")
    assert len((await peer.expect("INVITE")).rows("Proxy-Authorization")) == 8


async def test_a_challenge_without_credentials_is_the_end(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    challenge(peer, await peer.expect("INVITE"), "n1")
    await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.AUTHENTICATION


async def test_a_challenged_bye_is_sent_again_with_credentials(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    await answered(leg)
    leg.hang_up()
    first = await peer.expect("BYE")
    challenge(peer, first, "n1", code=407)
    second = await peer.expect("BYE")
    assert second.cseq == (first.cseq[0] + 1, "BYE")
    assert 'nonce="n1"' in (second.first("Proxy-Authorization") or "")
    challenge(peer, second, "n2", code=407)
    await peer.silence(bench.address)
    assert bench.phone.calls == {}


async def test_a_302_is_followed_in_the_order_of_q(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    first = await peer.expect("INVITE")
    base = f"127.0.0.1:{peer.port}"
    contacts = f"<sip:low@{base}?X-Evil=1>;q=0.1, <tel:+1>, <sip:high@{base}>;q=0.9, <sip:mid@{base}>;q=0.5"
    peer.answer(first, 302, "Moved", headers=row("Contact", contacts))
    await peer.expect("ACK")
    for user in ("high", "mid"):
        invite = await peer.expect("INVITE")
        assert invite.request_uri == f"sip:{user}@{base}"
        assert (invite.first("to"), invite.call_id) == (first.first("to"), first.call_id)
        await told(leg, Moved)
        peer.answer(invite, 404)
        await peer.expect("ACK")
    last = await peer.expect("INVITE")
    assert last.request_uri == f"sip:low@{base}"
    assert last.first("X-Evil") is None
    assert last.cseq == (4, "INVITE")
    peer.accept(last)
    await answered(leg)


async def test_a_contact_of_a_302_sets_neither_headers_nor_a_method(bench: Bench, peer: Peer) -> None:
    await bench.call(peer.uri)
    where = f"127.0.0.1:{peer.port}"
    contact = f"<sip:a?b;c@{where};user=phone;Method=BYE?X-Evil=1>"
    peer.answer(await peer.expect("INVITE"), 302, headers=row("Contact", contact))
    await peer.expect("ACK")
    assert (await peer.expect("INVITE")).request_uri == f"sip:a?b;c@{where};user=phone"


async def test_a_target_is_never_tried_twice(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 302, "Moved", headers=row("Contact", f"<{peer.uri}>"))
    await peer.expect("ACK")
    outcome = await outcome_of(leg)
    assert (outcome.reason, outcome.sip_code) == (Reason.REJECTED, 302)


async def test_redirections_are_followed_five_deep(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    for depth in range(6):
        invite = await peer.expect("INVITE")
        contact = f"<sip:{depth}@127.0.0.1:{peer.port}>"
        peer.answer(invite, 302, "Moved", headers=row("Contact", contact))
        await peer.expect("ACK")
    assert (await outcome_of(leg)).sip_code == 302
    await peer.silence(bench.address)


async def test_a_600_stops_the_search(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    contacts = f"<sip:a@127.0.0.1:{peer.port}>, <sip:b@127.0.0.1:{peer.port}>"
    peer.answer(await peer.expect("INVITE"), 300, "Choices", headers=row("Contact", contacts))
    await peer.expect("ACK")
    peer.answer(await peer.expect("INVITE"), 603, "Decline")
    await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.DECLINED


async def test_a_redirection_to_a_refused_address_is_not_followed(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    peer.answer(await peer.expect("INVITE"), 302, "Moved", headers=row("Contact", "<sip:x@10.0.0.1>"))
    await peer.expect("ACK")
    outcome = await outcome_of(leg)
    assert (outcome.reason, outcome.sip_code) == (Reason.ADDRESS_DENIED, 302)


async def test_another_branch_that_answers_while_the_next_target_is_looked_up_does_not_end_the_search(
    bench: Bench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    resolver, found = leg.engine.resolver, asyncio.Event()
    hops = resolver.hops

    async def hops_when_found(uri: str) -> Places:
        await found.wait()
        return await hops(uri)

    monkeypatch.setattr(resolver, "hops", hops_when_found)
    peer.answer(invite, 302, "Moved", tag="one", headers=row("Contact", f"<sip:bob@localhost:{peer.port}>"))
    await peer.expect("ACK")
    peer.accept(invite, tag="two")
    assert (await peer.expect("ACK")).to_tag == "two"
    peer.answer(await peer.expect("BYE"), 200)
    await peer.silence(bench.address)  # the phone has heard that
    found.set()
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    await answered(leg)


async def test_credentials_stay_with_the_host_they_were_given_for(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, **CREDENTIALS)
    elsewhere = f"<sip:bob@127.0.0.1.nip.invalid:{peer.port};maddr=127.0.0.1>"
    peer.answer(await peer.expect("INVITE"), 302, "Moved", headers=row("Contact", elsewhere))
    await peer.expect("ACK")
    invite = await peer.expect("INVITE")
    challenge(peer, invite, "n1")
    await peer.expect("ACK")
    assert (await outcome_of(leg)).reason is Reason.AUTHENTICATION


async def test_the_next_address_is_asked_after_a_503(new_bench: NewBench, peer: Peer) -> None:
    bench = await new_bench()
    other = await Peer().open()
    leg = await bench.call(peer.uri)
    search = leg._search
    search._itinerary.hops = [search.invitation.hop._replace(port=other.port)]  # type: ignore[union-attr] # as DNS would
    peer.answer(await peer.expect("INVITE"), 503, "Full")
    await peer.expect("ACK")
    invite = await other.expect("INVITE")
    assert invite.request_uri == peer.uri
    other.answer(invite, 503, "Full too")
    await other.expect("ACK")
    outcome = await outcome_of(leg)
    assert (outcome.reason, outcome.sip_code, outcome.sip_reason) == (Reason.REJECTED, 503, "Full too")
    other.close()


@pytest.mark.parametrize(
    ("uri", "reason", "detail"),
    [
        ("sip:bob@10.1.2.3", Reason.ADDRESS_DENIED, "DIAL_SIP_ALLOW"),
        ("sip:bob@[::ffff:10.1.2.3]", Reason.ADDRESS_DENIED, "DIAL_SIP_ALLOW"),
        ("sip:bob@allowed.example;maddr=192.168.0.1", Reason.ADDRESS_DENIED, "DIAL_SIP_ALLOW"),
        ("sip:bob@name.invalid", Reason.UNREACHABLE, "name.invalid"),
        (f"sip:bob@{'a' * 63}.invalid", Reason.UNREACHABLE, "resolved"),
        ("sip:bob@127.0.0.1;transport=sctp", Reason.UNREACHABLE, "sctp"),
        ("sips:bob@127.0.0.1;transport=udp", Reason.UNREACHABLE, "TLS"),
    ],
)
async def test_a_target_that_leads_nowhere_ends_before_anything_is_sent(
    bench: Bench, uri: str, reason: Reason, detail: str
) -> None:
    outcome = await bench.refused(uri)
    assert (outcome.status, outcome.reason) == (Status.FAILED, reason)
    assert re.search(detail, outcome.detail or "")
    assert bench.phone.calls == {}


@pytest.mark.parametrize("uri", ["sip:bob@192.0.2.1", "sip:bob@[::1]"])
async def test_an_address_that_the_bound_socket_cannot_reach_names_the_setting(new_bench: NewBench, uri: str) -> None:
    everything = AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
    bench = await new_bench(policy=everything)
    outcome = await bench.refused(uri)
    assert outcome.reason is Reason.UNREACHABLE
    assert "DIAL_SIP_HOST" in (outcome.detail or "")


async def test_a_name_is_resolved_and_called(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(f"sip:bob@localhost:{peer.port}")
    invite = await peer.expect("INVITE")
    assert invite.request_uri == f"sip:bob@localhost:{peer.port}"
    peer.answer(invite, 486)
    assert (await told(leg, Ended)).outcome.reason is Reason.BUSY
