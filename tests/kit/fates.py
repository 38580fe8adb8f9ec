"""What may become of a call: each fate is a document, who takes part in it, and how its records must end.

In a document `[word]` is a callee of the crowd, `[word /page 2]` one that is screened by that page for 2 s at most.
"""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.kit.crowd import Crowd
from tests.kit.receiver import Reply, Seen, status
from tests.kit.service import Customer

End = tuple[str, str]  # status and reason

READY = "ready"  # a number that rejects; the worker knows the others when it knows this one

# Contract, section 2: which reasons go with which status.
REASONS: dict[str, set[str]] = {
    "completed": {
        *("callee-hangup", "caller-hangup", "api", "time-limit", "star", "document-end", "lost-race", "document-error"),
        *("screening-declined", "screening-timeout", "screening-error"),
    },
    "busy": {"busy", "declined", "document-end"},
    "no-answer": {"timeout", "unavailable", "document-end"},
    "failed": {"unreachable", "rejected", "document-error", "document-end"},
    "canceled": {"lost-race", "caller-hangup", "api"},
}

_OVER = ("completed", "document-end")
_CALLEE, _CALLER, _LIMIT, _STAR = (
    ("completed", reason) for reason in ("callee-hangup", "caller-hangup", "time-limit", "star")
)
_GONE, _LOST, _BY_API = (("canceled", reason) for reason in ("caller-hangup", "lost-race", "api"))
_EITHER_API = {_BY_API, ("completed", "api")}
_DUAL = 'record="record-from-answer-dual" recordingStatusCallback="{app}/recorded"'


@dataclass(frozen=True, slots=True)
class Play:
    """One call while it is played."""

    customer: Customer
    call: dict[str, Any]
    chance: random.Random
    app: str

    async def update(self, sid: str, **change: str) -> None:
        answer = await self.customer.http.post(f"/v1/calls/{sid}", json=change)
        assert answer.status_code in (200, 409), answer.text  # 409: it was over, or was answered, before

    async def later(self, within: float) -> None:
        await asyncio.sleep(self.chance.random() * within)


Meanwhile = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fate:
    """`parent` and `legs`: the ends that are right; empty: any of the contract's table.

    Without `caller` nobody is the caller; `calls`: it is the crowd that calls, as this word, and hears `answer`.
    """

    name: str
    document: str
    caller: str = ""
    calls: str = ""
    answer: str = "200 INVITE"
    parent: set[End] | None = None
    legs: Sequence[set[End]] = ()
    meanwhile: Meanwhile | None = None
    query: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """Of its callees, in order."""
        return re.findall(r"\[(\w+)", self.document)


async def _cancel_while_it_rings(play: Play) -> None:
    await play.customer.wait_for(play.call["sid"], "ringing", "canceled")
    await play.update(play.call["sid"], status="canceled")


async def _hang_up_sometime(play: Play) -> None:
    await play.later(2.0)
    await play.update(play.call["sid"], status="completed")


async def _hang_up_the_leg_sometime(play: Play) -> None:
    await play.later(2.0)
    await play.update(play.call["legs"][0]["sid"], status="completed")


async def _replace(play: Play) -> None:
    await play.customer.wait_for(play.call["legs"][0]["sid"], "in-progress")
    await play.later(0.5)
    await play.update(play.call["sid"], rcml=f"<Response><Play>{play.app}/tones.wav</Play></Response>")


async def _replace_by_url(play: Play) -> None:
    await play.later(2.0)
    await play.update(play.call["sid"], url=f"{play.app}/page/hangup")


