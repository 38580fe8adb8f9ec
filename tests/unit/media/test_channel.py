"""What one party says, put on a clock that the test moves."""

import numpy as np
import pytest

from app.media.channel import BACK, Channel
from app.media.codec import RATE, decode, encode
from app.media.pyvoip import PayloadType

PCMU, PCMA = PayloadType.PCMU, PayloadType.PCMA
LOOK = 0.8


class Line:
    """A sender whose clock is `ppm` fast, and a network that delays; looks at the channel as a recording does."""

    def __init__(self, *, ppm: float = 0.0, jitter: float = 0.0, speech: bool = True) -> None:
        self.channel = Channel(1000.0, lambda: None)
        self._chance = np.random.default_rng(4)
        self._ppm, self._jitter, self._speech = ppm, jitter, speech
        self.recorded: list[np.ndarray] = []
        self._taken = 0

    def marks(self, spoken_at: np.ndarray) -> np.ndarray:
        """A click of 2.5 ms at every full second of the true clock, over a faint voice."""
        clicks = np.where(np.mod(spoken_at, 1.0) < 0.0025, 20_000, 0)
        voice = 3000 * np.sin(2 * np.pi * 300 * spoken_at) * (np.mod(spoken_at, 3.0) < 2.2) if self._speech else 0
        return (clicks + voice).astype("<i2")

    def run(self, seconds: float, *, lose: float = 0.0) -> np.ndarray:
        """What is recorded of that long."""
        pace = 0.02 / (1 + self._ppm / 1e6)  # seconds of the true clock that a packet takes
        looks, said = 0, b""
        for number in range(int(seconds / pace)):
            began = number * pace
            at = began + pace + abs(self._chance.normal(0, self._jitter)) if self._jitter else began + pace
            while at > (looks + 1) * LOOK:
                looks += 1
                self.look(looks * LOOK - 0.15)
            if number % 500 == 0:  # ten seconds at once
                said = encode(PCMU, self.marks((number + np.arange(80_000) / 160) * pace).tobytes())
            if lose and self._chance.random() < lose:
                continue
            stamp, place = (0xFFFF_F000 + number * 160) & 0xFFFFFFFF, number % 500 * 160
            self.channel.heard((PCMU, stamp, 1000.0 + at, said[place : place + 160], 160))
        self.look(seconds)
        return np.concatenate(self.recorded)

    def look(self, until: float) -> None:
        self.channel.look()
        stop = int(until * RATE)
        self.recorded.append(self.channel.take(self._taken, stop).copy())
        self.channel.forget(stop)
        self._taken = stop


def clicks(recorded: np.ndarray) -> np.ndarray:
    """Seconds at which they begin."""
    loud = np.flatnonzero(recorded > 12_000)
    return loud[np.diff(loud, prepend=-1000) > 400] / RATE


@pytest.mark.parametrize(("ppm", "jitter"), [(-200, 0.008), (200, 0.008), (200, 0.0), (-30, 0.0), (0, 0.02)])
def test_ten_minutes_end_where_they_should(ppm: float, jitter: float) -> None:
    found = clicks(Line(ppm=ppm, jitter=jitter).run(600))
    assert len(found) >= 598
    off = found - np.round(found)
    assert np.abs(off).max() < 0.010


def test_an_hour_does_not_drift() -> None:
    found = clicks(Line(ppm=200, speech=False).run(3600))
    assert len(found) >= 3597
    assert np.abs(found - np.round(found)).max() < 0.010


def voice(at: np.ndarray) -> np.ndarray:
    return (3000 * np.sin(2 * np.pi * 300.37 * at)).astype("<i2")


def test_following_a_clock_is_not_to_be_heard() -> None:
    """No step and no bend that the voice itself, through µ-law, does not make."""
    line = Line(ppm=200)
    line.marks = voice  # type: ignore[method-assign]  # a test's sender
    recorded = line.run(60)[RATE:-RATE].astype(float)
    said = np.frombuffer(decode(PCMU, encode(PCMU, voice(np.arange(60 * RATE) / RATE).tobytes())), "<i2").astype(float)
    for order in (1, 2):
        assert np.abs(np.diff(recorded, order)).max() < 1.1 * np.abs(np.diff(said, order)).max()


