"""What a caller asks once it talks: the same as anybody in a dialog, and timers that it has asked for (RFC 4028)."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Answered, Moved, Pressed
from app.sip import session_timer
from app.sip.engine import CallRules
from tests.sip.caller import Caller
from tests.sip.conftest import Bench, NewBench, outcome_of, told
from tests.sip.peer import PATIENCE, Peer, row, sdp
from tests.sip.test_pyvoip_is_used import functions_of_pyvoip


@pytest.fixture
async def caller(bench: Bench) -> AsyncIterator[Caller]:
    made = Caller(bench)
    await made.open()
    yield made
    made.close()


async def test_hold_resume_and_move(caller: Caller) -> None:
    leg, ok = await caller.talking()
    await told(leg, Answered)
    for direction, mirrored, port in (("sendonly", "recvonly", 9), ("sendrecv", "sendrecv", 5010)):
        caller.tell(ok, "INVITE", body=sdp(direction=direction, port=port))
        answer = await caller.expect("200 INVITE")
        assert f"a={mirrored}\r\n".encode() in answer.content
        caller.ack(answer)
    caller.tell(ok, "UPDATE", body=sdp(port=5012))
    await caller.expect("200 UPDATE")
    assert leg.session.remote is not None and leg.session.remote.port == 5012


@pytest.mark.parametrize(
    ("method", "code"), [("OPTIONS", 200), ("REFER", 603), ("NOTIFY", 489), ("PRACK", 481), ("FROBNICATE", 405)]
)
async def test_every_other_request_gets_its_answer(caller: Caller, method: str, code: int) -> None:
    leg, ok = await caller.talking()
    await told(leg, Answered)
    caller.tell(ok, method)
    await caller.expect(f"{code} {method}")


async def test_keys_and_a_new_contact(bench: Bench, caller: Caller, peer: Peer) -> None:
    leg, ok = await caller.talking()
    await told(leg, Answered)
    caller.tell(ok, "INFO", body=b"Signal=7\r\nDuration=100\r\n", kind="application/dtmf-relay")
    await caller.expect("200 INFO")
    assert (await told(leg, Pressed)).key == "7"
    caller.tell(ok, "UPDATE", headers=row("Contact", peer.contact))
    await caller.expect("200 UPDATE")
    assert (await told(leg, Moved)).dialog["remote_target"] == peer.contact.strip("<>")
    leg.hang_up()
    assert (await peer.expect("BYE")).request_uri == peer.contact.strip("<>")


async def test_an_old_cseq_and_a_foreign_tag_change_nothing(bench: Bench, caller: Caller) -> None:
    leg, ok = await caller.talking()
    await told(leg, Answered)
    caller.tell(ok, "BYE", cseq=1)
    await caller.expect("500 BYE")
    data = caller.within(ok, "BYE")
    for tag in (b"tag=caller", (ok.to_tag or "").encode()):
        caller.send(data.replace(tag, b"tag=forged" if b"=" in tag else b"f" * 16), bench.address)
        await caller.expect("481 BYE")
    assert leg.signals.empty()


@pytest.mark.parametrize(
    ("value", "more", "granted", "requires"),
    [
        ("600;refresher=uac", row("Supported", "timer"), "600;refresher=uac", ["timer"]),
        ("600;refresher=uas", row("Supported", "timer"), "600;refresher=uas", ["timer"]),
        ("600", row("Supported", "timer"), "600;refresher=uac", ["timer"]),
        ("600", (), "600;refresher=uas", []),  # a proxy asked for it
    ],
)
async def test_the_session_timer_is_granted(
    caller: Caller, value: str, more: tuple[tuple[str, str], ...], granted: str, requires: list[str]
) -> None:
    _leg, ok = await caller.talking(headers=(*row("Session-Expires", value), *more))
    assert (ok.first("Session-Expires"), ok.all("require")) == (granted, requires)


async def test_a_caller_that_lets_its_session_run_out_is_hung_up(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_timer, "SMALLEST", 1)
    leg, _ = await caller.talking(headers=(*row("Session-Expires", "1;refresher=uac"), *row("Supported", "timer")))
    await told(leg, Answered)
    await caller.expect("BYE")
    assert (await outcome_of(leg)).reason is Reason.CALLER_HANGUP


async def test_our_refresh_is_an_update(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_timer, "SMALLEST", 1)
    headers = (*row("Session-Expires", "1;refresher=uas"), *row("Supported", "timer"), *row("Allow", "INVITE, UPDATE"))
    leg, _ = await caller.talking(headers=headers)
    await told(leg, Answered)
    update = await caller.expect("UPDATE")
    assert update.first("Session-Expires") == "1;refresher=uac"
    caller.answer(update, 200, headers=row("Session-Expires", "1;refresher=uac"))


async def test_a_call_that_comes_in_is_a_pyvoip_call_too(bench: Bench, caller: Caller) -> None:
    with functions_of_pyvoip() as entered:
        leg, ok = await caller.talking()
        await told(leg, Answered)
        caller.tell(ok, "BYE")
        await caller.expect("200 BYE")
    names = {code.co_qualname for code in entered}
    assert {"VoIPCall.__init__", "VoIPCall.answer", "VoIPCall.gen_ms", "VoIPCall.bye"} <= names
    assert leg.RTPClients[0].assoc


async def test_a_flood_for_unknown_numbers_keeps_nothing(new_bench: NewBench) -> None:
    bench = await new_bench(rules=CallRules(inbound_rate=0))
    caller = Caller(bench)
    await caller.open()

    def size() -> int:
        gc.collect()
        return len(gc.get_objects())

    async def flood(count: int) -> None:
        for number in range(count):
            caller.call_id = f"flood-{number}"
            caller.invite(number=f"no-{number}")
            await caller.expect("404 INVITE")
        caller.raw.clear()
        caller.sources[:] = caller.sources[-1:]

    await flood(50)
    before = size()
    await flood(300)
    assert size() - before < 100
    assert (bench.phone.endpoint.transactions, bench.phone.calls, bench.media.ports.used) == (0, {}, 0)
    caller.close()


async def test_a_call_is_freed_when_it_ends_and_not_by_a_collection(bench: Bench, caller: Caller) -> None:
    leg, ok = await caller.talking()
    await told(leg, Answered)
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(leg)
        caller.tell(ok, "BYE")
        await caller.expect("200 BYE")
        bench.legs.clear()
        del leg
        async with asyncio.timeout(PATIENCE):
            while gone() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
