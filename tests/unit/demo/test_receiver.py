"""The demo's receiver over real HTTP, signed with the library that customers use."""

import asyncio
from datetime import UTC, datetime

from standardwebhooks import Webhook

from app.demo.receiver import Receiver
from app.demo.story import Story

SECRET = "whsec_" + "A" * 32
BODY = "CallSid=CA1&CallStatus=in-progress&SequenceNumber=2"


def request(body: str, *, signed: str, id: str = "msg_1") -> bytes:
    now = datetime.now(UTC)
    signature = Webhook(SECRET).sign(id, now, signed)
    lines = [
        "POST /events HTTP/1.1",
        "Host: localhost",
        f"webhook-id: {id}",
        f"Webhook-Timestamp: {int(now.timestamp())}",
        f"webhook-signature: {signature}",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def exchange(receiver: Receiver, *requests: bytes) -> list[bytes]:
    """The status lines of the answers, all on one connection."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for one in requests:
        writer.write(one)
        answers.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
    writer.close()
    return answers


async def received(*requests: bytes, answers: int = 204) -> tuple[Story, list[bytes]]:
    story = Story()
    receiver = Receiver(story, secret=SECRET, answers=answers)
    await receiver.start()
    try:
        return story, await exchange(receiver, *requests)
    finally:
        await receiver.stop()


async def test_a_rightly_signed_callback_is_told_with_its_event() -> None:
    story, answers = await received(request(BODY, signed=BODY))
    [arrival] = story.arrivals
    assert answers == [b"HTTP/1.1 204 No Content"]
    assert (arrival.event, arrival.status, arrival.sequence, arrival.attempt) == ("answered", "in-progress", "2", 1)
    assert arrival.problem is None


async def test_a_body_that_was_changed_is_told_as_wrongly_signed() -> None:
    story, _ = await received(request(BODY, signed=BODY + "&CallDuration=9"))
    assert story.arrivals[0].problem == "No matching signature found"


async def test_a_callback_without_signature_is_told_as_such() -> None:
    story, _ = await received(b"POST /events HTTP/1.1\r\nContent-Length: 2\r\n\r\na=")
    assert story.arrivals[0].problem == "Missing required headers"


async def test_a_signature_that_is_none_is_told_and_does_not_stop_it() -> None:
    bad = request(BODY, signed=BODY).replace(b"v1,", b"v1;")
    story, answers = await received(bad, request(BODY, signed=BODY))
    assert len(answers) == 2
    assert [arrival.problem is None for arrival in story.arrivals] == [False, True]


async def test_the_same_delivery_again_is_its_second_attempt() -> None:
    story, answers = await received(request(BODY, signed=BODY), request(BODY, signed=BODY), answers=500)
    assert answers == [b"HTTP/1.1 500 Internal Server Error"] * 2
    assert [(arrival.attempt, arrival.answered) for arrival in story.arrivals] == [(1, 500), (2, 500)]
