"""So many datagrams at one endpoint while calls run, batch after batch. Knows the endpoint through `Target` only."""

import asyncio
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
_FROM_WHERE_RESTS_TELL = 100_000  # datagrams; in fewer, transactions of 64·T1 pile up all the way
_PACE = 1_500  # datagrams a second at most in such a run: what 64·T1 keeps must not depend on who else is busy here
_GROWTH_MB = 64.0  # of a shorter run
_GROWTH = 1.1  # of RSS at rest, after each fifth of the way against the first
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

    async def take_calls(self, uri: str) -> str:
        """A number whose callers are answered, some of them connected with `uri`, and hung up after some seconds."""

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
    callers: int = 0  # INVITEs for a number that is answered
    taken: int = 0  # of these, answered with 200
    answered: int = 0
    requests_heard: int = 0  # of the victims' legs: ACK, BYE, CANCEL, PRACK and INVITEs again
    dropped: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    sound_calls: list[str] = field(default_factory=list)  # those that ran all the while
    next_call: list[str] = field(default_factory=list)  # placed afterwards
    rss_mb: list[float] = field(default_factory=list)  # at each tenth of the way
    rss_at_rest_mb: list[float] = field(default_factory=list)  # after each fifth of it, of a long run
    before: Vitals | None = None
    after: Vitals | None = None

    @property
    def is_sound(self) -> bool:
        """Nothing crashed, nobody else noticed, and nothing has grown."""
        before, after = self.before, self.after
        if before is None or after is None or self.crashes or self.dropped.get("crashed"):
            return False
        return (
            set(self.sound_calls) == set(self.next_call) == {"completed/callee-hangup"}
            and self._is_flat(before, after)
            and after.descriptors <= before.descriptors + _SLACK
            and after.threads <= before.threads + _SLACK
            and (after.tasks or 0) <= (before.tasks or 0)
            and after.rtp_ports == 0
        )

    def _is_flat(self, before: Vitals, after: Vitals) -> bool:
        """Memory at rest, when transactions are forgotten, must not depend on how much came.

        The first fifth fills what is kept once and for good: pools of connections and of memory, the stacks of threads.
        """
        if not self.rss_at_rest_mb:
            return max(self.rss_mb) - before.rss_mb < _GROWTH_MB
        first, *later = [*self.rss_at_rest_mb, after.rss_mb]
        return max(later) <= first * _GROWTH

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
        attacker.number = await target.take_calls(attacker.uri)
        sound.wanted = _SOUND_CALLS
        for _ in range(_SOUND_CALLS):
            await target.place(sound.uri, seconds=86_400)
        await sound.answered.wait()
        begun = time.monotonic()
        await _fire(target, attacker, sound, rng, report, datagrams)
        report.seconds = round(time.monotonic() - begun, 1)  # rests included
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
    report.victims, report.callers, report.taken = attacker.invited, attacker.callers, attacker.taken
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
    is_long = datagrams >= _FROM_WHERE_RESTS_TELL
    while report.datagrams < datagrams:
        due = time.monotonic() + BATCH / _PACE
        if report.datagrams % (5 * BATCH) == 0:
            await target.place(attacker.uri, seconds=5)
        for _ in range(min(BATCH, datagrams - report.datagrams)):
            attacker.send(_datagram(rng, attacker))
            report.datagrams += 1
        report.media_packets += _speak(attacker, sound, rng)
        await attacker.barrier()
        if is_long:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if report.datagrams * 10 // datagrams > len(report.rss_mb):
            report.rss_mb.append((await target.vitals()).rss_mb)
        if is_long and report.datagrams * 5 // datagrams > len(report.rss_at_rest_mb):
            await _rest(target, attacker, sound, rng)
            report.rss_at_rest_mb.append((await target.vitals()).rss_mb)


def _speak(attacker: Attacker, sound: SoundCallee, rng: Random) -> int:
    """Media that is heard and media that is not, to each of the sound calls; how many packets."""
    for host, port in sound.media_ports:
        for sender in (attacker.media, sound.media):
            sender.sendto(media.rtp(rng), (host, port))
            sender.sendto(media.rtcp(rng), (host, port + 1))
    return 4 * len(sound.media_ports)


async def _rest(target: Target, attacker: Attacker, sound: SoundCallee, rng: Random) -> None:
    """Only the sound calls go on, which would be hung up if nobody spoke."""
    resting = asyncio.ensure_future(target.rested())
    while not resting.done():
        _speak(attacker, sound, rng)
        await asyncio.wait((resting,), timeout=1.0)
    resting.result()


def _datagram(rng: Random, attacker: Attacker) -> bytes:
    """Over half of all belong to a call that lives, and a third is well-formed."""
    kind = rng.random()
    here = attacker.here
    if kind < 0.05:
        return rng.randbytes(rng.choice((0, 1, 4, 60, 1400, 1400, 9000)))
    if kind < 0.20:
        return mutated(rng, rng.choice(_TORTURE), _TORTURE)
    if attacker.number and 0.20 <= kind < 0.205:
        attacker.callers += 1
        data = grammar.caller(rng, attacker.number, here)
    elif attacker.replies and 0.205 <= kind < 0.25:
        data = grammar.of_caller(rng, _newest(rng, attacker.replies), here)
    elif kind < 0.45 or not attacker.requests:
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
