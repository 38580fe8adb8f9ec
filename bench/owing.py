"""Deliveries owed through the product's own writer, and the receiver that they are owed to. Measures nothing."""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

from app.calls.call import Direction, NewCall
from app.calls.change import Change, Facts, Owed
from app.calls.event import Event
from app.calls.sid import AccountSid, CallSid, new_call_sid, new_message_id
from app.calls.status import Status
from app.runtime import loop
from app.store.changes import Changes
from app.store.database import Database
from app.store.placing import Placing
from app.store.seal import Sealer
from bench.traffic import Receiver

STEPS = (
    (Status.INITIATED, Event.INITIATED),
    (Status.RINGING, Event.RINGING),
    (Status.IN_PROGRESS, Event.ANSWERED),
    (Status.COMPLETED, Event.COMPLETED),
)
_PLACED_AT_ONCE = 500
_DIALOG = {"via": "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK0123456789abcdef", "call_id": "0123456789abcdef@host"}

Key = tuple[str, int]  # CallSid and SequenceNumber


class Destinations:
    """A process that answers 204 on ports of its own: each is an origin, so a destination of its own."""

    def __init__(self, count: int) -> None:
        questions, self._questions = multiprocessing.Pipe(duplex=False)
        self._answers, answers = multiprocessing.Pipe(duplex=False)
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=_receive, args=(questions, answers, count), daemon=True)
        self._process.start()
        self.urls: list[str] = self._answers.recv()

    def count(self) -> int:
        """Requests that came since the last `take`, repeated ones included."""
        return int(self._asked("count"))

    def take(self) -> dict[Key, float]:
        """When each event first came, by the wall clock; forgets them."""
        first: dict[Key, float] = self._asked("take")
        return first

    def close(self) -> None:
        self._process.terminate()
        self._process.join()

    def _asked(self, question: str) -> Any:
        self._questions.send(question)
        return self._answers.recv()


def _receive(questions: Connection, answers: Connection, count: int) -> None:
    """Two pipes, for a loop makes the one that it watches non-blocking and an answer is larger than a pipe."""

    async def serve() -> int:
        receiver, urls = Receiver(), []
        for _ in range(count):
            await receiver.start()
            urls.append(receiver.url)
        answers.send(urls)
        ended = asyncio.Event()

        def answer() -> None:
            try:
                question = questions.recv()
            except EOFError:
                return ended.set()
            answers.send(len(receiver.arrivals) if question == "count" else receiver.first_arrivals())
            if question == "take":
                receiver.arrivals.clear()
            return None

        asyncio.get_running_loop().add_reader(questions.fileno(), answer)
        await ended.wait()
        return 0

    loop.run(serve())


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one change: when it was durable, by the wall clock, and how long that took."""

    key: Key
    at: float
    took: float  # seconds


class Writer:
    def __init__(self, database: Database, sealer: Sealer, account: AccountSid) -> None:
        self._placing = Placing(database, sealer)
        self._changes = Changes(database, sealer)
        self._account = account

    async def start(self) -> None:
        await self._placing.start()
        await self._changes.start()

    async def stop(self) -> None:
        await self._placing.stop()
        await self._changes.stop()

    async def place(self, count: int) -> list[CallSid]:
        """Calls that nobody dials: what is measured is what is written of them."""
        calls = [
            NewCall(new_call_sid(), self._account, Direction.OUTBOUND_API, "sip:a@h", "sip:b@h") for _ in range(count)
        ]
        for start in range(0, count, _PLACED_AT_ONCE):
            some = calls[start : start + _PLACED_AT_ONCE]
            await asyncio.gather(*(self._placing.place([call], idempotency=None) for call in some))
        return [call.sid for call in calls]

    async def owe(self, sid: CallSid, step: int, url: str) -> Written:
        """One transition: status, event and the delivery that it owes; returns when it is durable."""
        began, now = time.perf_counter(), datetime.now(UTC)
        status, event = STEPS[step]
        facts = Facts(start_time=now, dialog=_DIALOG if step == 0 else None)
        owed = Owed(new_message_id(), "POST", url, body(sid, step, status), step)
        await self._changes.write(Change(sid, 0, step + 1, now, status, facts, event, None, owed))
        return Written((sid, step), time.time(), time.perf_counter() - began)

    async def owe_all(self, sids: Sequence[CallSid], events: int, urls: Sequence[str], callers: int) -> list[Written]:
        """`events` of each call, one after the other, by so many callers at once."""
        waiting = list(enumerate(sids))
        written: list[Written] = []

        async def caller() -> None:
            while waiting:
                number, sid = waiting.pop()
                for step in range(events):
                    written.append(await self.owe(sid, step, urls[number % len(urls)]))

        await asyncio.gather(*(caller() for _ in range(callers)))
        return written

    async def owe_at_rate(self, sids: Sequence[CallSid], urls: Sequence[str], rate: float) -> list[Written]:
        """The first event of each call, one every 1/`rate` s whether or not the one before is durable."""
        began, running = time.perf_counter(), []
        for number, sid in enumerate(sids):
            if (early := began + number / rate - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            running.append(asyncio.create_task(self.owe(sid, 0, urls[number % len(urls)])))
        return await asyncio.gather(*running)


def body(sid: str, sequence: int, status: str) -> str:
    """As long as a real one of a leg that has SIP."""
    return (
        f"CallSid={sid}&AccountSid=AC{'0' * 32}&From=sip%3Abob%40127.0.0.1&To=sip%3Aalice%40127.0.0.1%3A5080"
        f"&CallStatus={status}&ApiVersion=2012-04-24&Direction=outbound-dial&ParentCallSid=CA{'0' * 32}"
        f"&SipCallId=0123456789abcdef%40host&CallbackSource=call-progress-events&SequenceNumber={sequence}"
        "&Timestamp=Mon%2C+23+Nov+2026+10%3A00%3A00+%2B0000"
    )
