"""A SIP callee for hundreds of calls in a process of its own: does what the user part of the URI says, logs all of it.

The product's bytes (reading and writing messages) are shared, its state machines are not. Judges nothing.

The user part is words with hyphens between them: ``silent`` (no answer of any kind), ``forever`` (rings, never
answers), ``busy``, ``rN`` (rings N ms, then answers), ``direct`` (answers without ringing), ``tN`` (hangs up after
N ms of talk; without it, it talks for ever), ``bN`` (answers a BYE after N ms), ``dN`` (BYEs are lost on the way for
N ms), ``wN`` (nothing that it says arrives for N ms), ``x`` (CANCELs are lost until it has answered), ``media``
(sends RTP), ``auth`` (asks for credentials first), ``flood`` (says 180 a thousand times a second while it rings).
Orders on stdin set the line: `tests.faults.line`.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from app.demo.talk import answer_sdp
from app.sip import build
from app.sip.headers import Address, Target
from app.sip.message import MalformedMessage, SipMessage
from tests.faults.line import Line, Voice, follow_orders

HOST = "127.0.0.1"
_T1, _T2, _LIFETIME = 0.5, 4.0, 32.0  # seconds, RFC 3261 §17.1.1.1
_RECEIVE_BUFFER = 4 * 1024 * 1024  # bytes
_FLOOD_SECONDS, _FLOOD_TICK, _FLOOD_PER_TICK = 4.0, 0.01, 10  # a thousand a second

Peer = tuple[str, int]


class Log:
    """JSON lines, each written at once: the process may be read while it runs."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, what: str, **more: object) -> None:
        self._file.write(json.dumps({"at": time.time(), "what": what, **more}) + "\n")


