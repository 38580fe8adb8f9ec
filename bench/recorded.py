"""One long call that is recorded in two channels: are they still together at its end, and is anything missing?"""

import asyncio
import io
import json
import sys
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.marks import HUM, MARK
from bench.report import machine, show
from tests.kit.ear import RATE, find
from tests.kit.service import ROOT, Customer, running_service

Samples = NDArray[np.int16]

ALIGNED = 20.0  # ms that the channels may be apart at the end
_AROUND = RATE // 2  # samples before and after the place where a mark should be
_WINDOW = RATE // 100  # samples; a gap is one without the hum
_STEP = 0.15  # radians: half of what a single lost sample turns the hum by
_PHASED = RATE // 40  # samples


async def run(minutes: float, every: float, skew: Sequence[float], *, keep: Path | None, as_json: bool) -> int:
    """1 when the channels are apart at the end, when the length is wrong or when something is missing."""
    on, seconds = machine(), minutes * 60
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        async with service.customer() as customer:
            told, recording, content = await _call(customer, seconds, every, skew)
    if keep is not None:
        keep.write_bytes(content)
        keep.with_suffix(".json").write_text(json.dumps(told))
    channels = _channels(content)
    found = _compared(told, channels)
    sections = {
        "Telephones": {
            "clocks, ppm": ", ".join(f"{ppm:+g}" for ppm in skew),
            "talked, seconds": told["talked"],
            **{f"late, {name}, ms": late for name, late in told["late"].items()},
        },
        "Recording": {
            "seconds, by its file": len(channels[0]) / RATE,
            "seconds, by the API": recording["duration"],
            "longer than the talk, ms": (len(channels[0]) / RATE - told["talked"]) * 1000,
        },
        **found,
    }
    show(f"A call of {minutes:g} minutes, recorded", on, sections, as_json=as_json)
    apart = abs(found["Channels"]["apart at the last mark, ms"])
    lengthened = abs(sections["Recording"]["longer than the talk, ms"])
    missing = sum(found[name]["gaps"] for name in ("Left, the caller", "Right, the callee"))
    return int(apart > ALIGNED or lengthened > 200 or missing > 0)


async def _call(customer: Customer, seconds: float, every: float, skew: Sequence[float]) -> tuple[Any, Any, bytes]:
    """What the telephones say of it, what the API says of the recording, and its file."""
    talking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.marks", str(seconds), str(every), *map(str, skew), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if talking.stdout is None:
            raise OSError("the telephones have no voice")
        names = json.loads(await talking.stdout.readline())
        call = await customer.dial({"caller": names["ann"], "sip": names["bob"], "record": "record-from-answer-dual"})
        told = json.loads(await talking.stdout.readline())
        parent = await customer.wait_for(call["sid"])
        if parent["legs"][0]["reason"] != "callee-hangup":  # as the telephones had it
            raise ValueError(f"the call ended by itself: {parent['legs'][0]['reason']}, {parent['reason']}")
        await talking.wait()
    finally:
        if talking.returncode is None:
            talking.kill()
    async with asyncio.timeout(60):
        while (await _recording(customer, call["sid"]))["status"] == "in-progress":
            await asyncio.sleep(0.1)  # polling as a customer would
    recording = await _recording(customer, call["sid"])
    answer = await customer.http.get(f"/v1/recordings/{recording['sid']}.wav", timeout=60)
    answer.raise_for_status()
    return told, recording, answer.content


async def _recording(customer: Customer, sid: str) -> dict[str, Any]:
    [found] = (await customer.get(f"/v1/calls/{sid}/recordings"))["recordings"]
    return dict(found)


def _channels(content: bytes) -> tuple[Samples, Samples]:
    with wave.open(io.BytesIO(content)) as recording:
        if (recording.getnchannels(), recording.getframerate()) != (2, RATE):
            raise ValueError("not two channels of 8,000 Hz")
        both = np.frombuffer(recording.readframes(recording.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _compared(told: Any, channels: Sequence[Samples]) -> dict[str, dict[str, Any]]:
    places = [_places(channel, due) for channel, due in zip(channels, told["marks"], strict=True)]
    apart = [
        (there - here) / RATE * 1000 - (due_there - due_here) * 1000
        for here, there, due_here, due_there in zip(*places, *told["marks"], strict=True)
    ]
    names = ("Left, the caller", "Right, the callee")
    return {
        "Channels": {
            "marks in each": len(apart),
            "apart at the first mark, ms": apart[0],
            "apart at the last mark, ms": apart[-1],
            "apart at most, ms": max(map(abs, apart)),
        },
        **{
            name: _condition(channel, at, due)
            for name, channel, at, due in zip(names, channels, places, told["marks"], strict=True)
        },
    }


def _places(channel: Samples, due: Sequence[float]) -> list[int]:
    """Where each mark begins, as a sample's number."""
    start, alike = find(MARK, channel[: 6 * RATE])
    if alike < 0.9:
        raise ValueError("the first mark is not in the recording")
    places = []
    for at in due:
        begin = max(0, start + round((at - due[0]) * RATE) - _AROUND)
        offset, alike = find(MARK, channel[begin : begin + 2 * _AROUND + len(MARK)])
        if alike < 0.3:  # half a mark still is one: a splice may fall into it
            raise ValueError(f"a mark is not in the recording near {begin / RATE:.1f} s")
        places.append(begin + offset)
    return places


def _condition(channel: Samples, places: Sequence[int], due: Sequence[float]) -> dict[str, Any]:
    drift = [(at - places[0]) / RATE * 1000 - (when - due[0]) * 1000 for at, when in zip(places, due, strict=True)]
    between = channel[places[0] : places[-1]].astype(float)
    windows = between[: len(between) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    silent = np.sqrt(np.mean(windows**2, axis=1)) < 700  # the hum has 1,414
    return {
        "drift to the last mark, ms": drift[-1],
        "drift at most, ms": max(map(abs, drift)),
        "gaps": int(np.count_nonzero(np.diff(silent.astype(int)) == 1)),
        "gaps together, ms": int(np.count_nonzero(silent)) * 10,
        "places where the hum is spliced": _splices(between, [at - places[0] for at in places]),
    }


def _splices(hummed: NDArray[np.float64], marks: Sequence[int]) -> int:
    """Steps of the hum's phase outside the marks: a packet dropped, repeated or moved."""
    turned = hummed * np.exp(-2j * np.pi * HUM * np.arange(len(hummed)) / RATE)
    phases = np.angle(turned[: len(turned) // _PHASED * _PHASED].reshape(-1, _PHASED).mean(axis=1))
    clean = np.ones(len(phases), bool)
    for at in marks:
        clean[max(0, at // _PHASED - 1) : (at + len(MARK)) // _PHASED + 2] = False
    steps = np.abs(np.angle(np.exp(1j * np.diff(phases)))) > _STEP
    steps &= clean[1:] & clean[:-1]
    return int(np.count_nonzero(np.diff(np.concatenate(([0], steps.astype(int)))) == 1))
