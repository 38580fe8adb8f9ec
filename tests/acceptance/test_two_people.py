"""Two people talk through the running product: real audio goes in at one side and is analysed at the other."""

import asyncio
import io
import itertools
import wave
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from app.media.codec import decode, encode
from app.media.pyvoip import PayloadType
from tests.kit.ear import RATE, find, snr, tone
from tests.kit.receiver import Receiver, status
from tests.kit.service import Customer
from tests.kit.talker import Talk, Talker, talker

SEQUENCE = np.concatenate([tone(f, 0.2) for f in (400, 700, 1000, 1300, 1900, 2500)])
_HELD_UP = 0.04  # seconds; longer, and the bridge rightly fills the gap with silence
_PCMU, _PCMA = PayloadType.PCMU, PayloadType.PCMA


def coded(samples: NDArray[np.int16], *laws: PayloadType) -> NDArray[np.int16]:
    """What G.711 makes of it, by one law after the other."""
    for law in laws:
        samples = np.frombuffer(decode(law, encode(law, samples.tobytes())), "<i2")
    return samples


def page(rcml: str) -> object:
    return status(200, f"<Response>{rcml}</Response>".encode(), Content_Type="application/xml")


@pytest.fixture
async def ann() -> AsyncIterator[Talker]:
    async with talker("ann") as phone:
        yield phone


@pytest.fixture
async def bob() -> AsyncIterator[Talker]:
    async with talker("bob") as phone:
        yield phone


async def both(customer: Customer, ann: Talker, bob: Talker, **dial: object) -> tuple[str, Talk, Talk]:
    """Ann is called and bridged to Bob."""
    call = await customer.dial({"caller": ann.uri, "sip": bob.uri, **dial})
    first = await ann.called()
    second = await bob.called()
    await asyncio.wait_for(second.answered.wait(), 5)
    await customer.wait_for(call["legs"][0]["sid"], "in-progress")
    await first.ear.hears(0.2)
    return call["sid"], first, second


async def crosses(source: Talk, sink: Talk, *laws: PayloadType) -> None:
    """What one says arrives at the other as good as G.711 lets it, every packet once and in order."""
    for _ in range(5):
        source.ear.held_up = 0.0
        before, heard_before = len(sink.ear.packets), len(sink.ear.audio())
        source.ear.say(SEQUENCE)
        await source.ear.said()
        await sink.ear.hears(0.3)
        if source.ear.held_up < _HELD_UP:
            break
    heard = sink.ear.audio()[heard_before:]
    at, alike = find(SEQUENCE, heard)
    assert alike > 0.99
    reference = snr(SEQUENCE, coded(SEQUENCE, *laws))
    assert snr(SEQUENCE, heard[at : at + len(SEQUENCE)]) > reference - 0.5
    packets = sink.ear.packets[before:]
    assert {(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)} == {1}
    assert len({one.ssrc for one in packets}) == 1


async def test_a_tone_sequence_crosses_the_bridge_both_ways(customer: Customer, ann: Talker, bob: Talker) -> None:
    sid, first, second = await both(customer, ann, bob)
    await crosses(first, second, _PCMU)
    await crosses(second, first, _PCMU)
    first.ear.press("1234#")
    await first.ear.said()
    await second.ear.hears(0.2)
    assert second.ear.keys() == "1234#"
    second.hang_up()
    await asyncio.wait_for(first.over.wait(), 5)
    parent = await customer.wait_for(sid)
    assert (parent["status"], parent["reason"], parent["dialCallStatus"]) == ("completed", "document-end", "completed")
    assert parent["legs"][0]["reason"] == "callee-hangup"


async def test_two_codecs_are_transcoded(customer: Customer, ann: Talker) -> None:
    async with talker("carl", codecs=(8,), events=96) as carl:
        sid, first, second = await both(customer, ann, carl)
        await crosses(first, second, _PCMU, _PCMA)
        await crosses(second, first, _PCMA, _PCMU)
        first.ear.press("90*")
        await first.ear.said()
        await second.ear.hears(0.2)
        assert second.ear.keys() == "90*"  # by the number that the callee gave them
        first.hang_up()
        await asyncio.wait_for(second.over.wait(), 5)
        parent = await customer.wait_for(sid)
        assert (parent["reason"], parent["legs"][0]["reason"]) == ("caller-hangup", "caller-hangup")


async def test_keys_by_info_reach_a_callee_that_takes_events(customer: Customer, ann: Talker, bob: Talker) -> None:
    _, first, second = await both(customer, ann, bob)
    for key in "42":
        first.info(key)
        await asyncio.sleep(0.3)  # a person's fingers
    await second.ear.hears(0.5)
    assert second.ear.keys() == "42"
    first.hang_up()
    await asyncio.wait_for(second.over.wait(), 5)


