"""Many telephones behind one SIP socket, in a process of its own: the user part of an address says what one does.

`sip:leave-17@…` answers and hangs up, `sip:busy-18@…` is busy. Orders to call come as JSON lines, one word of each call
goes back when it is over. Knows nothing of what the product should make of them.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kit.ear import tone
from tests.kit.talker import Talk, Talker, _header

_CODES = {"busy": 486, "decline": 603, "away": 480, "broken": 500}
_BUFFER = 4 * 1024 * 1024  # bytes
_PATIENCE = 30.0  # seconds that an answered call may last
_LOOK = 0.02  # seconds between two looks at our own lateness
_ROOT = Path(__file__).parents[2]


class CrowdTalker(Talker):
    """One socket, any number of parties; `chance` decides what they leave open."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__("crowd")
        self.late: list[float] = []
        self._chance = chance
        self._final: dict[str, int] = {}  # our final answer, by Call-ID
        self._lives: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> int:
        """Parties that are not done."""
        return len(self._lives)

    def answer(self, talk: Talk, code: int = 200) -> None:
        if talk.over.is_set():
            return
        self._final[talk.call_id] = code
        super().answer(talk, code)

    async def _request(self, message: str) -> None:
        method, talk = message.split(" ", 1)[0], self.talks.get(_header(message, "Call-ID"))
        if talk is None:
            await super()._request(message)
            return
        final = self._final.get(talk.call_id)
        if method == "INVITE" and _header(message, "CSeq") == _header(talk.invite, "CSeq"):
            if final is not None:  # it was sent again: our answer was lost, or was late
                Talker.answer(self, talk, final)
        elif method == "CANCEL" and final is not None:
            self._answer(message, 200)
        else:
            await super()._request(message)

    async def _invited(self, message: str) -> None:
        word = message.split("sip:", 1)[1].partition("-")[0]
        self.answers, self.early = 0, word == "early"
        await super()._invited(message)
        self._live(self.came.get_nowait(), self._called(word))

    async def call_as(self, word: str, number: str, service: tuple[str, int]) -> str:
        """A call to the product, to its end; its final answer."""
        talk = await self.call(number, service)
        while (answer := await talk.responses.get()).startswith("1") or not answer.endswith(" INVITE"):
            if word == "cancel" and answer == "180 INVITE":
                await self._soon(0.5)
                self.cancel(talk)
        if answer == "200 INVITE":
            if word == "leave":
                await self._soon(0.7, 0.3)
                talk.hang_up()
            with suppress(TimeoutError):
                await asyncio.wait_for(talk.over.wait(), _PATIENCE)
            if not talk.over.is_set():
                answer = "nobody hung up"
        self._close(talk)
        return answer

    def _live(self, talk: Talk, behaviour: Any) -> None:
        async def live() -> None:
            acting = asyncio.ensure_future(behaviour(talk))
            await talk.over.wait()
            acting.cancel()
            self._close(talk)

        task = asyncio.ensure_future(live())
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

    def _close(self, talk: Talk) -> None:
        talk.ear.close()
        talk.ear.packets.clear()
        talk.ear.sent_at.clear()

    def _called(self, word: str) -> Any:
        """What a party that is called does; it is stopped when its call is over."""

        async def behave(talk: Talk) -> None:
            if word == "ring":
                return
            if word in _CODES:
                self.answer(talk, _CODES[word])
                return
            if word in ("slow", "early"):
                talk.ear.say(tone(700, 0.5))
                await self._soon(0.6, 0.2)
            self.answer(talk)
            await self._talk(word, talk)

        return behave

    async def _talk(self, word: str, talk: Talk) -> None:
        talk.ear.say(tone(500, 0.8))
        if word in ("leave", "early"):
            await self._soon(1.0, 0.2)
            if not talk.over.is_set():
                talk.hang_up()
        keys = {"star": "*", "press": "1", "digits": "12#"}.get(word, "")
        while keys:  # whoever listens may not listen yet
            await self._soon(0.4, 0.4)
            talk.ear.press(keys)

    async def _soon(self, within: float, at_least: float = 0.0) -> None:
        await asyncio.sleep(at_least + self._chance.random() * (within - at_least) if within > at_least else within)

    async def watch(self) -> None:
        """How late this process is."""
        while True:
            due = time.monotonic() + _LOOK
            await asyncio.sleep(_LOOK)
            self.late.append(time.monotonic() - due)


@dataclass
class Crowd:
    """The process, as who started it sees it."""

    port: int
    process: asyncio.subprocess.Process
    _answers: dict[int, "asyncio.Future[Any]"] = field(default_factory=dict)
    _asked: int = 0

    async def call(self, word: str, number: str, sip_port: int) -> str:
        """Its final answer, when it is over."""
        return str(await self._ask({"word": word, "number": number, "port": sip_port}))

    async def state(self) -> dict[str, Any]:
        """`open` parties, and how `late` the process was in ms, as p50, p99 and max."""
        return dict(await self._ask({}))

    async def _ask(self, order: dict[str, Any]) -> Any:
        self._asked += 1
        answer = self._answers[self._asked] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": self._asked, **order}).encode() + b"\n")
        await self.process.stdin.drain()
        return await answer

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            told = json.loads(line)
            self._answers.pop(told["id"]).set_result(told["answer"])
        for answer in self._answers.values():
            answer.cancel("the crowd is gone")


@asynccontextmanager
async def crowd(seed: int = 0) -> AsyncIterator[Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.kit.crowd", str(seed), cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        made = Crowd(int(await asyncio.wait_for(process.stdout.readline(), 60)), process)
        listening = asyncio.ensure_future(made.listen())
        yield made
        listening.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(seed: int) -> None:
    """Until stdin ends."""
    loop, talker = asyncio.get_running_loop(), CrowdTalker(random.Random(seed))
    await loop.create_datagram_endpoint(lambda: talker, local_addr=("127.0.0.1", 0))
    talker.widen(_BUFFER)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(talker.port, flush=True)
    watching = asyncio.ensure_future(talker.watch())
    obeying: set[asyncio.Task[None]] = set()
    async for line in orders:
        task = asyncio.ensure_future(_obey(talker, json.loads(line)))
        obeying.add(task)
        task.add_done_callback(obeying.discard)
    watching.cancel()


async def _obey(talker: CrowdTalker, order: dict[str, Any]) -> None:
    answer: Any
    if "word" in order:
        answer = await talker.call_as(order["word"], order["number"], ("127.0.0.1", order["port"]))
    else:
        late = sorted(talker.late) or [0.0]
        parts = {"p50": len(late) // 2, "p99": int(0.99 * len(late)), "max": len(late) - 1}
        answer = {"open": talker.open, "late": {name: late[at] * 1000 for name, at in parts.items()}}
    print(json.dumps({"id": order["id"], "answer": answer}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
