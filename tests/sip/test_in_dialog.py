"""What the peer asks inside a dialog, and what is answered."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Ended, Moved, Progress
from app.calls.status import Status
from app.sip import build
from app.sip.call import SipCall
from app.sip.message import SipMessage
from tests.sip.conftest import Bench, answered, outcome_of, told
from tests.sip.peer import Peer, row, sdp

Talk = Callable[[], Awaitable[tuple[SipCall, SipMessage]]]


@pytest.fixture
def talk(bench: Bench, peer: Peer) -> Talk:
    """A call that has been answered, and its INVITE."""

    async def make() -> tuple[SipCall, SipMessage]:
        leg = await bench.call(peer.uri)
        invite = await peer.expect("INVITE")
        peer.accept(invite, headers=(("Allow", "INVITE, UPDATE"), ("Contact", peer.contact)))
        await peer.expect("ACK")
        await answered(leg)
        return leg, invite

    return make


async def test_a_bye_ends_the_leg_and_is_answered_each_time(bench: Bench, peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    bye = peer.request(invite, "BYE")
    peer.send(bye)
    await peer.expect("200 BYE")
    ended = await told(leg, Ended)
    assert (ended.outcome.status, ended.outcome.reason) == (Status.COMPLETED, Reason.CALLEE_HANGUP)
    peer.send(bye)
    await peer.expect("200 BYE")
    peer.ask(invite, "BYE")
    await peer.expect("481 BYE")
    assert bench.phone.calls == {}


async def test_byes_that_cross_are_both_answered(bench: Bench, peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    leg.hang_up()
    ours = await peer.expect("BYE")
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")
    peer.answer(ours, 481)
    assert (await outcome_of(leg)).reason is Reason.API
    await peer.silence(bench.address)


async def test_a_bye_in_an_early_dialog_is_answered_and_the_invite_decides(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 180)
    await told(leg, Progress)
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")
    peer.answer(invite, 487)
    await peer.expect("ACK")
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.REJECTED)


async def test_hold_and_resume_are_answered_and_the_session_goes_on(peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    assert leg.session is not None
    versions = []
    for direction, mirrored in (("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")):
        peer.ask(invite, "INVITE", body=sdp(direction=direction))
        answer = await peer.expect("200 INVITE")
        assert f"a={mirrored}\r\n".encode() in answer.content
        assert answer.first("Contact")
        assert leg.session.remote is not None and leg.session.remote.direction == direction
        origin = next(line for line in answer.content.decode().splitlines() if line.startswith("o="))
        versions.append(int(origin.split()[2]))
        peer.ask(invite, "ACK", cseq=answer.cseq[0])
        await peer.silence(leg.engine.endpoint.local)
    assert versions == sorted(set(versions))


async def test_a_re_invite_without_sdp_gets_an_offer_and_the_ack_brings_the_answer(peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    peer.ask(invite, "INVITE")
    offer = await peer.expect("200 INVITE")
    assert offer.sdp().payloads == {0: "PCMU", 8: "PCMA", 101: "telephone-event"}
    peer.ask(invite, "ACK", cseq=offer.cseq[0], body=sdp(port=5004))
    await peer.silence(leg.engine.endpoint.local)
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 5004


async def test_the_200_of_a_re_invite_is_repeated_until_its_ack(peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    peer.ask(invite, "INVITE", body=sdp())
    first = await peer.expect("200 INVITE")
    again = await peer.expect("200 INVITE")
    assert peer.raw[id(first)] == peer.raw[id(again)]
    peer.ask(invite, "INVITE", body=sdp())
    while (answer := await peer.next()).status_code == 200:
        pass
    assert answer.status_code == 500  # RFC 3261 §14.2
    assert answer.first("Retry-After")
    peer.ask(invite, "ACK", cseq=first.cseq[0])
    peer.ask(invite, "BYE")
    while (answer := await peer.next()).cseq[1] == "INVITE":
        pass
    assert (await outcome_of(leg)).reason is Reason.CALLEE_HANGUP


async def test_a_re_invite_that_is_never_acked_ends_the_call(peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    peer.ask(invite, "INVITE", body=sdp())
    while (message := await peer.next()).method_name != "BYE":
        assert message.status_code == 200
    assert (await outcome_of(leg)).reason is Reason.CALLEE_HANGUP


@pytest.mark.parametrize(
    ("body", "headers", "kind", "code"),
    [
        (sdp(formats="111"), (), "application/sdp", 488),
        (b"junk", (), "application/sdp", 488),
        (sdp(address="10.9.8.7"), (), "application/sdp", 488),
        (b"<x/>", (), "text/xml", 415),
        (sdp(), row("Content-Encoding", "gzip"), "application/sdp", 415),
        (sdp(), row("Require", "precondition"), "application/sdp", 420),
        (sdp(), row("Session-Expires", "10"), "application/sdp", 422),
    ],
    ids=["codec", "garbage", "refused address", "type", "encoding", "extension", "session too short"],
)
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_an_offer_that_cannot_be_taken_leaves_the_call_as_it_was(
    peer: Peer, talk: Talk, method: str, body: bytes, headers: tuple[tuple[str, str], ...], kind: str, code: int
) -> None:
    leg, invite = await talk()
    before = leg.session.remote if leg.session else None
    peer.ask(invite, method, body=body, headers=headers, kind=kind)
    answer = await peer.expect(f"{code} {method}")
    assert answer.first("accept-encoding") == ("identity" if code == 415 else None)
    assert leg.session is not None and leg.session.remote is before
    peer.ask(invite, "OPTIONS")
    await peer.expect("200 OPTIONS")


async def test_an_update_changes_the_session_at_once(peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    peer.ask(invite, "UPDATE", body=sdp(port=6000))
    assert (await peer.expect("200 UPDATE")).content
    assert leg.session is not None and leg.session.remote is not None
    assert leg.session.remote.port == 6000
    peer.ask(invite, "UPDATE")
    assert not (await peer.expect("200 UPDATE")).content


async def test_a_target_refresh_is_told_and_used(bench: Bench, peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    other = await Peer().open()
    peer.ask(invite, "UPDATE", headers=row("Contact", f"<sip:moved@127.0.0.1:{other.port}>"))
    await peer.next()
    moved = await told(leg, Moved)
    assert moved.dialog["remote_target"] == f"sip:moved@127.0.0.1:{other.port}"
    leg.hang_up()
    assert (await other.expect("BYE")).request_uri == f"sip:moved@127.0.0.1:{other.port}"
    other.close()


@pytest.mark.parametrize(
    ("kind", "body", "code", "digits"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", 200, "5"),
        ("application/dtmf-relay", b"Duration=160\r\nSignal= *\r\n", 200, "*"),
        ("application/dtmf-relay", b"nothing here", 200, ""),
        ("application/dtmf", b" d ", 200, "D"),
        ("text/plain", b"5", 415, ""),
    ],
)
async def test_digits_come_in_info(peer: Peer, talk: Talk, kind: str, body: bytes, code: int, digits: str) -> None:
    leg, invite = await talk()
    peer.ask(invite, "INFO", body=body, kind=kind)
    await peer.expect(f"{code} INFO")
    assert leg.get_dtmf(10) == digits


@pytest.mark.parametrize(
    ("method", "code"),
    [("OPTIONS", 200), ("INFO", 200), ("REFER", 603), ("NOTIFY", 489), ("PRACK", 481), ("FROBNICATE", 405)],
)
async def test_every_other_request_gets_its_answer_and_the_call_goes_on(
    peer: Peer, talk: Talk, method: str, code: int
) -> None:
    _leg, invite = await talk()
    peer.ask(invite, method)
    answer = await peer.expect(f"{code} {method}")
    assert code not in (200, 405) or method == "INFO" or "BYE" in answer.all("allow")
    peer.ask(invite, "BYE")
    await peer.expect("200 BYE")


@pytest.mark.parametrize("method", ["OPTIONS", "INFO", "REFER"])
async def test_a_request_that_requires_what_nobody_knows_is_refused(peer: Peer, talk: Talk, method: str) -> None:
    _leg, invite = await talk()
    peer.ask(invite, method, headers=row("Require", "teleport, 100rel, foo"))
    assert (await peer.expect(f"420 {method}")).first("unsupported") == "teleport"
    peer.ask(invite, "BYE", headers=row("Require", "teleport"))
    await peer.expect("200 BYE")


async def test_a_re_invite_in_an_early_dialog_is_refused_for_now_and_in_a_lost_fork_for_good(
    bench: Bench, peer: Peer
) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, body=sdp())
    peer.answer(invite, 180, tag="lost")
    early = peer.request(invite, "INVITE", body=sdp())
    peer.send(early)
    refusal = await peer.expect("491 INVITE")  # RFC 3261 §14.2
    peer.send(build.ack_for(SipMessage.decode(early), refusal))
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)
    peer.ask(invite, "INVITE", tag="lost", body=sdp())
    await peer.expect("481 INVITE")


async def test_an_update_without_an_offer_is_answered_though_a_re_invite_waits_for_its_ack(
    peer: Peer, talk: Talk
) -> None:
    _leg, invite = await talk()
    peer.ask(invite, "INVITE", body=sdp())
    await peer.expect("200 INVITE")
    peer.ask(invite, "UPDATE", body=sdp())
    assert (await peer.expect("500 UPDATE")).first("retry-after")
    peer.ask(invite, "UPDATE")
    await peer.expect("200 UPDATE")


@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
async def test_a_re_invite_whose_media_is_looked_up_may_be_given_up(
    bench: Bench, peer: Peer, talk: Talk, method: str
) -> None:
    leg, invite = await talk()
    before = leg.session.remote if leg.session else None
    again = peer.request(invite, "INVITE", cseq=1, body=sdp(address="localhost"))
    peer.send(again)
    if method == "BYE":
        peer.ask(invite, "BYE", cseq=2)
    else:
        peer.send(build.cancel_for(SipMessage.decode(again)))
    codes = []
    while (answer := await peer.next()).status_code != 487:
        codes.append((answer.status_code, answer.method_name))
    assert answer.method_name == "INVITE"
    assert {(100, "INVITE"), (200, method)} >= set(codes)
    peer.send(build.ack_for(SipMessage.decode(again), answer))
    assert leg.session is not None and leg.session.remote is before


async def test_an_update_waits_for_the_one_before_it(
    bench: Bench, peer: Peer, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leg, invite = await talk()
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(bench.legs[0].engine.resolver, "media_named", lambda name: found)
    peer.ask(invite, "UPDATE", body=sdp(address="localhost"))
    peer.ask(invite, "UPDATE")
    assert (await peer.expect("500 UPDATE")).first("retry-after")  # RFC 3311 §5.2
    found.set_result("127.0.0.1")
    await peer.expect("200 UPDATE")


async def test_a_cseq_that_is_not_newer_is_out_of_order(peer: Peer, talk: Talk) -> None:
    _leg, invite = await talk()
    peer.ask(invite, "OPTIONS", cseq=10)
    await peer.expect("200 OPTIONS")
    peer.ask(invite, "OPTIONS", cseq=9)
    await peer.expect("500 OPTIONS")
    peer.ask(invite, "BYE", cseq=11)
    await peer.expect("200 BYE")


async def test_a_stranger_who_does_not_know_the_tags_changes_nothing(bench: Bench, peer: Peer, talk: Talk) -> None:
    leg, invite = await talk()
    peer.ask(invite, "BYE", tag="guessed")
    await peer.expect("481 BYE")
    forged = peer.request(invite, "BYE").replace(invite.from_tag.encode(), b"0" * 16)  # type: ignore[union-attr] # it has
    peer.send(forged)
    await peer.expect("481 BYE")
    assert leg.signals.empty()


async def test_a_reliable_provisional_is_pracked_once_and_in_order(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")

    def reliable(number: int) -> None:
        peer.answer(invite, 183, headers=(("Require", "100rel"), ("RSeq", str(number))), body=sdp())

    reliable(7)
    prack = await peer.expect("PRACK")
    assert prack.first("RAck") == "7 1 INVITE"
    assert prack.to_tag == peer.tag
    peer.answer(prack, 200)
    reliable(7)
    reliable(9)  # 8 is missing: it will come again
    reliable(8)
    second = await peer.expect("PRACK")
    assert second.first("RAck") == "8 1 INVITE"
    assert second.cseq[0] == prack.cseq[0] + 1
    peer.answer(second, 200)
    peer.answer(invite, 200)
    assert (await peer.expect("ACK")).cseq == (1, "ACK")
    await answered(leg)


async def test_each_invite_numbers_its_provisionals_anew(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri, username="alice", password="secret")
    for attempt in (1, 2):
        invite = await peer.expect("INVITE")
        peer.answer(invite, 183, headers=(("Require", "100rel"), ("RSeq", "1")), body=sdp())
        prack = await peer.expect("PRACK")
        assert prack.first("RAck") == f"1 {invite.cseq[0]} INVITE"
        peer.answer(prack, 200)
        if attempt == 1:
            peer.answer(invite, 407, headers=row("Proxy-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'))
            await peer.expect("ACK")
    peer.answer(invite, 200)
    await peer.expect("ACK")
    await answered(leg)


async def test_an_update_may_come_before_the_answer(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    peer.answer(invite, 183, headers=(("Require", "100rel"), ("RSeq", "1")), body=sdp())
    peer.answer(await peer.expect("PRACK"), 200)
    peer.ask(invite, "UPDATE", body=sdp(port=7000))
    assert (await peer.expect("200 UPDATE")).content
    peer.answer(invite, 200)
    await peer.expect("ACK")
    await answered(leg)