async def test_hold_and_resume_leave_the_bridge_standing(customer: Customer, ann: Talker, bob: Talker) -> None:
    _, first, second = await both(customer, ann, bob)
    second.hold("inactive")
    await asyncio.wait_for(_answer(second, "200 INVITE"), 5)
    quiet = len(second.ear.packets)
    first.ear.say(SEQUENCE)
    await first.ear.said()
    assert len(second.ear.packets) - quiet <= 2  # what was on its way
    second.hold("sendrecv")
    await asyncio.wait_for(_answer(second, "200 INVITE"), 5)
    await second.ear.hears(0.2)
    before = len(second.ear.audio())
    first.ear.say(SEQUENCE)
    await first.ear.said()
    await second.ear.hears(0.3)
    assert find(SEQUENCE, second.ear.audio()[before:])[1] > 0.99
    await crosses(second, first, _PCMU)
    first.hang_up()
    await asyncio.wait_for(second.over.wait(), 5)


async def test_the_caller_hears_ringing_then_a_callee_that_speaks_before_it_answers(
    customer: Customer, ann: Talker, bob: Talker
) -> None:
    bob.answers = 0
    call = await customer.dial({"caller": ann.uri, "sip": bob.uri})
    first = await ann.called()
    second = await bob.called()
    await first.ear.hears(1.2)
    ringing = tone(425, 0.5)
    assert find(ringing, first.ear.audio())[1] > 0.95
    first.hang_up()
    await asyncio.wait_for(second.over.wait(), 5)
    parent = await customer.wait_for(call["sid"])
    assert (parent["legs"][0]["status"], parent["legs"][0]["reason"]) == ("canceled", "caller-hangup")
    bob.early = True
    await customer.dial({"caller": ann.uri, "sip": bob.uri})
    first, second = await ann.called(), await bob.called()
    await first.ear.hears(0.2)
    second.ear.say(SEQUENCE)
    await second.ear.said()
    await first.ear.hears(0.3)
    assert find(SEQUENCE, first.ear.audio())[1] > 0.99
    first.hang_up()
    await asyncio.wait_for(second.over.wait(), 5)


