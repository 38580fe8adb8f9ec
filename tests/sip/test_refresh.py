"""Session timers on the wire (RFC 4028): our refresh, the peer's, and a session that nobody refreshed."""

import asyncio

import pytest

from app.calls.outcome import Reason
from app.calls.status import Status
from app.sip.message import SipMessage
from app.sip.session_timer import SessionTimer
from app.sip.transaction import Timing
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.peer import Peer, sdp


@pytest.fixture(autouse=True)
def seconds_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals may be as short as a second here; the RFC says 90."""
    monkeypatch.setattr("app.sip.session_timer.SMALLEST", 1)


async def talk(bench: Bench, peer: Peer, timer: str, allow: str = "INVITE, UPDATE") -> SipMessage:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    headers = (("Session-Expires", timer), ("Require", "timer"), ("Allow", allow), ("Contact", peer.contact))
    peer.accept(invite, headers=headers)
    await peer.expect("ACK")
    await answered(leg)
    return invite


async def test_we_refresh_by_update_at_the_half_when_it_is_our_turn(bench: Bench, peer: Peer) -> None:
    await talk(bench, peer, "1;refresher=uac")
    for _ in range(2):
        update = await peer.expect("UPDATE")
        assert update.first("Session-Expires") == "1;refresher=uac"
        assert not update.content
        peer.answer(update, 200, headers=(("Session-Expires", "1;refresher=uac"),))


async def test_we_refresh_by_re_invite_when_the_peer_has_no_update(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer, "1;refresher=uac", allow="INVITE, BYE")
    again = await peer.expect("INVITE")
    assert again.to_tag == peer.tag
    assert again.content == invite.content  # the same session, the same version
    peer.ask(invite, "UPDATE", body=sdp())
    await peer.expect("491 UPDATE")
    peer.accept(again)
    ack = await peer.expect("ACK")
    assert ack.cseq[0] == again.cseq[0]
    peer.accept(again)
    repeated = await peer.expect("ACK")
    assert peer.raw[id(repeated)] == peer.raw[id(ack)]


async def test_the_answer_to_our_re_invite_is_in_force(bench: Bench, peer: Peer) -> None:
    await talk(bench, peer, "1;refresher=uac", allow="INVITE, BYE")
    peer.answer(await peer.expect("INVITE"), 200, body=sdp(port=7000))
    await peer.expect("ACK")
    await peer.silence(bench.address)
    leg = bench.legs[0]
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 7000


async def test_a_refresh_that_is_too_short_comes_again_at_once_as_long_as_is_asked_for(
    bench: Bench, peer: Peer
) -> None:
    await talk(bench, peer, "1;refresher=uac")
    peer.answer(await peer.expect("UPDATE"), 422, headers=(("Min-SE", "300"),))
    again = await peer.expect("UPDATE")
    assert (again.first("Session-Expires"), again.first("Min-SE")) == ("300;refresher=uac", "300")
    peer.answer(again, 200, headers=(("Session-Expires", "1;refresher=uac"),))  # of one that did not read it
    third = await peer.expect("UPDATE")
    assert (third.first("Session-Expires"), third.first("Min-SE")) == ("300;refresher=uac", "300")


async def test_a_refresh_is_no_shorter_than_the_peers_own_allowed(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer, "600;refresher=uac")
    peer.ask(invite, "UPDATE", headers=(("Session-Expires", "1;refresher=uas"), ("Min-SE", "200")))
    assert (await peer.expect("200 UPDATE")).first("Session-Expires") == "1;refresher=uas"
    ours = await peer.expect("UPDATE")
    assert (ours.first("Session-Expires"), ours.first("Min-SE")) == ("200;refresher=uac", "200")


async def test_an_answer_whose_media_was_looked_up_for_long_does_not_undo_a_newer_one(
    new_bench: NewBench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await new_bench(timing=Timing())
    dues = iter((0.05, 3600.0))
    monkeypatch.setattr(SessionTimer, "due", property(lambda timer: next(dues)))
    invite = await talk(bench, peer, "1800;refresher=uac", allow="INVITE, BYE")
    leg, found = bench.legs[0], asyncio.Event()

    async def address_when_found(name: str) -> str:
        await found.wait()
        asyncio.get_running_loop().call_soon(found.clear)
        return "127.0.0.1"

    monkeypatch.setattr(leg.engine.resolver, "media_named", address_when_found)
    peer.answer(await peer.expect("INVITE"), 200, body=sdp(address="localhost", port=7000))
    await peer.expect("ACK")
    peer.ask(invite, "UPDATE", body=sdp(port=7002))
    await peer.expect("200 UPDATE")
    found.set()
    while found.is_set():
        await asyncio.sleep(0)
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 7002


@pytest.mark.parametrize("code", [481, 408])
async def test_a_refresh_that_finds_no_dialog_ends_the_call(bench: Bench, peer: Peer, code: int) -> None:
    await talk(bench, peer, "1;refresher=uac")
    peer.answer(await peer.expect("UPDATE"), code)
    await peer.expect("BYE")
    outcome = await outcome_of(bench.legs[0])
    assert (outcome.status, outcome.reason) == (Status.COMPLETED, Reason.CALLEE_HANGUP)


async def test_a_refused_refresh_is_tried_again(bench: Bench, peer: Peer) -> None:
    await talk(bench, peer, "1;refresher=uac")
    peer.answer(await peer.expect("UPDATE"), 488)
    peer.answer(await peer.expect("UPDATE"), 200)


async def test_after_a_491_the_refresh_comes_again_soon_and_not_when_the_session_is_dead(
    new_bench: NewBench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await new_bench(timing=Timing())
    dues = iter((0.05, 3600.0))
    monkeypatch.setattr(SessionTimer, "due", property(lambda timer: next(dues)))
    monkeypatch.setattr("app.sip.renegotiation._GLARE", (0.021, 0.04))
    await talk(bench, peer, "1800;refresher=uac")
    for code in (491, 200):
        peer.answer(await peer.expect("UPDATE"), code)


async def test_a_refresh_of_the_peers_that_crosses_ours_leaves_no_second_timer(
    new_bench: NewBench, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await new_bench(timing=Timing())
    dues = iter((0.05, 3600.0, 3600.0))
    monkeypatch.setattr(SessionTimer, "due", property(lambda timer: next(dues)))
    monkeypatch.setattr("app.sip.renegotiation._GLARE", (0.021, 0.04))
    invite = await talk(bench, peer, "1800;refresher=uac")
    ours = await peer.expect("UPDATE")
    peer.ask(invite, "UPDATE", headers=(("Session-Expires", "1800;refresher=uac"), ("Supported", "timer")))
    await peer.expect("200 UPDATE")
    expiry = bench.legs[0].renegotiation._timer
    peer.answer(ours, 491)
    peer.answer(await peer.expect("UPDATE"), 200)
    assert expiry is not None and expiry.cancelled()


async def test_a_session_that_the_peer_lets_expire_is_ended(bench: Bench, peer: Peer) -> None:
    await talk(bench, peer, "1;refresher=uas")
    await peer.expect("BYE")
    assert (await outcome_of(bench.legs[0])).detail


async def test_a_refresh_that_names_no_interval_ends_the_timer(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer, "600;refresher=uas")
    peer.ask(invite, "UPDATE")
    assert (await peer.expect("200 UPDATE")).first("Session-Expires") is None
    renegotiation = bench.legs[0].renegotiation
    assert renegotiation._timer is not None and renegotiation._timer.cancelled()


async def test_a_refresh_of_the_peer_is_answered_with_the_timer_it_asks_for(bench: Bench, peer: Peer) -> None:
    invite = await talk(bench, peer, "1;refresher=uas")
    peer.ask(invite, "UPDATE", headers=(("Session-Expires", "1800;refresher=uac"), ("Supported", "timer")))
    answer = await peer.expect("200 UPDATE")
    assert answer.first("Session-Expires") == "1800;refresher=uac"
    assert "timer" in answer.all("require")
