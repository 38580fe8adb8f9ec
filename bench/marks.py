"""Two telephones in a process of their own that hum for a long time and sound marks at known times. Places no call.

    python -m bench.marks SECONDS EVERY ANN_PPM BOB_PPM

Says their addresses first, and at the end when each mark was due and how late the telephones themselves were.
"""

import asyncio
import functools
import json
import sys
import time

import numpy as np

from app.runtime.loop import run
from bench.report import quantile
from tests.kit.ear import FRAME, RATE, Ear
from tests.kit.talker import Talk, Talker

HUM = 410.0  # Hz: 8.2 periods a packet, so that a packet too much or too few shows as a step of its phase
_LEAD = 2.0  # seconds before the first mark and after the last
_HUMMED = (2000 * np.sin(2 * np.pi * HUM * np.arange(RATE // 10) / RATE)).astype(np.int16)  # 41 whole periods
_SWEPT = np.arange(RATE // 5) / RATE
MARK = (8000 * np.sin(2 * np.pi * (600 * _SWEPT + 5000 * _SWEPT**2))).astype(np.int16)  # 0.2 s up to 2,600 Hz


class Marker(Ear):
    """Hums whenever it has no mark to sound; its clock is `ppm` millionths fast."""

    def __init__(self, ppm: float) -> None:
        super().__init__(0)
        self.period = FRAME / RATE / (1 + ppm / 1_000_000)
        self.times: list[float] = []  # of the marks to come
        self.marks: list[float] = []  # when the packets that began them were due, whenever they left
        self.late: list[float] = []

    async def _speak(self) -> None:
        due, hummed = time.monotonic(), 0
        while True:
            due += self.period
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late.append(time.monotonic() - due)
            if self.times and due >= self.times[0]:
                self.times.pop(0)
                self.marks.append(due)
                self.say(MARK)
            elif not self._queue:
                self.say(_HUMMED[hummed * FRAME :][:FRAME])
            hummed = (hummed + 1) % (len(_HUMMED) // FRAME)
            self._send()
            self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF


class MarkingTalker(Talker):
    def __init__(self, user: str, ppm: float) -> None:
        super().__init__(user)
        self.ppm = ppm

    async def ear(self) -> Ear:
        return await Marker(self.ppm).open()


async def main(seconds: float, every: float, *ppm: float) -> int:
    ann, bob = (MarkingTalker(name, each) for name, each in zip(("ann", "bob"), ppm, strict=True))
    loop = asyncio.get_running_loop()
    for phone in (ann, bob):
        await loop.create_datagram_endpoint(functools.partial(_same, phone), local_addr=("127.0.0.1", 0))
    print(json.dumps({"ann": ann.uri, "bob": bob.uri}), flush=True)
    first, second = await ann.called(), await bob.called()
    await asyncio.wait_for(second.answered.wait(), 30)
    answered = time.monotonic()
    count = int((seconds - 2 * _LEAD) / every) + 1
    ears = [_marker(talk) for talk in (first, second)]
    for ear in ears:
        ear.times = [answered + _LEAD + every * number for number in range(count)]
    await asyncio.sleep(answered + seconds - time.monotonic())
    second.hang_up()
    ended = time.monotonic()
    late = [one * 1000 for ear in ears for one in ear.late]
    told = {
        "marks": [ear.marks for ear in ears],
        "talked": ended - answered,
        "sent": [len(ear.late) for ear in ears],
        "heard": [len(ear.packets) for ear in ears],
        "late": {"p50": quantile(late, 0.5), "p99": quantile(late, 0.99), "max": max(late)},
    }
    print(json.dumps(told), flush=True)
    await asyncio.wait_for(first.over.wait(), 10)
    ann.close()
    bob.close()
    return 0


def _marker(talk: Talk) -> Marker:
    if not isinstance(talk.ear, Marker):
        raise TypeError("a telephone without marks")
    return talk.ear


def _same(phone: Talker) -> Talker:
    return phone


if __name__ == "__main__":
    raise SystemExit(run(main(*map(float, sys.argv[1:]))))
