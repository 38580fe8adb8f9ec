"""Relayed packets by the run: what is told of many at once is what each of them would have said."""

from collections.abc import Iterator

import numpy as np
import pytest

from app.media.bridge import part
from app.media.reception import Reception
from app.media.tap import Heard
from tests.unit.media.sides import FRAME, PCMU, Call, steps


@pytest.fixture
def call() -> Iterator[Call]:
    made = Call({0: PCMU}, {0: PCMU})
    made.run(3, silent=True)
    yield made
    made.a.end()
    made.b.end()


@pytest.mark.parametrize(
    ("sequence", "timestamp"), [(0x7FFF, 0), (0xFFF0, 0), (0x7FFF, 0xFFFF_FE00), (0xFFFF, 0xFFFF_FFFF)]
)
def test_numbers_wrap_on_either_side_and_few_packets_are_looked_at(sequence: int, timestamp: int) -> None:
    call = Call({0: PCMU}, {0: PCMU})
    assert call.b.leg is not None
    call.b.leg.outgoing.sequence, call.b.leg.outgoing.timestamp = sequence, timestamp
    call.run(100)
    assert steps(call.b.sent) == [(1, 160)] * 99
    assert {packet.payload_type for packet in call.b.sent} == {0}
    assert call.a.expected >= 95  # the first one, and one behind each wrap of four numbers


def test_a_run_counts_the_jitter_that_its_packets_would_have_one_by_one(call: Call) -> None:
    chance, alone = np.random.default_rng(2), Reception(7)
    for number in range(200):
        packet, at = call.a.next(), call.now + chance.uniform(0, 0.03)
        call.a.say(packet, at)
        alone.arrived(packet.timestamp, at * 8000)
        call.now += FRAME
        if number % 50 == 20:
            call.a.settle()
    call.a.settle()
    assert call.a.leg is not None and call.a.leg.reception is not None
    assert call.a.expected > 190
    assert call.a.leg.reception.jitter == pytest.approx(alone.jitter, rel=1e-3)
    assert alone.jitter > 40


class Listener:
    """A tap that keeps what it hears."""

    def __init__(self, *, prompt: bool) -> None:
        self.prompt = prompt
        self.told: list[Heard] = []

    def heard(self, heard: Heard) -> None:
        self.told.append(heard)

    def ended(self) -> None: ...


def test_a_patient_tap_hears_many_packets_together_and_a_prompt_one_each_at_once(call: Call) -> None:
    assert call.b.leg is not None
    call.b.leg.outgoing.timestamp = 0
    patient, prompt = Listener(prompt=False), Listener(prompt=True)
    call.a.tap(patient)
    call.a.tap(prompt)
    began, first = call.now, call.a._timestamp
    for number in range(30):
        call.a.say(call.a.next(bytes((number,)) * 160), call.now + (0 if number == 12 else 0.003))
        assert len(prompt.told) == number + 1
        call.now += FRAME
    call.a.untap(patient)
    assert len(patient.told) == 6  # a run of its own before each wrap, and one packet behind it
    codec, stamp, came, payloads, size = patient.told[-1]
    gone = 30 - len(payloads) // 160
    assert (codec, stamp, size) == (PCMU, first + gone * 160 & 0xFFFFFFFF, 160)
    assert came == pytest.approx(began + gone * FRAME)  # by the earliest of them
    assert b"".join(heard[3] for heard in patient.told) == b"".join(heard[3] for heard in prompt.told)
    call.run(5)
    assert len(prompt.told) == 35
    assert b"".join(heard[3] for heard in patient.told) == b"".join(bytes((number,)) * 160 for number in range(30))


def test_who_is_parted_is_known_to_have_talked_until_then(call: Call) -> None:
    call.run(10)
    part(call.b)
    assert call.a.heard_at == pytest.approx(call.now - FRAME)
