"""A SIP caller for many calls in a process of its own: dials numbers of the product as ordered and logs what it hears.

The product's bytes (reading and writing messages) are shared, its state machines are not. Judges nothing.

An order is a line of JSON on stdin: ``{"port": 5060, "numbers": ["100", …]}``, one call each, which last until the
product ends them.
"""

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

from app.demo.talk import answer_sdp
from app.sip import build
from app.sip.headers import Address, Target
from app.sip.message import MalformedMessage, SipMessage
from tests.faults.callee import HOST, Log
from tests.faults.line import follow_orders

_T1, _LIFETIME = 0.5, 32.0  # seconds, RFC 3261 §17.1.1.1

Peer = tuple[str, int]


class Caller(asyncio.DatagramProtocol):
    def __init__(self, log: Log) -> None:
        self.log = log
        self.port = 0
        self.rtp_port = 0
        self._calls: dict[str, Call] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        heard, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(HOST, 0))
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        self.port = int(self._transport.get_extra_info("sockname")[1])
        self.rtp_port = int(heard.get_extra_info("sockname")[1])

    def obey(self, order: dict[str, Any]) -> None:
        for number in order["numbers"]:
            call = Call(self, number, (HOST, order["port"]))
            self._calls[call.invite.call_id] = call

    def send(self, data: bytes, peer: Peer) -> None:
        if self._transport is not None:
            self._transport.sendto(data, peer)

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        try:
            message = SipMessage.decode(data)
        except MalformedMessage:
            self.log.write("malformed")
            return
        if (call := self._calls.get(message.call_id)) is not None:
            call.receive(message, addr)


class Call:
    """One dialog from its INVITE on; ended ones are kept and go on answering repeats."""

    def __init__(self, caller: Caller, number: str, peer: Peer) -> None:
        self._caller = caller
        self._number = number
        self._ended = False
        self._heard: set[int] = set()
        here = f"{HOST}:{caller.port}"
        headers = [
            ("Via", f"SIP/2.0/UDP {here};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:ann@{here}>;tag={secrets.token_hex(8)}"),
            ("To", f"<sip:{number}@{HOST}:{peer[1]}>"),
            ("Call-ID", secrets.token_hex(12)),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<sip:ann@{here}>"),
            ("Content-Type", "application/sdp"),
        ]
        data = build.request("INVITE", f"sip:{number}@{HOST}:{peer[1]}", headers, answer_sdp(caller.rtp_port))
        self.invite = SipMessage.decode(data)
        self._tell("INVITE")
        self._repeats = asyncio.get_running_loop().create_task(self._repeat(data, peer))

    def receive(self, message: SipMessage, peer: Peer) -> None:
        if message.is_request:
            if message.method != "ACK":
                self._caller.send(build.response(message, 200, source=peer), peer)
            if message.method == "BYE":
                self._end("BYE")
            return
        if message.method_name != "INVITE":
            return
        self._repeats.cancel()
        code = message.status_code
        if code not in self._heard:
            self._heard.add(code)
            self._tell(str(code))
        if code >= 300:
            self._caller.send(build.ack_for(self.invite, message), peer)
            self._end(str(code))
        elif code >= 200:
            self._acknowledge(message)

    def _acknowledge(self, answer: SipMessage) -> None:
        uri = Address.parse(answer.first("contact") or "").uri
        target = Target.parse(uri)
        headers = [
            ("Via", f"SIP/2.0/UDP {HOST}:{self._caller.port};branch=z9hG4bK{secrets.token_hex(8)};rport"),
            ("Max-Forwards", "70"),
            ("From", answer.first("from") or ""),
            ("To", answer.first("to") or ""),
            ("Call-ID", answer.call_id),
            ("CSeq", "1 ACK"),
        ]
        self._caller.send(build.request("ACK", uri, headers), (target.host, target.port or 5060))

    def _end(self, how: str) -> None:
        if not self._ended:
            self._ended = True
            self._tell("ended", how=how)

    async def _repeat(self, data: bytes, peer: Peer) -> None:
        """Until anything comes back."""
        interval, left = _T1, _LIFETIME
        while left > 0:
            self._caller.send(data, peer)
            await asyncio.sleep(interval)
            left -= interval
            interval *= 2
        self._end("nobody answered")

    def _tell(self, what: str, **more: object) -> None:
        self._caller.log.write(what, call=self.invite.call_id, number=self._number, **more)


async def _main(path: Path) -> None:
    caller = Caller(Log(path))
    await caller.start()
    print(caller.port, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    orders = asyncio.create_task(follow_orders(caller.obey))
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:  # nobody is left behind when the harness dies
        try:
            await asyncio.wait_for(stop.wait(), 1)
        except TimeoutError:
            continue
    orders.cancel()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