async def test_star_ends_the_callee_and_the_caller_hears_the_rest(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    app.otherwise = status(200, _wav(SEQUENCE), Content_Type="audio/wav")
    rcml = f'<Dial hangupOnStar="true"><Sip>{bob.uri}</Sip></Dial>{_play(app)}'
    call = await customer.dial(f"<Response>{rcml}</Response>", caller=ann.uri)
    first, second = await ann.called(), await bob.called()
    await customer.wait_for(call["legs"][0]["sid"], "in-progress")
    await first.ear.hears(0.2)
    first.ear.press("*")
    await asyncio.wait_for(second.over.wait(), 5)
    await asyncio.wait_for(first.over.wait(), 10)
    assert find(SEQUENCE, first.ear.audio())[1] > 0.99
    parent = await customer.wait_for(call["sid"])
    assert (parent["legs"][0]["reason"], parent["reason"]) == ("star", "document-end")


@pytest.mark.parametrize("way", ["rtp", "info", "tones"])
async def test_gather_collects_digits_in_each_way(customer: Customer, app: Receiver, ann: Talker, way: str) -> None:
    app.otherwise = page("<Hangup/>")  # type: ignore[assignment]
    ann_events = None if way == "tones" else 101
    async with talker("ann", events=ann_events) as phone:
        rcml = f'<Response><Gather action="{app.url}/digits" timeout="4"><Say>Press</Say></Gather></Response>'
        await customer.dial(rcml, caller=phone.uri)
        talk = await phone.called()
        await talk.ear.hears(0.5)
        if way == "rtp":
            talk.ear.press("1234#")
        elif way == "info":
            for key in "1234#":
                talk.info(key)
                await asyncio.sleep(0.3)  # a person's fingers
        else:
            for key in "1234#":
                talk.ear.say(_key_tone(key))
                talk.ear.say(np.zeros(800, np.int16))
        await asyncio.wait_for(talk.over.wait(), 10)
    [asked] = [seen.form for seen in app.requests]
    assert asked["Digits"] == "1234"


async def test_what_is_said_and_played_is_what_is_heard(customer: Customer, app: Receiver, ann: Talker) -> None:
    app.otherwise = status(200, _wav(SEQUENCE), Content_Type="audio/wav")
    rcml = f"<Response><Say>The quick brown fox</Say><Pause/>{_play(app)}</Response>"
    await customer.dial(rcml, caller=ann.uri)
    talk = await ann.called()
    await asyncio.wait_for(talk.over.wait(), 20)
    heard = talk.ear.audio()
    at, alike = find(SEQUENCE, heard)
    assert alike > 0.99
    speech = heard[:at].astype(float)
    assert 0.6 < np.count_nonzero(np.abs(speech) > 300) / RATE + 0.5 < 6  # some seconds of it are speech
    assert np.max(np.abs(speech)) > 3000


async def test_an_inbound_call_rings_through_and_is_bridged(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    bob.answers = 0
    app.chooses = lambda seen: page(f"<Dial><Sip>{bob.uri}</Sip></Dial>")  # type: ignore[assignment,return-value]
    made = await customer.http.post("/v1/numbers", json={"number": "+4930100", "url": f"{app.url}/voice"})
    assert made.status_code == 201, made.text
    talk = await _calls(customer, ann, "+4930100")
    second = await bob.called()
    assert await _answer(talk, "180 INVITE")
    assert not talk.answered.is_set()
    bob.answer(second)
    await asyncio.wait_for(talk.answered.wait(), 5)
    await talk.ear.hears(0.2)
    await crosses(talk, second, _PCMU)
    await crosses(second, talk, _PCMU)
    talk.hang_up()
    await asyncio.wait_for(second.over.wait(), 5)
    [asked] = [seen.form for seen in app.requests]
    parent = await customer.wait_for(asked["CallSid"])
    assert (parent["direction"], parent["status"], parent["reason"]) == ("inbound", "completed", "caller-hangup")
    assert (asked["CallerName"], asked["Direction"], asked["CallStatus"]) == ("Talker", "inbound", "ringing")
    trace = await customer.get(f"/v1/calls/{parent['sid']}/trace")
    assert trace["messages"][0]["data"].startswith("INVITE sip:+4930100@")
    assert (await customer.http.delete("/v1/numbers/+4930100")).status_code == 204
    async with asyncio.timeout(10):  # the worker hears of it in a moment
        while (first_answer := await _first_answer(customer, ann, "+4930100")) != "404 INVITE":
            assert first_answer == "100 INVITE"


async def test_a_caller_that_cancels_ends_everything(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    bob.answers = 0
    app.chooses = lambda seen: page(f"<Dial><Sip>{bob.uri}</Sip></Dial>")  # type: ignore[assignment,return-value]
    await customer.http.post("/v1/numbers", json={"number": "200", "url": f"{app.url}/voice"})
    talk = await _calls(customer, ann, "200")
    second = await bob.called()
    await _answer(talk, "180 INVITE")
    ann.cancel(talk)
    assert await _answer(talk, "487 INVITE")
    await asyncio.wait_for(second.over.wait(), 5)
    parent = await customer.wait_for(app.requests[0].form["CallSid"])
    assert (parent["status"], parent["reason"]) == ("canceled", "caller-hangup")


async def test_a_number_that_dials_itself_comes_to_an_end(customer: Customer, app: Receiver, ann: Talker) -> None:
    itself = f"sip:300@127.0.0.1:{customer.service.sip_port}"
    app.chooses = lambda seen: page(f"<Dial><Sip>{itself}</Sip></Dial>")  # type: ignore[assignment,return-value]
    await customer.http.post("/v1/numbers", json={"number": "300", "url": f"{app.url}/voice"})
    talk = await _calls(customer, ann, "300")
    assert await _answer(talk, "480 INVITE")
    asked = [seen.form["CallSid"] for seen in app.requests]
    assert len(asked) == 7  # with 70, 35, 17, 8, 4, 2 and 1 hops to go
    last = await customer.wait_for(asked[-1])
    assert (last["dialCallStatus"], last["legs"][0]["sipResponseCode"]) == ("failed", 483)
    await customer.http.delete("/v1/numbers/300")


async def test_the_document_is_replaced_while_two_talk(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    app.otherwise = status(200, _wav(SEQUENCE), Content_Type="audio/wav")
    sid, first, second = await both(customer, ann, bob)
    answer = await customer.http.post(f"/v1/calls/{sid}", json={"rcml": f"<Response>{_play(app)}</Response>"})
    assert answer.status_code == 200, answer.text
    await asyncio.wait_for(second.over.wait(), 5)
    await asyncio.wait_for(first.over.wait(), 10)
    assert find(SEQUENCE, first.ear.audio())[1] > 0.99
    parent = await customer.wait_for(sid)
    assert (parent["status"], parent["reason"], parent["legs"][0]["reason"]) == ("completed", "document-end", "api")


async def test_what_both_say_is_recorded_and_can_be_fetched(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    sid, first, second = await both(
        customer,
        ann,
        bob,
        record="record-from-answer-dual",
        recordingStatusCallback=f"{app.url}/rec",
        statusCallback=f"{app.url}/events",
        statusCallbackEvent="completed",
    )
    first.ear.say(SEQUENCE)
    second.ear.say(SEQUENCE[::-1].copy())
    await first.ear.said()
    await second.ear.hears(0.5)
    second.hang_up()
    await customer.wait_for(sid)
    told = {seen.target: seen.form for seen in await app.wait_for(2)}
    assert (told["/rec"]["RecordingStatus"], told["/rec"]["CallSid"]) == ("completed", sid)
    assert told["/events"]["RecordingSid"] == told["/rec"]["RecordingSid"]
    url = told["/events"]["RecordingUrl"]
    answer = await customer.http.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    with wave.open(io.BytesIO(answer.content)) as recording:
        assert (recording.getnchannels(), recording.getframerate(), recording.getsampwidth()) == (2, RATE, 2)
        samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").reshape(-1, 2)
    left, alike_left = find(SEQUENCE, samples[:, 0].copy())
    right, alike_right = find(SEQUENCE[::-1].copy(), samples[:, 1].copy())
    assert alike_left > 0.98
    assert alike_right > 0.98
    assert abs(left - right) < 0.06 * RATE  # they began to speak within one packet of each other
    [listed] = (await customer.get(f"/v1/calls/{sid}/recordings"))["recordings"]
    assert listed["sid"] == told["/rec"]["RecordingSid"]
    assert (await customer.http.delete(f"/v1/recordings/{listed['sid']}")).status_code == 204
    assert (await customer.http.get(url)).status_code == 404


async def test_a_callee_is_screened_while_another_rings_on(
    customer: Customer, app: Receiver, ann: Talker, bob: Talker
) -> None:
    app.otherwise = page('<Gather numDigits="1" timeout="1"/><Hangup/>')  # type: ignore[assignment]
    async with talker("carl") as carl:
        carl.answers = 0
        call = await customer.dial(
            {"caller": ann.uri, "sip": [{"uri": bob.uri, "url": f"{app.url}/screen"}, {"uri": carl.uri}]}
        )
        first, screened, ringing = await ann.called(), await bob.called(), await carl.called()
        await asyncio.wait_for(screened.over.wait(), 10)  # nobody pressed a key
        assert not ringing.over.is_set()
        carl.answer(ringing)
        await customer.wait_for(call["legs"][1]["sid"], "in-progress")
        await first.ear.hears(0.2)
        await crosses(first, ringing, _PCMU)
        ringing.hang_up()
        parent = await customer.wait_for(call["sid"])
    one, other = parent["legs"]
    assert (one["status"], one["reason"], one["screening"]) == ("completed", "screening-declined", "declined")
    assert (other["status"], parent["dialCallSid"]) == ("completed", other["sid"])


async def _calls(customer: Customer, phone: Talker, number: str) -> Talk:
    """The number is known to the worker a moment after the API said so."""
    async with asyncio.timeout(10):
        while True:
            talk = await phone.call(number, ("127.0.0.1", customer.service.sip_port))
            if await talk.responses.get() != "404 INVITE":
                return talk


async def _first_answer(customer: Customer, phone: Talker, number: str) -> str:
    """To an INVITE that is cancelled at once."""
    talk = await phone.call(number, ("127.0.0.1", customer.service.sip_port))
    answer = await talk.responses.get()
    if answer == "100 INVITE":
        phone.cancel(talk)
        await talk.over.wait()
    return answer


async def _answer(talk: Talk, wanted: str) -> bool:
    """Until this answer comes."""
    async with asyncio.timeout(10):
        while await talk.responses.get() != wanted:
            pass
    return True


def _play(app: Receiver) -> str:
    """Twice: when the machine stands still for a tenth of a second, what should have been said meanwhile is skipped."""
    return f'<Play loop="2">{app.url}/tones.wav</Play>'


def _wav(samples: NDArray[np.int16]) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    return made.getvalue()


def _key_tone(key: str) -> NDArray[np.int16]:
    """ITU-T Q.23."""
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477)
    at = "123456789*0#".index(key)
    return (tone(rows[at // 3], 0.12, 5000) + tone(columns[at % 3], 0.12, 5000)).astype(np.int16)
