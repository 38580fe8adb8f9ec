"""Plays calls of mixed fates at a running product and says what is wrong with their ends, and what is left of them."""

import asyncio
import io
import random
import time
import wave
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qsl

from tests.kit.crowd import Crowd, crowd
from tests.kit.ear import RATE, tone
from tests.kit.fates import FATES, READY, Stage, complaint, fate_of
from tests.kit.leftovers import Held, held
from tests.kit.receiver import Receiver, receiver
from tests.kit.service import FINAL, Customer, Service

SETTINGS = {"DIAL_WEBHOOK_RETRIES": "0.5,1,2,4", "DIAL_INBOUND_RATE": "0"}

_PATIENCE = 40.0  # seconds until what is left counts as left for good
_LOOK = 0.2  # seconds

Left = dict[tuple[str, str], tuple[int, int]]


@dataclass
class Ordeal:
    """What came of it; `wrong` and `left` are empty when all is well."""

    calls: int = 0  # placed or called in
    records: int = 0  # parents and legs
    ends: Counter[str] = field(default_factory=Counter)
    callbacks: int = 0  # owed
    again: int = 0  # requests beyond the first for one callback
    wrong: list[str] = field(default_factory=list)
    before: Held = field(default_factory=lambda: Held({}, {}))
    after: Held = field(default_factory=lambda: Held({}, {}))
    left: Left = field(default_factory=dict)
    played: float = 0.0  # seconds
    late: dict[str, float] = field(default_factory=dict)  # of the telephones, ms


async def run(service: Service, calls: int, rate: float, *, seed: int = 0) -> Ordeal:
    """`calls` of every fate in turn, in random order; before that each once, so that what stays warm is warm."""
    found = Ordeal()
    async with service.customer() as customer, crowd(seed) as talkers, receiver() as app:
        stage = Stage(customer, talkers, app.url, _sounds())
        app.chooses = stage.receive
        await stage.set_up()
        await _until_numbers_are_known(talkers, service)
        playing = Playing(service, stage, app, talkers, found, random.Random(seed))
        await playing.play(list(range(len(FATES))), rate)
        await playing.settle()
        found.before = await held(service, customer.http)
        began = time.monotonic()
        await playing.play([number % len(FATES) for number in range(calls)], rate)
        found.played = time.monotonic() - began
        await playing.settle()
        await playing.let_go()
        await _examine(customer, app, found)
        found.late = (await talkers.state())["late"]
    return found


@dataclass
class Playing:
    service: Service
    stage: Stage
    app: Receiver
    talkers: Crowd
    found: Ordeal
    chance: random.Random
    _number: int = 0

    async def play(self, fates: list[int], rate: float) -> None:
        """All of them begun, and what we do to them done."""
        self.chance.shuffle(fates)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for count, at in enumerate(fates):
                await asyncio.sleep(began + count / rate - time.monotonic())
                self._number += 1
                group.create_task(self._one(at, self._number))
        self.found.calls += len(fates)

    async def _one(self, at: int, number: int) -> None:
        try:
            wrong = await self.stage.play(at, number, random.Random(number))
        except AssertionError as error:
            wrong = f"{FATES[at].name}: {str(error)[:300]}"
        if wrong:
            self.found.wrong.append(wrong)

    async def settle(self) -> None:
        """Until every call is final, every callback delivered and every telephone silent."""

        async def settled() -> bool:
            now = await held(self.service, self.stage.customer.http)
            return now.counts["all", "running or owed"] == 0 and (await self.talkers.state())["open"] == 0

        if not await _until(settled):
            now = await held(self.service, self.stage.customer.http)
            owed = now.counts["all", "running or owed"]
            self.found.wrong.append(f"{owed} calls or callbacks and {await self.talkers.state()} did not end")

    async def let_go(self) -> None:
        """Until there is no more of anything than there was."""

        async def gone() -> bool:
            self.app.drop_connections()
            self.found.after = await held(self.service, self.stage.customer.http)
            self.found.left = self.found.after.more_than(self.found.before)
            return not self.found.left

        await _until(gone)


async def _until(true: Callable[[], Awaitable[bool]]) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            while not await true():
                await asyncio.sleep(_LOOK)
            return True
    return False


async def _until_numbers_are_known(talkers: Crowd, service: Service) -> None:
    """The worker hears of them a moment after the API has said so, of the newest last."""
    async with asyncio.timeout(_PATIENCE):
        while await talkers.call("stay", READY, service.sip_port) == "404 INVITE":
            pass


async def _examine(customer: Customer, app: Receiver, found: Ordeal) -> None:
    calls = {call["sid"]: call async for call in _all(customer, "calls")}
    found.records = len(calls)
    legs: dict[str, list[Any]] = {}
    for call in calls.values():
        found.ends[f"{call['status']}/{call['reason']}"] += 1
        if call["status"] not in FINAL:
            found.wrong.append(f"{call['sid']} is {call['status']}")
        if call["parentCallSid"]:
            legs.setdefault(call["parentCallSid"], []).append(call)
    for sid, parent in calls.items():
        if not parent["parentCallSid"]:
            found.wrong += _wrong_ends(parent, legs.get(sid, []))
    found.wrong += await _wrong_callbacks(customer, app, calls, found)


def _wrong_ends(parent: dict[str, Any], legs: list[dict[str, Any]]) -> list[str]:
    if parent["to"].startswith(f"sip:{READY}@"):
        return []
    fate = fate_of(parent)
    wrong = [complaint(parent, fate.parent)]
    legs = sorted(legs, key=lambda leg: fate.words.index(leg["to"].removeprefix("sip:").partition("-")[0]))
    for right, leg in zip_longest(fate.legs, legs):
        wrong.append(f"{parent['sid']} has {len(legs)} legs" if right is None or leg is None else complaint(leg, right))
    return [f"{fate.name}: {one}" for one in wrong if one]


async def _wrong_callbacks(customer: Customer, app: Receiver, calls: dict[str, Any], found: Ordeal) -> list[str]:
    owed = [delivery async for delivery in _all(customer, "deliveries")]
    came = Counter(seen.headers["webhook-id"] for seen in app.requests if "webhook-id" in seen.headers)
    found.callbacks, found.again = len(owed), sum(came.values()) - len(came)
    wrong = [f"delivery {one['id']} is {one['state']}" for one in owed if one["state"] != "delivered"]
    wrong += [f"delivery {one['id']} did not come" for one in owed if one["messageId"] not in came]
    completed = Counter(one["callSid"] for one in owed if one["sequence"] is not None and _is_completed(one["body"]))
    wrong += [f"{sid} has {completed[sid]} callbacks of its end" for sid in calls if completed[sid] != 1]
    return wrong


def _is_completed(body: str) -> bool:
    return "CallDuration" in dict(parse_qsl(body))


async def _all(customer: Customer, what: str) -> Any:
    page = f"/v1/{what}?pageSize=1000"
    while page:
        answer = await customer.get(page)
        for one in answer[what]:
            yield one
        page = answer["nextPageUri"]


def _sounds() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(tone(800, 0.7).tobytes())
    return made.getvalue()