FATES = (
    Fate("caller is busy", "<Dial>[stay]</Dial>", "busy", parent={("busy", "busy")}, legs=[{_GONE}]),
    Fate("caller declines", "<Dial>[stay]</Dial>", "decline", parent={("busy", "declined")}, legs=[{_GONE}]),
    Fate("caller is away", "<Say>Hello</Say>", "away", parent={("no-answer", "unavailable")}),
    Fate("caller does not answer", "<Dial>[stay]</Dial>", "ring", parent={("no-answer", "timeout")}, legs=[{_GONE}],
         query=(("callerTimeout", "1"),)),
    Fate("caller is cancelled", "<Dial>[stay]</Dial>", "ring", parent={_BY_API}, legs=[{_BY_API}],
         meanwhile=_cancel_while_it_rings),
    Fate("callee is busy", "<Dial>[busy]</Dial>", "stay", parent={_OVER}, legs=[{("busy", "busy")}]),
    Fate("callee does not answer", '<Dial timeout="1">[ring]</Dial>', "stay", parent={_OVER},
         legs=[{("no-answer", "timeout")}]),
    Fate("callee fails", '<Dial action="{app}/page/empty">[broken]</Dial>', "stay", parent={_OVER},
         legs=[{("failed", "rejected")}]),
    Fate("nobody is there", '<Dial timeout="1">[nobody]</Dial>', "stay", parent={_OVER},
         legs=[{("failed", "unreachable")}]),
    Fate("callee hangs up", "<Dial>[leave]</Dial>", "stay", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("callee hangs up, no caller", "<Dial>[leave]</Dial>", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("caller hangs up", "<Dial>[stay]</Dial>", "leave", parent={_CALLER}, legs=[{_CALLER, _GONE}]),
    Fate("caller hangs up while it rings", "<Dial>[ring]</Dial>", "leave", parent={_CALLER}, legs=[{_GONE}]),
    Fate("early media", "<Dial>[early]</Dial>", "stay", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("time limit", '<Dial timeLimit="1">[slow]</Dial>', "stay", parent={_OVER}, legs=[{_LIMIT}]),
    Fate("screening accepts", '<Dial timeLimit="1">[press /page/gather 20]</Dial>', "stay", parent={_OVER},
         legs=[{_LIMIT}]),
    Fate("screening declines", "<Dial>[stay /page/hangup 5]</Dial>", "stay", parent={_OVER},
         legs=[{("completed", "screening-declined")}]),
    Fate("screening takes too long", "<Dial>[stay /page/wait 1]</Dial>", "stay", parent={_OVER},
         legs=[{("completed", "screening-timeout")}]),
    Fate("callee leaves its screening", "<Dial>[leave /page/wait 20]</Dial>", "stay", parent={_OVER},
         legs=[{("completed", "screening-declined")}]),
    Fate("screening has no document", "<Dial>[stay /page/gone 5]</Dial>", "stay", parent={_OVER},
         legs=[{("completed", "screening-error")}]),
    Fate("caller leaves during screening", "<Dial>[stay /page/wait 20]</Dial>", "leave", parent={_CALLER},
         legs=[{_CALLER, _GONE}]),
    Fate("one is screened, one rings on", '<Dial timeLimit="1">[stay /page/wait 1][slow]</Dial>', "stay",
         parent={_OVER}, legs=[{("completed", "screening-timeout"), ("completed", "lost-race"), _LOST}, {_LIMIT}]),
    Fate("three ring", '<Dial timeLimit="1">[slow][ring][busy]</Dial>', "stay", parent={_OVER},
         legs=[{_LIMIT}, {_LOST}, {("busy", "busy"), _LOST}]),
    Fate("star", '<Dial hangupOnStar="true">[stay]</Dial>', "star", parent={_OVER}, legs=[{_STAR}]),
    Fate("hung up over the API", "<Dial>[slow]</Dial>", "stay", parent=_EITHER_API, legs=[_EITHER_API],
         meanwhile=_hang_up_sometime),
    Fate("leg hung up over the API", "<Dial>[slow]</Dial>", "stay", parent={_OVER}, legs=[_EITHER_API],
         meanwhile=_hang_up_the_leg_sometime),
    Fate("document replaced", "<Dial>[stay]</Dial>", "stay", parent={_OVER}, legs=[{("completed", "api")}],
         meanwhile=_replace),
    Fate("document replaced sometime", "<Dial>[slow]</Dial>", "stay", parent={_OVER}, legs=[_EITHER_API],
         meanwhile=_replace_by_url),
    Fate("said", "<Say>Nobody hears this</Say>", "stay", parent={_OVER}),
    Fate("caller leaves while it is told", '<Play loop="0">{app}/tones.wav</Play>', "leave", parent={_CALLER}),
    Fate("played", "<Play>{app}/tones.wav</Play>", "stay", parent={_OVER}),
    Fate("not played", "<Play>{app}/page/gone</Play>", "stay"),
    Fate("gathered", '<Gather action="{app}/page/empty" timeout="5"><Say>Press</Say></Gather>', "digits",
         parent={_OVER}),
    Fate("recorded by verb", '<Record maxLength="2" timeout="1" playBeep="false" action="{app}/page/empty"'
         ' recordingStatusCallback="{app}/recorded"/>', "stay", parent={_OVER}),
    Fate("dial recorded", f"<Dial {_DUAL}>[leave]</Dial>", "stay", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("dial recorded, caller hangs up", f"<Dial {_DUAL}>[stay]</Dial>", "leave", parent={_CALLER},
         legs=[{_CALLER, _GONE}]),
    Fate("no document", "<Redirect>{app}/page/gone</Redirect>", "stay", parent={("failed", "document-error")}),
    Fate("called in", "<Dial>[leave]</Dial>", calls="stay", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("called in, hangs up", f"<Dial {_DUAL}>[stay]</Dial>", calls="leave", parent={_CALLER}, legs=[{_CALLER}]),
    Fate("called in, cancels", "<Dial>[ring]</Dial>", calls="cancel", answer="487 INVITE", parent={_GONE},
         legs=[{_GONE}]),
    Fate("called in, callee busy", "<Dial>[busy]</Dial>", calls="stay", answer="486 INVITE",
         parent={("busy", "document-end")}, legs=[{("busy", "busy")}]),
    Fate("called in, rejected", '<Reject reason="busy"/>', calls="stay", answer="486 INVITE",
         parent={("busy", "busy")}),
    Fate("called in, early media", "<Dial>[early]</Dial>", calls="stay", parent={_OVER}, legs=[{_CALLEE}]),
    Fate("unknown number", "", calls="stay", answer="404 INVITE"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """Where fates are played; `receive` serves their pages."""

    customer: Customer
    crowd: Crowd
    app: str
    sounds: bytes

    def receive(self, seen: Seen) -> Reply:
        path = seen.target.partition("?")[0]
        if path == "/tones.wav":
            return status(200, self.sounds, Content_Type="audio/wav")
        if path.startswith("/in/"):
            fate = FATES[int(path.removeprefix("/in/"))]
            return _page(self.document(fate, random.randrange(1_000_000)))
        return _PAGES.get(path, _nothing)(self.app)

    async def set_up(self) -> None:
        """The numbers that the crowd calls."""
        for at, fate in enumerate(FATES):
            if fate.calls and fate.document:
                await self._number(f"in{at}", f"/in/{at}")
        await self._number(READY, "/page/reject")

    async def _number(self, number: str, page: str) -> None:
        made = {"number": number, "url": self.app + page, "statusCallback": f"{self.app}/events"}
        answer = await self.customer.http.post("/v1/numbers", json=made)
        assert answer.status_code == 201, answer.text

    async def play(self, at: int, number: int, chance: random.Random) -> str:
        """One call of fate `at`, until what we do to it is done; a complaint, or nothing."""
        fate = FATES[at]
        if fate.calls:
            answer = await self.crowd.call(fate.calls, f"in{at}", self.customer.service.sip_port)
            return "" if answer == fate.answer else f"{fate.name}: answered {answer}"
        query = {**dict(fate.query), "metadata": json.dumps({"fate": str(at)}), "statusCallback": f"{self.app}/events"}
        if fate.caller:
            query["caller"] = self._uri(fate.caller, number)
        call = await self.customer.dial(f"<Response>{self.document(fate, number)}</Response>", **query)
        if fate.meanwhile is not None:
            await fate.meanwhile(Play(self.customer, call, chance, self.app))
        return ""

    def document(self, fate: Fate, number: int) -> str:
        def callee(found: re.Match[str]) -> str:
            word, *screening = found[1].split()
            screened = f'url="{self.app}{screening[0]}" timeout="{screening[1]}"' if screening else ""
            return f'<Sip statusCallback="{self.app}/events" {screened}>{self._uri(word, number)}</Sip>'

        return re.sub(r"\[(.*?)\]", callee, fate.document.replace("{app}", self.app))

    def _uri(self, word: str, number: int) -> str:
        return f"sip:{word}-{number}@127.0.0.1:{9 if word == 'nobody' else self.crowd.port}"


def fate_of(parent: dict[str, Any]) -> Fate:
    """Of a parent call as the API shows it."""
    at = parent["metadata"].get("fate") or re.sub(r"sip:in(\d+)@.*", r"\1", parent["to"])
    return FATES[int(at)]


def complaint(call: dict[str, Any], right: set[End] | None) -> str:
    """Nothing when a call ended as it may."""
    end = (call["status"], call["reason"])
    if end[1] not in REASONS.get(end[0], set()):
        return f"{call['sid']} ended {end}, which no table has"
    return f"{call['sid']} ended {end}" if right and end not in right else ""


def _page(rcml: str) -> Reply:
    return status(200, f"<Response>{rcml}</Response>".encode(), Content_Type="application/xml")


def _nothing(app: str) -> Reply:
    return status(204)


_PAGES: dict[str, Callable[[str], Reply]] = {
    "/page/gone": lambda app: status(404),
    "/page/empty": lambda app: _page(""),
    "/page/hangup": lambda app: _page("<Hangup/>"),
    "/page/reject": lambda app: _page("<Reject/>"),
    "/page/wait": lambda app: _page('<Pause length="60"/>'),
    "/page/gather": lambda app: _page(
        f'<Gather numDigits="1" timeout="5" action="{app}/page/empty"><Say>Press one</Say></Gather><Hangup/>'
    ),
}
