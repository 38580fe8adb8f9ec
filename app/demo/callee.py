"""A small SIP phone over UDP that rings, answers (or refuses), talks and hangs up; tells what it sees, judges nothing.

It shares the product's bytes (reading and writing messages) but none of its state machines, so that a mistake in
those shows here as it would at anybody's phone.
"""

import asyncio
import secrets
from collections.abc import Callable

from app.demo.ports import HOST
from app.demo.story import Side, Story
from app.demo.talk import Talk, answer_sdp, media_address
from app.runtime import loop
from app.sip import build
from app.sip.headers import Address, Target
from app.sip.message import MalformedMessage, SipMessage

RINGS = 1.0  # seconds
TALKS = 2.0  # seconds
_T1, _T2 = 0.5, 4.0  # seconds, RFC 3261 §17.1.1.1
_PHRASES = {200: "OK", 480: "Temporarily Unavailable", 486: "Busy Here", 487: "Request Terminated", 603: "Decline"}

Peer = tuple[str, int]


class Callee(asyncio.DatagramProtocol):
    """Answers every INVITE with `answers` after it rang; after a 200 it hangs up by itself."""

    def __init__(self, story: Story, *, answers: int = 200, rings: float = RINGS, talks: float = TALKS) -> None:
        self._story = story
        self._calls: dict[str, _Call] = {}  # by Call-ID
        self._replies: dict[tuple[str, str], bytes] = {}  # newest response by branch and method, for repeated requests
        self._transport: asyncio.DatagramTransport | None = None
        self.answers = answers
        self.rings = rings
        self.talks = talks
        self.port = 0

    @property
    def uri(self) -> str:
        return f"sip:alice@{HOST}:{self.port}"

    async def start(self) -> None:
        running = asyncio.get_running_loop()
        self._transport, _ = await running.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self.port = self._transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        for call in self._calls.values():
            call.stop()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        try:
            message = SipMessage.decode(data)
        except MalformedMessage:
            return
        self._tell("product", message)
        if message.is_request:
            self._request(message, addr)
        elif (call := self._calls.get(message.call_id)) is not None:
            call.answered_bye.set()

    def reply(self, request: SipMessage, peer: Peer, response: bytes) -> None:
        self._replies[request.branch, request.method] = response
        self.send(response, peer)

    def send(self, data: bytes, peer: Peer) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, peer)
            self._tell("callee", SipMessage.decode(data))

    def _request(self, request: SipMessage, peer: Peer) -> None:
        repeated = self._replies.get((request.branch, request.method))
        call = self._calls.get(request.call_id)
        if repeated is not None and request.method != "ACK":
            self.send(repeated, peer)
        elif request.method == "INVITE" and call is None:
            self._calls[request.call_id] = _Call(self, self._story, request, peer)
        elif request.method == "ACK":
            if call is not None:
                call.acked.set()
        elif call is None or request.method not in ("BYE", "CANCEL"):
            code, phrase = (200, "OK") if request.method == "OPTIONS" else (481, "Call/Transaction Does Not Exist")
            self.reply(request, peer, build.response(request, code, phrase, to_tag=secrets.token_hex(4), source=peer))
        else:
            self.reply(request, peer, build.response(request, 200, "OK", to_tag=call.tag, source=peer))
            call.given_up.set()

    def _tell(self, by: Side, message: SipMessage) -> None:
        self._story.sip_message(by, _described(message))


class _Call:
    """One call, from its INVITE to its end, on the callee's side."""

    def __init__(self, callee: Callee, story: Story, invite: SipMessage, peer: Peer) -> None:
        self.tag = secrets.token_hex(4)
        self.acked = asyncio.Event()
        self.answered_bye = asyncio.Event()
        self.given_up = asyncio.Event()  # by the caller: CANCEL or BYE
        self._callee = callee
        self._invite = invite
        self._peer = peer
        self._talk = Talk(story)
        self._task = loop.spawn(self._run(), "callee")

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            self._respond(100, "Trying")
            self._respond(180, "Ringing")
            if await _happened(self.given_up, self._callee.rings):
                await self._repeat(lambda: self._respond(487), until=self.acked)
            elif self._callee.answers != 200:
                await self._repeat(lambda: self._respond(self._callee.answers), until=self.acked)
            else:
                await self._talked()
        finally:
            self._talk.stop()

    async def _talked(self) -> None:
        port = await self._talk.open()
        body = answer_sdp(port)
        # RFC 3261 §13.3.1.4: the 200 is repeated until its ACK is there, over whatever transport.
        await self._repeat(lambda: self._respond(200, body=body), until=self.acked)
        if not self.acked.is_set():
            return
        self._talk.begin(media_address(self._invite.content))
        if await _happened(self.given_up, self._callee.talks):
            return
        bye, target = self._bye()
        self._talk.stop()
        await self._repeat(lambda: self._callee.send(bye, target), until=self.answered_bye)

    def _respond(self, code: int, phrase: str = "", *, body: bytes = b"") -> None:
        response = build.response(
            self._invite,
            code,
            phrase or _PHRASES.get(code, "Refused"),
            to_tag=self.tag,
            headers=[("Contact", f"<{self._callee.uri}>")] if code > 100 else [],
            body=body,
            content_type="application/sdp" if body else None,
            source=self._peer,
        )
        self._callee.reply(self._invite, self._peer, response)

    def _bye(self) -> tuple[bytes, Peer]:
        """The BYE and where it goes: the caller's Contact (RFC 3261 §12.2.1.1)."""
        uri = Address.parse(self._invite.first("contact") or "").uri
        target = Target.parse(uri)
        headers = [
            ("Via", f"SIP/2.0/UDP {HOST}:{self._callee.port};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{self._invite.first('to')};tag={self.tag}"),
            ("To", self._invite.first("from") or ""),
            ("Call-ID", self._invite.call_id),
            ("CSeq", "1 BYE"),
        ]
        return build.request("BYE", uri, headers), (target.host, target.port or 5060)

    async def _repeat(self, send: Callable[[], None], *, until: asyncio.Event) -> None:
        """Send now and at T1, 2·T1, 4·T1… until it is answered or 64·T1 are over."""
        interval, left = _T1, 64 * _T1
        while left > 0:
            send()
            if await _happened(until, interval):
                return
            left -= interval
            interval = min(2 * interval, _T2)


async def _happened(event: asyncio.Event, within: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within)
    except TimeoutError:
        return False
    return True


def _described(message: SipMessage) -> str:
    """``INVITE``, ``180 Ringing``, ``200 OK (BYE)``."""
    if message.is_request:
        return message.method
    text = f"{message.status_code} {message.reason_phrase}".rstrip()
    return text if message.method_name == "INVITE" else f"{text} ({message.method_name})"