class Hearing(asyncio.DatagramProtocol):
    """One RTP socket for all calls: who sends is told by the source, the longest silence of each is kept."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._last: dict[Peer, float] = {}
        self._gap: dict[Peer, float] = {}
        self._packets: dict[Peer, int] = {}
        self.lately = 0  # packets since it was last taken
        self._late: list[float] = []  # how far each gap was from 20 ms

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        if self._line.cut:
            return
        self.lately += 1
        now = time.monotonic()
        last = self._last.get(addr)
        if last is not None:
            self._gap[addr] = max(self._gap.get(addr, 0.0), now - last)
            self._late.append(abs(now - last - 0.02))
        self._last[addr] = now
        self._packets[addr] = self._packets.get(addr, 0) + 1

    def take_lately(self) -> tuple[int, dict[str, int]]:
        """Packets since the last time, and how many gaps were so many tenths of a millisecond away from 20 ms."""
        late, packets = Counter(str(int(one * 10_000)) for one in self._late), self.lately
        self._late, self.lately = [], 0
        return packets, dict(late)

    def take(self, peer: Peer | None) -> tuple[int, float]:
        """Packets and the longest gap (s) of `peer`, which is forgotten: its port may serve another call next."""
        if peer is None or peer not in self._last:
            return 0, 0.0
        del self._last[peer]
        return self._packets.pop(peer), self._gap.pop(peer, 0.0)


class Callee(asyncio.DatagramProtocol):
    def __init__(self, log: Log) -> None:
        self.log = log
        self.line = Line()
        self.hearing = Hearing(self.line)
        self.voice = Voice(self.line)
        self.port = 0
        self.rtp_port = 0
        self._calls: dict[str, Call] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        heard, _ = await loop.create_datagram_endpoint(lambda: self.hearing, local_addr=(HOST, 0))
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self.voice.start(heard)
        for transport in (heard, self._transport):
            transport.get_extra_info("socket").setsockopt(1, 8, _RECEIVE_BUFFER)  # SOL_SOCKET, SO_RCVBUF
        self.port = int(self._transport.get_extra_info("sockname")[1])
        self.rtp_port = int(heard.get_extra_info("sockname")[1])

    def send(self, data: bytes, peer: Peer) -> None:
        if self._transport is not None:
            self.line.carry(self._transport.sendto, data, peer)

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        self.line.carry(self._received, data, addr)

    def _received(self, data: bytes, addr: Peer) -> None:
        try:
            message = SipMessage.decode(data)
        except MalformedMessage:
            self.log.write("malformed")
            return
        call = self._calls.get(message.call_id)
        if message.is_request and message.method == "INVITE" and call is None and _wants_credentials(message):
            self.log.write("challenged", call=message.call_id)
            challenge = [("WWW-Authenticate", 'Digest realm="faults", nonce="0a4f", qop="auth", algorithm=SHA-256')]
            self.send(build.response(message, 401, to_tag=secrets.token_hex(4), headers=challenge, source=addr), addr)
        elif message.is_request and message.method == "INVITE" and call is None:
            self._calls[message.call_id] = Call(self, message, addr)
        elif call is not None:
            call.receive(message, addr)
        elif message.is_request and message.method != "ACK":
            self.log.write("stray " + message.method, call=message.call_id)
            self.send(build.response(message, 481, to_tag=secrets.token_hex(4), source=addr), addr)


class Call:
    """One dialog at the callee, from its INVITE on; ended ones are kept and go on answering repeats."""

    def __init__(self, callee: Callee, invite: SipMessage, peer: Peer) -> None:
        self._callee = callee
        self._invite = invite
        self._peer = peer
        self._branches = {invite.branch}
        self._tag = secrets.token_hex(8)
        self._script = _script(invite.request_uri)
        self._state = "early"
        self._newest = b""  # response to the INVITE
        self._repeats: asyncio.Task[None] | None = None
        self._sid = invite.first("x-callsid")
        self._bye = 0
        self._deaf_until: float | None = None  # to BYEs
        callee.hearing.take(_media_source(invite))  # a packet that came after the end of the call before at that port
        self._tell("INVITE", branch=invite.branch)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def receive(self, message: SipMessage, peer: Peer) -> None:
        if not message.is_request:
            if message.method_name == "BYE" and message.status_code >= 200:
                self._stop_repeating()
            return
        handler = {"INVITE": self._on_invite, "ACK": self._on_ack, "CANCEL": self._on_cancel, "BYE": self._on_bye}
        handler.get(message.method, self._on_other)(message, peer)

    async def _run(self) -> None:
        script = self._script
        if "silent" in script:
            return
        await asyncio.sleep(_milliseconds(script, "w", 0))
        if self._state != "early":
            return
        self._respond(100)
        if "busy" in script:
            self._final(486)
            return
        if "direct" not in script:
            self._respond(180)
        if "flood" in script:
            await self._flood()
        if "forever" in script:
            return
        await asyncio.sleep(_milliseconds(script, "r", 0.1))
        if self._state == "early":
            self._state = "answered"
            self._final(200)

    async def _flood(self) -> None:
        end = time.monotonic() + _FLOOD_SECONDS
        while self._state == "early" and time.monotonic() < end:
            for _ in range(_FLOOD_PER_TICK):
                self._callee.send(self._newest, self._peer)
            await asyncio.sleep(_FLOOD_TICK)

    def _on_invite(self, message: SipMessage, peer: Peer) -> None:
        if message.branch in self._branches:
            self._tell("INVITE again")
        else:
            self._branches.add(message.branch)
            self._tell("INVITE", branch=message.branch)
        if self._newest:
            self._callee.send(self._newest, peer)

    def _on_ack(self, message: SipMessage, peer: Peer) -> None:
        self._stop_repeating()
        if self._state == "answered":
            self._state = "confirmed"
            self._tell("ACK")
            if "media" in self._script and (source := _media_source(self._invite)):
                self._callee.voice.add(self._invite.call_id, source)
            if (talk := _milliseconds(self._script, "t", -1)) >= 0:
                asyncio.get_running_loop().call_later(talk, self._hang_up)

    def _on_cancel(self, message: SipMessage, peer: Peer) -> None:
        if "x" in self._script and self._state == "early":
            self._tell("CANCEL lost")
            return
        self._answer(message, 200, peer)
        self._tell("CANCEL")
        if self._state == "early":
            self._end()
            self._final(487)

    def _on_bye(self, message: SipMessage, peer: Peer) -> None:
        now = time.monotonic()
        self._deaf_until = self._deaf_until or now + _milliseconds(self._script, "d", 0)
        if now < self._deaf_until:
            self._tell("BYE lost")
            return
        self._tell("BYE" if self._state != "ended" else "BYE again")
        if self._state in ("confirmed", "answered", "early"):
            was_early = self._state == "early"
            self._end()
            if was_early:
                self._final(487)
            else:
                self._stop_repeating()
        delay = _milliseconds(self._script, "b", 0)
        asyncio.get_running_loop().call_later(delay, self._answer, message, 200, peer)

    def _on_other(self, message: SipMessage, peer: Peer) -> None:
        self._answer(message, 200 if message.method == "OPTIONS" else 405, peer)

    def _hang_up(self) -> None:
        if self._state not in ("confirmed", "answered"):
            return
        self._end()
        self._tell("sent BYE")
        uri = Address.parse(self._invite.first("contact") or "").uri
        target = Target.parse(uri)
        self._bye += 1
        headers = [
            ("Via", f"SIP/2.0/UDP {HOST}:{self._callee.port};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{self._invite.first('to')};tag={self._tag}"),
            ("To", self._invite.first("from") or ""),
            ("Call-ID", self._invite.call_id),
            ("CSeq", f"{self._bye} BYE"),
        ]
        self._repeat(build.request("BYE", uri, headers), (target.host, target.port or 5060))

    def _end(self) -> None:
        self._state = "ended"
        self._callee.voice.remove(self._invite.call_id)
        packets, gap = self._callee.hearing.take(_media_source(self._invite))
        self._tell("ended", packets=packets, gap=round(gap, 3))

    def _respond(self, code: int) -> bytes:
        headers = [("Contact", f"<sip:callee@{HOST}:{self._callee.port}>")] if code > 100 else []
        body = answer_sdp(self._callee.rtp_port) if code == 200 else b""
        self._newest = build.response(
            self._invite, code, to_tag=self._tag, headers=headers, body=body,
            content_type="application/sdp" if body else None, source=self._peer,
        )  # fmt: skip
        self._callee.send(self._newest, self._peer)
        self._tell(str(code))
        return self._newest

    def _final(self, code: int) -> None:
        """Repeated until its ACK is there (§13.3.1.4, §17.2.1); a 200 that nobody acknowledges ends with our BYE."""
        self._stop_repeating()
        if code == 486:
            self._end()
        self._repeat(self._respond(code), self._peer, then=self._hang_up if code == 200 else None)

    def _answer(self, request: SipMessage, code: int, peer: Peer) -> None:
        self._callee.send(build.response(request, code, to_tag=self._tag, source=peer), peer)

    def _repeat(self, data: bytes, peer: Peer, then: "object" = None) -> None:
        async def repeat() -> None:
            interval, left = _T1, _LIFETIME
            while left > 0:
                await asyncio.sleep(interval)
                self._callee.send(data, peer)
                left -= interval
                interval = min(2 * interval, _T2)
            if callable(then):
                then()

        self._stop_repeating()
        if data.startswith(b"BYE"):
            self._callee.send(data, peer)
        self._repeats = asyncio.get_running_loop().create_task(repeat())

    def _stop_repeating(self) -> None:
        if self._repeats is not None and self._repeats is not asyncio.current_task():
            self._repeats.cancel()
        self._repeats = None

    def _tell(self, what: str, **more: object) -> None:
        self._callee.log.write(what, call=self._invite.call_id, sid=self._sid, **more)


def _wants_credentials(invite: SipMessage) -> bool:
    return "auth" in _script(invite.request_uri) and invite.first("authorization") is None


def _script(uri: str) -> list[str]:
    return uri.partition(":")[2].partition("@")[0].split("-")


def _milliseconds(script: list[str], letter: str, otherwise: float) -> float:
    """The number of the word that begins with `letter`, in seconds."""
    for word in script:
        if word[:1] == letter and word[1:].isdigit():
            return int(word[1:]) / 1000
    return otherwise


def _media_source(invite: SipMessage) -> Peer | None:
    """Where the caller's RTP comes from: symmetric, so where it wants ours."""
    host = port = None
    for line in invite.content.decode(errors="replace").splitlines():
        if line.startswith("c=IN IP4 "):
            host = line[9:].strip()
        elif line.startswith("m=audio "):
            port = int(line.split()[1])
    return (host, port) if host and port else None


async def _main(path: Path) -> None:
    callee = Callee(Log(path))
    await callee.start()
    print(callee.port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    orders = asyncio.create_task(follow_orders(callee.line.obey))
    parent, talked = os.getppid(), 0
    while not stop.is_set() and os.getppid() == parent:  # nobody is left behind when the harness dies
        try:
            await asyncio.wait_for(stop.wait(), 1)
        except TimeoutError:
            packets, late = callee.hearing.take_lately()
            if packets or talked:
                callee.log.write("rtp", packets=packets, late=late)
            talked = packets
            if callee.line.done:
                callee.log.write("line", **callee.line.done)
    orders.cancel()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
