"""baresip's and linphone's part: phones that somebody else wrote, which answer with media, hold, send keys, hang up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tests.interop.lab import Lab, Placed, outcome
from tests.interop.ledger import Proof
from tests.kit.baresip import Baresip, baresip
from tests.kit.linphone import Linphone, linphone

P = TypeVar("P")
Start = Callable[..., AbstractContextManager[Linphone]]

_ENOUGH = 20  # packets each way: 0.4 s


@asynccontextmanager
async def _running(context: AbstractContextManager[P]) -> AsyncIterator[P]:
    """A phone, started and stopped in threads."""
    phone = await asyncio.to_thread(context.__enter__)
    try:
        yield phone
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def _ended(placed: Placed, expected: str) -> None:
    leg = (await placed.ends())[0]
    assert outcome(leg) == expected, f"{outcome(leg)}\n{await placed.ladder()}"


async def _has_talked(placed: Placed) -> dict[str, int]:
    """What the media of the ended call came to: packets went both ways."""
    media = await placed.media()
    assert media.get("received", 0) >= _ENOUGH, media
    assert media.get("sent", 0) >= _ENOUGH, media
    assert not media.get("strangers"), media
    return media


# -- baresip


async def _baresip_talks(lab: Lab, *, uri: Callable[[Baresip], str], certificate: Path | None, encryption: str) -> None:
    async with _running(baresip(certificate=certificate, encryption=encryption)) as phone:
        placed = await lab.place(uri(phone), timeLimit=1)
        await _ended(placed, "completed time-limit 200")
    media = await _has_talked(placed)
    assert media.get("unauthentic", 0) <= 1, media  # it opens the way through NATs with one packet in the clear
    answers = [str(message["data"]) for message in await placed.messages() if message["statusCode"] == 200]
    assert ("\r\na=crypto:" in answers[0]) == bool(encryption), answers[0]
    assert ("SIP/2.0/TLS" in answers[0]) == bool(certificate), answers[0]


async def _baresip_hangs_up(lab: Lab) -> None:
    async with _running(baresip()) as phone:
        placed = await lab.place(phone.uri)
        await placed.reaches("in-progress")
        await asyncio.to_thread(phone.tell, "hangup")
        await _ended(placed, "completed callee-hangup 200")


async def _baresip_holds(lab: Lab) -> None:
    async with _running(baresip()) as phone:
        placed = await lab.place(phone.uri)
        await placed.reaches("in-progress")
        for command, direction in (("hold", "a=sendonly"), ("resume", "a=sendrecv")):
            await asyncio.to_thread(phone.tell, command)
            await placed.sees(f" INVITE\r\n.*{direction}", "received")
        await asyncio.to_thread(phone.tell, "hangup")
        await _ended(placed, "completed callee-hangup 200")


async def _baresip_refuses(lab: Lab) -> None:
    async with _running(baresip(answer=False)) as phone:
        placed = await lab.place(phone.uri)
        await placed.reaches("ringing")
        await asyncio.to_thread(phone.tell, "hangup")
        await _ended(placed, "busy busy 486")


async def _baresip_is_canceled(lab: Lab) -> None:
    async with _running(baresip(answer=False)) as phone:
        placed = await lab.place(phone.uri)
        await placed.reaches("ringing")
        await placed.hang_up("canceled")
        await _ended(placed, "canceled api -")
        await placed.sees("SIP/2.0 487", "received")


async def _baresip_plays_early(lab: Lab) -> None:
    async with _running(baresip(early=True)) as phone:
        placed = await lab.place(phone.uri)
        await placed.sees("SIP/2.0 183 .*m=audio", "received")
        await asyncio.to_thread(phone.tell, "accept")
        await placed.reaches("in-progress")
        await placed.hang_up()
        await _ended(placed, "completed api 200")


def of_baresip(certificate: Path) -> list[Proof]:
    def talk(
        feature: str, name: str, uri: Callable[[Baresip], str], *, tls: bool = False, encryption: str = ""
    ) -> Proof:
        given = certificate if tls else None
        return Proof(feature, name, partial(_baresip_talks, uri=uri, certificate=given, encryption=encryption))

    return [
        talk("UDP", "a talk over UDP", lambda phone: phone.uri),
        talk("TCP", "a talk over TCP", lambda phone: f"{phone.uri};transport=tcp"),
        talk("TLS", "a talk over TLS", lambda phone: phone.tls_uri, tls=True),
        talk("SRTP", "a talk over TLS with SRTP", lambda phone: phone.tls_uri, tls=True, encryption="srtp"),
        Proof("media", "it answers, talks and hangs up", _baresip_hangs_up),
        Proof("hold", "it holds and resumes", _baresip_holds),
        Proof("refusal", "it refuses", _baresip_refuses),
        Proof("CANCEL", "it is cancelled while it rings", _baresip_is_canceled),
        Proof("early media", "it sends media before it answers", _baresip_plays_early),
    ]


# -- linphone


@asynccontextmanager
async def _linphone_in_a_call(lab: Lab, **options: Any) -> AsyncIterator[tuple[Linphone, Placed]]:
    """It has answered and plays its tone."""
    async with _running(linphone(**options)) as phone:
        placed = await lab.place(phone.uri)
        await asyncio.to_thread(phone.answer)
        await placed.reaches("in-progress")
        yield phone, placed


async def _linphone_is_hung_up(lab: Lab, *, transport: str) -> None:
    async with _running(linphone(transport=transport)) as phone:
        placed = await lab.place(phone.uri, timeLimit=2)
        await asyncio.to_thread(phone.answer)
        await _ended(placed, "completed time-limit 200")
    await _has_talked(placed)


async def _linphone_hangs_up(lab: Lab) -> None:
    async with _linphone_in_a_call(lab) as (phone, placed):
        await asyncio.to_thread(phone.tell, "terminate 1")
        await _ended(placed, "completed callee-hangup 200")


async def _linphone_holds(lab: Lab) -> None:
    async with _linphone_in_a_call(lab) as (phone, placed):
        await asyncio.to_thread(phone.tell, "call-pause 1")
        await asyncio.to_thread(phone.wait_until, "Paused")
        await asyncio.to_thread(phone.tell, "call-resume 1")
        await asyncio.to_thread(phone.wait_until, "StreamsRunning")
        await placed.sees("SIP/2.0 200 .*a=recvonly", "sent")
        await placed.hang_up()
        await _ended(placed, "completed api 200")


async def _linphone_sends_keys(lab: Lab) -> None:
    async with _linphone_in_a_call(lab) as (phone, placed):
        for key in "15#":
            await asyncio.to_thread(phone.tell, f"dtmf {key}")
            await asyncio.sleep(0.3)  # a key lasts 100 ms of its media, which nothing announces
        await placed.hang_up()
        await _ended(placed, "completed api 200")
    assert (await placed.media()).get("keys") == 3


async def _linphone_refuses(lab: Lab) -> None:
    async with _running(linphone()) as phone:
        placed = await lab.place(phone.uri)
        await asyncio.to_thread(phone.wait_until, "IncomingReceived")
        await asyncio.to_thread(phone.tell, "terminate 1")
        await _ended(placed, "busy declined 603")


async def _linphone_is_canceled(lab: Lab) -> None:
    async with _running(linphone()) as phone:
        placed = await lab.place(phone.uri)
        await placed.reaches("ringing")
        await placed.hang_up("canceled")
        await _ended(placed, "canceled api -")
        await placed.sees("SIP/2.0 487", "received")


async def _linphone_plays_early(lab: Lab) -> None:
    async with _running(linphone(early=True)) as phone:
        placed = await lab.place(phone.uri)
        await placed.sees("SIP/2.0 183 .*m=audio", "received")
        await asyncio.to_thread(phone.tell, "answer 1")
        await placed.reaches("in-progress")
        await placed.hang_up()
        await _ended(placed, "completed api 200")


def of_linphone() -> list[Proof]:
    return [
        Proof("UDP", "a talk over UDP that we end", partial(_linphone_is_hung_up, transport="udp")),
        Proof("TCP", "a talk over TCP that we end", partial(_linphone_is_hung_up, transport="tcp")),
        Proof("media", "it answers, talks and hangs up", _linphone_hangs_up),
        Proof("hold", "it holds and resumes", _linphone_holds),
        Proof("DTMF", "its keys come as telephone events", _linphone_sends_keys),
        Proof("refusal", "it refuses", _linphone_refuses),
        Proof("CANCEL", "it is cancelled while it rings", _linphone_is_canceled),
        Proof("early media", "it sends 183 with an SDP before it answers", _linphone_plays_early),
    ]
