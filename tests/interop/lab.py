"""The one running service that all peers are called from, and a customer who knows of its calls what callbacks say."""

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.kit.receiver import Reply, Seen, receiver, status
from tests.kit.service import Customer, Service

_FINAL = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
_TAKEN = status(204)
_OUR_AUDIO = re.compile(r"^m=audio ([0-9]+) ", re.M)


@dataclass(slots=True)
class Inbox:
    """The callbacks of each parent call, as they come."""

    url: str = ""
    told: defaultdict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def take(self, seen: Seen) -> Reply:
        form = seen.form
        self.told[form["ParentCallSid"]].append(form)

        async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with self.arrived:
                self.arrived.notify_all()
            await _TAKEN(reader, writer)

        return reply

    async def wait(self, parent: str, wanted: frozenset[str], count: int, seconds: float) -> list[dict[str, str]]:
        """All callbacks of `parent` once `count` of them say one of `wanted`."""

        def is_there() -> bool:
            return sum(form["CallStatus"] in wanted for form in self.told[parent]) >= count

        try:
            async with asyncio.timeout(seconds), self.arrived:
                await self.arrived.wait_for(is_there)
        except TimeoutError:
            said = [form["CallStatus"] for form in self.told[parent]]
            raise AssertionError(f"no callback {'/'.join(sorted(wanted))} in {seconds} s, only {said}") from None
        return list(self.told[parent])


@dataclass(slots=True)
class Placed:
    """One dial request on its way."""

    lab: "Lab"
    sid: str
    legs: int

    async def reaches(self, call_status: str, seconds: float = 20) -> None:
        """Once a callback says so (``ringing``, ``in-progress``)."""
        await self.lab.inbox.wait(self.sid, frozenset({call_status}), 1, seconds)

    async def hang_up(self, how: str = "completed") -> None:
        answer = await self.lab.customer.http.post(f"/v1/calls/{self.sid}", json={"status": how})
        assert answer.status_code == 200, answer.text

    async def ends(self, seconds: float = 60) -> list[dict[str, Any]]:
        """Its legs when all are over. What the callbacks said must fit: each event once, the final one last."""
        told = await self.lab.inbox.wait(self.sid, _FINAL, self.legs, seconds)
        legs = list((await self.lab.customer.wait_for(self.sid))["legs"])
        for leg in legs:
            said = [form["CallStatus"] for form in told if form["CallSid"] == leg["sid"]]
            assert len(said) == len(set(said)), f"told twice: {said}"
            assert (said[0], said[-1]) == ("initiated", leg["status"]), f"{said}, and the record: {leg['status']}"
            last = next(form for form in told if form["CallSid"] == leg["sid"] and form["CallStatus"] in _FINAL)
            assert last["Reason"] == leg["reason"], (last, leg)
            assert last.get("SipResponseCode") == _text(leg["sipResponseCode"]), (last, leg)
        return legs

    async def ladder(self) -> str:
        """Its messages as text."""
        return (await self.lab.customer.http.get(f"/v1/calls/{self.sid}/trace.txt")).text

    async def sees(self, pattern: str, direction: str, seconds: float = 10) -> None:
        """Once a message of the trace holds it; the service writes that down a moment after the wire."""
        end = time.monotonic() + seconds
        while not any(
            message["direction"] == direction and re.search(pattern, message["data"], re.S)
            for message in await self.messages()
        ):
            assert time.monotonic() < end, f"no {pattern}\n{await self.ladder()}"
            await asyncio.sleep(0.1)  # polled as a customer would

    async def media(self, seconds: float = 5) -> dict[str, int]:
        """What the service logged when the media of the only leg ended."""
        invite = (await self.messages())[0]["data"]
        found = _OUR_AUDIO.search(invite)
        assert found is not None, invite
        end = time.monotonic() + seconds
        while True:
            for line in reversed(self.lab.service.lines):
                if '"media.ended"' in line and f'"port": {found[1]},' in line:
                    return dict(json.loads(line))
            assert time.monotonic() < end, f"the media on port {found[1]} never ended"
            await asyncio.sleep(0.05)  # the log of another process has no signal

    async def messages(self) -> list[dict[str, Any]]:
        return list((await self.lab.customer.get(f"/v1/calls/{self.sid}/trace"))["messages"])


@dataclass(frozen=True, slots=True)
class Lab:
    service: Service
    customer: Customer
    inbox: Inbox

    async def place(self, *sips: dict[str, Any] | str, **dial: Any) -> Placed:
        """Dial those targets at once."""
        targets = [{"uri": sip} if isinstance(sip, str) else sip for sip in sips]
        legs = [{"statusCallback": self.inbox.url, **target} for target in targets]
        placed = await self.customer.dial({"callerId": "bob", "sip": legs, **dial})
        return Placed(self, placed["sid"], len(legs))

    async def one_leg(self, sip: dict[str, Any] | str, **dial: Any) -> dict[str, Any]:
        """Dial one target; its leg when it is over."""
        return (await (await self.place(sip, **dial)).ends())[0]


@asynccontextmanager
async def lab_of(service: Service) -> AsyncIterator[Lab]:
    # Peers are waited for in threads, and the default pool has six of them on two cores.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
    async with receiver() as app, service.customer() as customer:
        inbox = Inbox(app.url)
        app.chooses = inbox.take
        yield Lab(service, customer, inbox)


def outcome(leg: dict[str, Any]) -> str:
    """Status, reason and SIP code of a leg's record in one line: ``completed callee-hangup 200``."""
    return f"{leg['status']} {leg['reason']} {leg['sipResponseCode'] or '-'}"


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
