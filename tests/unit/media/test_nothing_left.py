"""A thousand legs' lives in random order: no port, descriptor, task, timer, beat, file or object is left of any."""

import asyncio
import gc
import os
import random
import weakref
from collections.abc import Callable
from pathlib import Path

from app.calls.audio import Playback, Take, TakeOrder
from app.media.packet import Packet, pack
from app.media.pyvoip import PayloadType
from app.media.recorder import WavRecorder
from app.media.rtp import RtpPool, RtpSession
from app.media.ticker import Ticker
from tests.kit.ports import free_ports

LIVES = 1000
LEGS = 3
AT_ONCE = 20
ASSOCS = (
    {0: PayloadType.PCMU, 101: PayloadType.EVENT},
    {8: PayloadType.PCMA},
    {8: PayloadType.PCMA, 0: PayloadType.PCMU, 96: PayloadType.EVENT},
)
SOUND = bytes(range(256)) * 5


class Life:
    """Some legs, and what may happen to them."""

    def __init__(self, pool: RtpPool, recorder: WavRecorder, number: int, peer) -> None:
        self.chance = random.Random(number)
        self.number, self.peer, self.recorder = number, peer, recorder
        self.legs = [pool.open(dtmf=self.key) for _ in range(LEGS)]
        for leg in self.legs:
            leg.on_tone = self.key
        self.playbacks: list[Playback] = []
        self.takes: list[Take] = []
        self.pressed: list[str] = []

    def key(self, key: str) -> None:
        self.pressed.append(key)

    def any(self) -> RtpSession:
        return self.chance.choice(self.legs)

    def happen(self) -> None:
        """One more thing."""
        steps: tuple[Callable[[], object], ...] = (
            self.connect, self.connect, self.connect, self.hear, self.hear, self.hear, self.play, self.press,
            self.shut_up, self.bridge, self.bridge, self.overhear, self.record, self.stop_recording, self.hold,
            self.secure, lambda: self.any().part(), lambda: self.any().stop(),
            lambda: self.any().listen_for_tones(self.chance.random() < 0.5), lambda: self.any().start(),
        )  # fmt: skip
        self.chance.choice(steps)()

    def connect(self) -> None:
        assoc = self.chance.choice(ASSOCS)
        self.any().connect(assoc, self.peer.host, self.peer.port, send=self.chance.random() < 0.8, receive=True).start()

    def hear(self) -> None:
        leg = self.any()
        for number in range(3):
            kind = self.chance.choice((0, 0, 8, 101))
            payload = bytes((5, 10, 0, 160)) if kind == 101 else bytes(160)
            data = pack(Packet(kind, False, self.number + number, 160 * number, 5, payload))
            self.peer.socket.sendto(data, ("127.0.0.1", leg.local_port))

    def play(self) -> None:
        self.playbacks.append(self.any().play(SOUND, times=self.chance.choice((0, 1, 3))))

    def press(self) -> None:
        self.playbacks.append(self.any().press("1w#"))

    def shut_up(self) -> None:
        if self.playbacks:
            self.chance.choice(self.playbacks).stop()

    def bridge(self) -> None:
        self.any().bridge(self.any())

    def overhear(self) -> None:
        self.any().overhear(self.any())

    def record(self) -> None:
        order = TakeOrder(
            f"RE{self.number}-{len(self.takes)}",
            channels=self.chance.choice((1, 2)),
            silence=self.chance.choice((None, 0.01)),
        )
        self.takes.append(self.recorder.begin(order, caller=self.chance.choice((None, self.any())), callee=self.any()))

    def stop_recording(self) -> None:
        if self.takes:
            self.chance.choice(self.takes).stop()

    def hold(self) -> None:
        self.any().update(self.peer.host, self.peer.port, send=self.chance.random() < 0.5, receive=True)

    def secure(self) -> None:
        self.any().secure(self.chance.choice((None, (bytes(30), bytes(30)))))

    async def end(self) -> list[weakref.ref[object]]:
        for leg in self.chance.sample(self.legs, LEGS):
            leg.stop()
            leg.stop()
        for take in self.takes:  # those of a leg that nobody was on end by themselves; the rest are told to
            take.stop()
            await asyncio.wait_for(take.done, 10)
        assert all(playback.done.done() for playback in self.playbacks)
        return [weakref.ref(leg) for leg in self.legs]


async def live(pool: RtpPool, recorder: WavRecorder, number: int, peer) -> list[weakref.ref[object]]:
    life = Life(pool, recorder, number, peer)
    for _ in range(life.chance.randrange(5, 30)):
        life.happen()
        if life.chance.random() < 0.1:
            await asyncio.sleep(life.chance.choice((0, 0, 0.001)))
    if number % 40 == 0:
        await asyncio.sleep(0.05)  # some beats
    return await life.end()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


async def test_nothing_is_left_of_a_thousand_lives(ticker: Ticker, tmp_path: Path, peer) -> None:
    pool = RtpPool("127.0.0.1", free_ports(2 * LEGS * AT_ONCE), 30.0, ticker)
    recorder = WavRecorder(tmp_path, ticker)
    await live(pool, recorder, 0, peer)
    await asyncio.sleep(0.05)
    before, left = descriptors(), []
    gc.disable()
    try:
        for first in range(1, LIVES + 1, AT_ONCE):
            lives = (live(pool, recorder, number, peer) for number in range(first, first + AT_ONCE))
            left += [reference for life in await asyncio.gather(*lives) for reference in life]
            peer.heard()
        await asyncio.sleep(0.05)  # the ticker's last timer
        alive = [reference for reference in left if reference() is not None]
    finally:
        gc.enable()
    assert (pool.ports.used, descriptors()) == (0, before)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not ticker.running
    assert alive == []
    assert not list(tmp_path.glob("*.part"))
    recorder.close()