def test_lost_packets_are_silence_and_move_nothing() -> None:
    line = Line()
    line.marks = lambda at: np.full(len(at), 5000, "<i2")  # type: ignore[method-assign]  # a test's sender
    recorded = line.run(20, lose=0.1)
    silent = recorded[RATE:-RATE] == 0
    assert 0.05 < silent.mean() < 0.15
    runs = np.diff(np.flatnonzero(np.diff(silent.astype(int), prepend=0, append=0)))
    assert all(run % 160 in (0, 1, 159) for run in runs[1:-1])


def packet(number: int, at: float, level: int = 5000, codec: PayloadType = PCMU):
    return codec, number * 160, 1000.0 + at, encode(codec, np.full(160, level, "<i2").tobytes()), 160


def test_disorder_is_put_in_order_and_both_laws_are_understood() -> None:
    channel = Channel(1000.0, lambda: None)
    for number, at, codec in ((1, 0.04, PCMU), (3, 0.08, PCMA), (2, 0.081, PCMU), (4, 0.1, PCMA)):
        channel.heard(packet(number, at, 1000 * number, codec))
    assert channel.look() == 160
    said = channel.take(0, 5 * 160).reshape(5, 160)[:, 80].astype(int)
    assert said == pytest.approx([0, 1000, 2000, 3000, 4000], rel=0.04)


def test_packets_that_come_by_the_run_are_put_where_they_would_be_one_by_one() -> None:
    chance = np.random.default_rng(6)
    single, together = Channel(1000.0, lambda: None), Channel(1000.0, lambda: None)
    for look in range(12):
        numbers = range(40 * look, 40 * look + 40)
        packets = [
            packet(number, 0.02 * number + 0.021 + chance.uniform(0, 0.01), 100 * number % 9000) for number in numbers
        ]
        for one in packets:
            single.heard(one)
        for run in (packets[:15], packets[15:16], packets[16:]):
            came = min(one[2] - 0.02 * number for number, one in enumerate(run))
            together.heard((PCMU, run[0][1], came, b"".join(one[3] for one in run), 160))
        assert single.look() == together.look()
        stop = (look + 1) * 6400
        assert np.array_equal(single.take(stop - 6400, stop), together.take(stop - 6400, stop))
        single.forget(stop)
        together.forget(stop)
    together.heard((PCMA, 480 * 160, 1000.0 + 9.621, b"\x55" * 480, 160))  # a run whose beginning does not fit
    assert together.look() is not None


def test_what_comes_late_still_finds_its_place() -> None:
    channel = Channel(1000.0, lambda: None)
    for number in range(40):
        if number != 20:
            channel.heard(packet(number, 0.02 * (number + 1)))
    channel.look()
    channel.forget(40 * 160)
    channel.heard(packet(20, 1.2))
    channel.heard(packet(40, 0.82))
    assert channel.look() == 20 * 160
    assert channel.take(20 * 160, 21 * 160).all()
    channel.forget(40 * 160 + 2 * BACK)
    channel.heard(packet(21, 1.3))
    channel.look()


def test_a_clock_that_leaps_is_taken_anew() -> None:
    channel = Channel(1000.0, lambda: None)
    for number in range(20):
        channel.heard(packet(number, 0.02 * (number + 1)))
    for number in range(20, 40):
        channel.heard(packet(number + 1_000_000, 0.02 * (number + 1)))
    channel.look()
    assert np.count_nonzero(channel.take(0, 40 * 160)) == 40 * 160


def test_a_clock_that_stood_still_is_followed_after_a_look() -> None:
    channel = Channel(1000.0, lambda: None)
    for look in range(4):
        pause = 0.5 if look >= 2 else 0.0
        for number in range(40 * look, 40 * look + 40):
            channel.heard(packet(number, 0.02 * (number + 1) + pause))
        channel.look()
        channel.forget((look + 1) * 6400)
    assert np.count_nonzero(channel.take(3 * 6400 + 4000, 4 * 6400 + 4000)) == 6400


def test_a_long_sleep_ends_in_order() -> None:
    channel = Channel(1000.0, lambda: None)
    for number in range(1000):
        channel.heard(packet(number, 0.02 * (number + 1)))
    channel.look()
    channel.forget(1000 * 160)
    assert not channel.take(1000 * 160, 1000 * 160 + 800).any()
