"""The network in front of the callee: loses, repeats and delays datagrams as ordered; and the callee's own voice.

Knows no SIP.
"""

import asyncio
import json
import random
import struct
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

Peer = tuple[str, int]
Deliver = Callable[[bytes, Peer], None]

_LATE = 0.2  # seconds at most
_FRAME = 0.02  # seconds of a packet
_SILENCE = b"\xff" * 160  # PCMU


class Line:
    """Chances per datagram, in each direction; `cut` lets nothing through."""

    def __init__(self) -> None:
        self.cut = False
        self._loss = self._twice = self._late = 0.0
        self.done: Counter[str] = Counter()  # datagrams, and what became of them

    def obey(self, order: dict[str, float]) -> None:
        self.cut = bool(order.get("cut", False))
        self._loss, self._twice, self._late = (order.get(name, 0.0) for name in ("loss", "twice", "late"))

    def carry(self, deliver: Deliver, data: bytes, peer: Peer) -> None:
        self.done["datagrams"] += 1
        if self.cut or random.random() < self._loss:
            self.done["lost"] += 1
            return
        again = random.random() < self._twice
        self.done["twice"] += again
        for _ in range(2 if again else 1):
            if random.random() < self._late:
                self.done["late"] += 1
                asyncio.get_running_loop().call_later(random.uniform(0, _LATE), deliver, data, peer)
            else:
                deliver(data, peer)


class Voice:
    """RTP to every caller that is to hear something, 50 packets a second each, from one socket."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._to: dict[str, Peer] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, transport: asyncio.DatagramTransport) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(transport))

    def add(self, call: str, peer: Peer) -> None:
        self._to[call] = peer

    def remove(self, call: str) -> None:
        self._to.pop(call, None)

    async def _run(self, transport: asyncio.DatagramTransport) -> None:
        loop = asyncio.get_running_loop()
        number, due = 0, loop.time()
        while True:
            number, due = number + 1, due + _FRAME
            for call, peer in self._to.items():
                source = hash(call) & 0xFFFFFFFF
                head = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, source)
                if not self._line.cut:
                    transport.sendto(head + _SILENCE, peer)
            await asyncio.sleep(max(0.0, due - loop.time()))


async def follow_orders(obey: Callable[[dict[str, Any]], None]) -> None:
    """Each JSON line of stdin, until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        obey(json.loads(line))
        print("done", flush=True)
