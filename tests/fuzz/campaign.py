"""So many datagrams at one endpoint while calls run, batch after batch. Knows the endpoint through `Target` only."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Protocol

from app.sip.message import SipMessage
from tests.fuzz import grammar, media
from tests.fuzz.callees import Attacker, SoundCallee
from tests.fuzz.mutation import mutated
from tests.sip.torture import invalid, semantics, valid

BATCH = 100  # datagrams between two looks whether the endpoint lives
_TORTURE = tuple((valid.MESSAGES | invalid.MESSAGES | semantics.MESSAGES).values())
_SOUND_CALLS = 3
_LONG = 120.0  # seconds
_GROWTH_MB = 64.0
_SLACK = 4  # connections and threads that pools may have opened


@dataclass(frozen=True, slots=True)
class Vitals:
    """What must not grow. None: not to be had of this target."""

    rss_mb: float
    descriptors: int
    threads: int
    tasks: int | None
    rtp_ports: int


class Target(Protocol):
    """An endpoint under fire."""

    @property
    def address(self) -> tuple[str, int]: ...

    async def place(self, uri: str, *, seconds: int) -> None:
        """Place a call that ends by itself after so long."""

    async def vitals(self) -> Vitals: ...

    async def dropped(self) -> dict[str, int]:
        """Messages dropped so far, by why."""

    async def crashes(self) -> list[str]:
        """Every exception that reached a loop's edge, as text."""

    async def settled(self) -> None:
        """Wait until no call is left."""

    async def rested(self) -> None:
        """Wait until what transactions keep for 64·T1 is gone, too."""

    async def calls_of(self, uri: str) -> list[str]:
        """How the calls to that target ended, one word each."""


@dataclass(slots=True)
class Report:
    datagrams: int = 0
    media_packets: int = 0
    seconds: float = 0.0
    victims: int = 0  # calls whose dialogs were fuzzed
    answered: int = 0
    requests_heard: int = 0  # of the victims' legs: ACK, BYE, CANCEL, PRACK and INVITEs again
    dropped: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    sound_calls: list[str] = field(default_factory=list)  # those that ran all the while
    next_call: list[str] = field(default_factory=list)  # placed afterwards
    rss_mb: list[float] = field(default_factory=list)  # at each tenth of the way
    before: Vitals | None = None
    after: Vitals | None = None

    @property
    def is_sound(self) -> bool:
        """Nothing crashed, nobody else noticed, and nothing has grown.

        Memory rises for the first 64·T1, for which transactions are remembered, and must be flat from then on.
        """
        before, after, middle = self.before, self.after, len(self.rss_mb) // 2
        if before is None or after is None or self.crashes or self.dropped.get("crashed"):
            return False
        is_long = self.seconds > _LONG
        growth = max(self.rss_mb[middle:]) - max(self.rss_mb[:middle] if is_long else [before.rss_mb])
        return (
            set(self.sound_calls) == set(self.next_call) == {"completed/callee-hangup"}
            and growth < _GROWTH_MB
            and after.descriptors <= before.descriptors + _SLACK
            and after.threads <= before.threads + _SLACK
            and (after.tasks or 0) <= (before.tasks or 0)
            and after.rtp_ports == 0
        )

    def lines(self) -> Iterable[str]:
        for name, value in asdict(self).items():
            yield f"{name:<16} {value if value != [] else 'none'}"


async def run(target: Target, *, datagrams: int, seed: int, host: str) -> Report:
    """`host` is a loopback address of our own: answers to a mutated Via reach nobody else there."""
    rng, report = Random(seed), Report()
    attacker = Attacker(host, target.address).open()
    sound = await SoundCallee(host).open()
    after = await SoundCallee(host).open()
    try:
        await _warm_up(target, attacker, rng)
        report.before = await target.vitals()
        sound.wanted = _SOUND_CALLS
        for _ in range(_SOUND_CALLS):
            await target.place(sound.uri, seconds=86_400)
        await sound.answered.wait()
        begun = time.monotonic()
        await _fire(target, attacker, sound, rng, report, datagrams)
        report.seconds = round(time.monotonic() - begun, 1)
        sound.hang_up()
        await target.settled()
        report.sound_calls = await target.calls_of(sound.uri)
        await target.place(after.uri, seconds=86_400)
        await after.answered.wait()
        after.hang_up()
        await target.settled()
        report.next_call = await target.calls_of(after.uri)
        await target.rested()
    finally:
        attacker.close()
        sound.close()
        after.close()
    report.after = await target.vitals()
    report.dropped, report.crashes = await target.dropped(), await target.crashes()
    report.answered, report.requests_heard = attacker.answered, attacker.heard
    report.victims = attacker.invited
    return report


async def _warm_up(target: Target, attacker: Attacker, rng: Random) -> None:
    """What is allocated once, and kept, is no leak: a few calls and a little of everything first."""
    for _ in range(3):
        await target.place(attacker.uri, seconds=1)
    for _ in range(5):
        for _ in range(BATCH):
            attacker.send(_datagram(rng, attacker))
        await attacker.barrier()
    await target.settled()


async def _fire(
    target: Target, attacker: Attacker, sound: SoundCallee, rng: Random, report: Report, datagrams: int
) -> None:
    while report.datagrams < datagrams:
        if report.datagrams % (5 * BATCH) == 0:
            await target.place(attacker.uri, seconds=5)
        for _ in range(min(BATCH, datagrams - report.datagrams)):
            attacker.send(_datagram(rng, attacker))
            report.datagrams += 1
        for host, port in sound.media_ports:
            for sender in (attacker.media, sound.media):
                sender.sendto(media.rtp(rng), (host, port))
                sender.sendto(media.rtcp(rng), (host, port + 1))
                report.media_packets += 2
        await attacker.barrier()
        if report.datagrams * 10 // datagrams > len(report.rss_mb):
            report.rss_mb.append((await target.vitals()).rss_mb)


def _datagram(rng: Random, attacker: Attacker) -> bytes:
    """Half of all belong to a call that lives, and a third is well-formed."""
    kind = rng.random()
    here = attacker.here
    if kind < 0.05:
        return rng.randbytes(rng.choice((0, 1, 4, 60, 1400, 1400, 9000)))
    if kind < 0.20:
        return mutated(rng, rng.choice(_TORTURE), _TORTURE)
    if kind < 0.45 or not attacker.requests:
        data = grammar.stranger(rng, here)
    elif kind < 0.72:
        data = grammar.answer(rng, _newest(rng, attacker.requests), here)
    elif kind < 0.95:
        data = grammar.in_dialog(rng, _newest(rng, attacker.victims), here)
    else:
        data = rng.choice(attacker.seeds)
    others = attacker.seeds if attacker.seeds and rng.random() < 0.5 else _TORTURE
    return mutated(rng, data, others) if rng.random() < 0.65 else data


def _newest(rng: Random, kept: Sequence[SipMessage]) -> SipMessage:
    return kept[-1] if rng.random() < 0.6 else rng.choice(kept)
