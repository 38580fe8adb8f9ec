"""Pairs of telephones in a process of their own that time each packet: sent by this clock, arrived by the kernel's.

    python -m bench.pairs PAIRS

Says where it is called; on `measure SECONDS` measures, on the end of its input hangs up. Some sockets beside it speak
to each other directly, so that what the machine and this process add is known.
"""

import asyncio
import functools
import json
import socket
import struct
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.runtime.loop import run
from bench.report import quantile
from tests.kit.ear import FRAME, Ear
from tests.kit.talker import Talker

SLOTS = 20  # a packet each 20 ms; who sends in which millisecond is spread
DIRECT = 10  # sockets that speak to each other
_STAMP = struct.Struct("!BBHIIQI")  # RTP header, then when it was sent in ns, and by whom
_TIMESPEC = struct.Struct("qq")
_SO_TIMESTAMPNS = 35  # socket(7): the kernel's time of arrival with each datagram
_FILLING = bytes(range(FRAME - 12))
_BUFFER = 1024 * 1024  # bytes
HELD_UP = 10.0  # ms; a second in which these telephones were later proves nothing about anybody else
_AFTER = 0.5  # seconds until a packet that has not come counts as lost


@dataclass
class Window:
    """What was sent between two moments, and what of it came."""

    begin: int = 0  # ns
    end: int = 0
    sent: Counter[int] = field(default_factory=Counter)  # by the second in which it was
    delays: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # ns, by the same
    odd: int = 0  # not as it was sent, or from somebody else than before
    again: int = 0  # a number that had come already, or late

    def second(self, at: int) -> int:
        return (at - self.begin) // 1_000_000_000

    def told(self, seconds: Collection[int]) -> dict[str, Any]:
        """What was sent in these seconds only."""
        millis = [delay / 1e6 for second in seconds for delay in self.delays[second]]
        sent = sum(self.sent[second] for second in seconds)
        parts = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        return {
            "sent": sent,
            "lost": sent - len(millis),
            "odd": self.odd,
            "again": self.again,
            **{name: quantile(millis, part) for name, part in parts.items()},
            "max": max(millis, default=0.0),
        }


class Mouth(Ear):
    """One telephone's RTP: sends when the beat says so, and keeps nothing but delays."""

    def __init__(self, number: int, window: Window, beat: "Beat") -> None:
        super().__init__(0)
        self._number, self._window, self._beat = number, window, beat
        self._from: int | None = None  # who is heard
        self._last = -1
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def open(self) -> "Mouth":
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._hear)
        return self

    def start(self, remote: tuple[str, int]) -> None:
        self.remote = remote
        self._beat.join(self, self._number)

    def close(self) -> None:
        self._beat.leave(self, self._number)
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def send(self) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF
        now = time.time_ns()
        head = _STAMP.pack(0x80, 0, self._sequence, self._timestamp, self._ssrc, now, self._number)
        self._socket.sendto(head + _FILLING, self.remote)  # type: ignore[arg-type]  # joined only with one
        if self._window.begin <= now < self._window.end:
            self._window.sent[self._window.second(now)] += 1

    def _hear(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            if len(data) != _STAMP.size + len(_FILLING):
                continue  # a key, or comfort noise
            _, _, sequence, _, _, sent, number = _STAMP.unpack_from(data)
            window = self._window
            if not window.begin <= sent < window.end:
                continue  # the ringing tone and silence are as long, and have no such time in them
            seconds, nanos = _TIMESPEC.unpack(ancillary[0][2])
            window.delays[window.second(sent)].append(seconds * 1_000_000_000 + nanos - sent)
            self._from = number if self._from is None else self._from
            window.odd += number != self._from or data[_STAMP.size :] != _FILLING
            window.again += self._last >= 0 and not 0 < (sequence - self._last) & 0xFFFF < 0x8000
            self._last = sequence


class Beat:
    """One task for all: each millisecond the mouths of its slot speak."""

    def __init__(self) -> None:
        self.late: list[tuple[int, float]] = []  # when, ns; how much, ms
        self._slots: list[list[Mouth]] = [[] for _ in range(SLOTS)]

    def join(self, mouth: Mouth, number: int) -> None:
        if mouth not in self._slots[number % SLOTS]:
            self._slots[number % SLOTS].append(mouth)

    def leave(self, mouth: Mouth, number: int) -> None:
        if mouth in self._slots[number % SLOTS]:
            self._slots[number % SLOTS].remove(mouth)

    async def keep(self) -> None:
        due, slot = time.monotonic(), 0
        while True:
            due += 0.02 / SLOTS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late.append((time.time_ns(), (time.monotonic() - due) * 1000))
            for mouth in self._slots[slot]:
                mouth.send()
            slot = (slot + 1) % SLOTS


class PairTalker(Talker):
    """All telephones of one side."""

    def __init__(self, user: str, numbers: Sequence[int], window: Window, beat: Beat) -> None:
        super().__init__(user)
        self._numbers, self._window, self._beat = list(numbers), window, beat

    async def ear(self) -> Ear:
        return await Mouth(self._numbers.pop(0), self._window, self._beat).open()


async def main(pairs: int) -> int:
    loop, beat = asyncio.get_running_loop(), Beat()
    bridged, direct = Window(), Window()
    ann = PairTalker("ann", range(0, 2 * pairs, 2), bridged, beat)
    bob = PairTalker("bob", range(1, 2 * pairs, 2), bridged, beat)
    for phone in (ann, bob):
        await loop.create_datagram_endpoint(functools.partial(_same, phone), local_addr=("127.0.0.1", 0))
        phone.widen(_BUFFER)
    mouths = [await Mouth(2 * pairs + number, direct, beat).open() for number in range(DIRECT)]
    for one, other in zip(mouths[::2], mouths[1::2], strict=True):
        one.start(("127.0.0.1", other.port))
        other.start(("127.0.0.1", one.port))
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    beating = asyncio.ensure_future(beat.keep())
    print(json.dumps({"ann": ann.uri, "bob": bob.uri}), flush=True)
    async for line in orders:
        told = await _measured(float(line.split()[1]), bridged, direct, beat)
        print(json.dumps(told), flush=True)
    for talk in list(bob.talks.values()):
        talk.hang_up()
    for talk in ann.talks.values():
        await asyncio.wait_for(talk.over.wait(), 20)
    beating.cancel()
    return 0


async def _measured(seconds: float, bridged: Window, direct: Window, beat: Beat) -> dict[str, Any]:
    begin = time.time_ns() + 50_000_000
    for window in (bridged, direct):
        window.begin, window.end = begin, begin + int(seconds * 1e9)
    beat.late.clear()
    spent = time.process_time()
    await asyncio.sleep(seconds + 0.05)
    late, spent = list(beat.late), time.process_time() - spent
    await asyncio.sleep(_AFTER)
    every = range(int(seconds))
    held_up = {bridged.second(at) for at, much in late if much > HELD_UP}
    quiet = [second for second in every if not held_up & {second - 1, second, second + 1}]
    millis = [much for _, much in late]
    return {
        "bridged": bridged.told(every),
        "direct": direct.told(every),
        "quiet": bridged.told(quiet),
        "quiet seconds": len(quiet),
        "late": {"p50": quantile(millis, 0.5), "p99": quantile(millis, 0.99), "max": max(millis)},
        "cores": spent / seconds,
    }


def _same(phone: Talker) -> Talker:
    return phone


if __name__ == "__main__":
    raise SystemExit(run(main(int(sys.argv[1]))))
