"""A worker without a wire: a scripted phone, a clock that is moved, the real database, the customer's application."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import text

from app.calls.address import AddressPolicy
from app.calls.audio import Audio, Pcm, Take, TakeEnd, Taken, TakeOrder
from app.calls.call import Call, Direction, NewCall
from app.calls.callback import Callback
from app.calls.ports import MOST_HOPS, Arrival
from app.calls.recording import RecordingOrder
from app.calls.sid import AccountSid, CallSid, RecordingSid, new_call_sid
from app.calls.sources import SourceError
from app.calls.uri import NameAddr, SipUri
from app.dialing.interpret import Sources
from app.dialing.place import Place
from app.dialing.recorded import Studio
from app.dialing.run import Arrived, Running, RunningDial
from app.rcml import parse
from app.rcml.fields import Rules
from app.rcml.plan import CallerOrder, Dial, DialRequest, Document, Link, Target, Where
from app.store.accounts import Accounts
from app.store.calls import CallReads
from app.store.changes import Changes
from app.store.database import Database
from app.store.outbox import Outbox
from app.store.placing import Placing
from app.store.queue import ClaimedDial, DialQueue
from app.store.seal import Sealer
from app.webhooks.documents import DocumentFetcher
from app.webhooks.guard import Guard
from app.webhooks.transport import Transport
from tests.kit.clock import FakeClock, settle
from tests.kit.phone import ScriptedArrival, ScriptedLeg, ScriptedPhone
from tests.kit.receiver import Receiver, Reply, Seen, receiver, status

ALICE, BOB, CAROL = "sip:alice@h", "sip:bob@h", "sip:carol@h"
CALLER = "sip:caller@h"
_EVENTS = Callback("https://app.example/events")
PARENT_EVENTS = Callback("https://app.example/parent")
_LOOPBACK = (ip_network("127.0.0.0/8"),)
RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW", _LOOPBACK), AddressPolicy("DIAL_HTTP_ALLOW", _LOOPBACK))


class ReadableSounds:
    """A sound is its text, so that a test can say what was heard."""

    ringing: Pcm = b"(ringing)"
    beep: Pcm = b"(beep)"

    async def fetched(self, account: AccountSid, url: str) -> Pcm:
        if url.endswith("/missing"):
            raise SourceError("127.0.0.1 answered 404")
        return urlsplit(url).path.encode()

    async def spoken(self, text: str, *, voice: str | None, language: str | None) -> Pcm:
        return text.encode()


class ScriptedTake:
    def __init__(self, order: TakeOrder) -> None:
        self.order = order
        self.done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()

    def stop(self) -> None:
        self.ends(TakeEnd.STOPPED)

    def ends(self, end: TakeEnd, seconds: float = 3.0, *, spoken: bool = True) -> None:
        if not self.done.done():
            self.done.set_result(Taken(Path(self.order.name), seconds, self.order.channels, 48_044, end, spoken))


@dataclass(slots=True)
class ScriptedStudio:
    """Implements Recorder and keeps what was handed over."""

    takes: list[tuple[TakeOrder, Audio | None, Audio | None, ScriptedTake]] = field(default_factory=list)
    is_full: bool = False

    def begin(self, order: TakeOrder, *, caller: Audio | None, callee: Audio | None) -> Take:
        if self.is_full:
            raise OSError("no space left")
        take = ScriptedTake(order)
        self.takes.append((order, caller, callee, take))
        return take


@dataclass(slots=True)
class Shelf:
    """Implements Recordings."""

    begun: list[RecordingOrder] = field(default_factory=list)
    finished: list[tuple[RecordingOrder, Taken]] = field(default_factory=list)

    async def begin(self, order: RecordingOrder) -> None:
        self.begun.append(order)

    def finish(self, order: RecordingOrder, taken: Taken) -> None:
        self.finished.append((order, taken))

    def url_of(self, sid: RecordingSid) -> str:
        return f"http://dial.example/v1/recordings/{sid}.wav"


@dataclass(slots=True)
class Application:
    """The customer's: a page per path, or 404."""

    receiver: Receiver
    pages: dict[str, str | Reply] = field(default_factory=dict)

    def url(self, path: str) -> str:
        return self.receiver.url + path

    def asked(self, path: str) -> list[dict[str, str]]:
        """The forms that were posted to `path`."""
        return [seen.form for seen in self.receiver.requests if urlsplit(seen.target).path == path]

    def answer(self, seen: Seen) -> Reply:
        page = self.pages.get(urlsplit(seen.target).path)
        if page is None:
            return status(404)
        return status(200, page.encode(), Content_Type="application/xml") if isinstance(page, str) else page


@dataclass(slots=True)
class Stage:
    database: Database
    account: AccountSid
    place: Place
    reads: CallReads
    queue: DialQueue
    worker_id: int
    running: Running
    clock: FakeClock
    phone: ScriptedPhone
    app: Application
    studio: ScriptedStudio
    shelf: Shelf

    async def start(self, *dials: Dial) -> "OnStage":
        """Place, claim and run a document of these, without a caller."""
        return await self.request(DialRequest(Document(dials), PARENT_EVENTS, {}))

    async def call(self, rcml: str, **options: Any) -> "OnStage":
        """The same with a caller, on whose leg this runs: the inside of a <Response>."""
        caller = CallerOrder(SipUri.parse(CALLER), **options)
        return await self.request(DialRequest(self.document(rcml, Where.CALLER), PARENT_EVENTS, {}, caller))

    async def request(self, request: DialRequest) -> "OnStage":
        placed = await self.place(self.account, request, rcml="<Response/>", idempotency=None)
        [claimed] = await self.queue.claim(self.worker_id, limit=10, max_wait=60)
        dial = RunningDial(claimed, self.running)
        task = asyncio.create_task(dial.run())
        return OnStage(self, dial, task, placed.parent.sid)

    async def arrive(self, *paths: str, hops_left: int = MOST_HOPS) -> tuple["OnStage", ScriptedArrival]:
        """An inbound call for a number whose documents are at `paths`."""
        caller, called = NameAddr.parse('"Ann" <sip:ann@peer>'), SipUri.parse("sip:100@dial.example")
        trunk = (("X-Trunk", "7"),)
        arrival = Arrival(self.clock.now(), "100", caller, called, "127.0.0.1", headers=trunk, hops_left=hops_left)
        leg = ScriptedArrival(arrival, self.clock)
        call = NewCall(
            sid=new_call_sid(),
            account_sid=self.account,
            direction=Direction.INBOUND,
            from_uri=caller.uri.bare(),
            to_uri=called.bare(),
            callback=PARENT_EVENTS,
            caller_name=caller.display,
            has_caller=True,
        )
        stored = await self.queue.adopt(self.worker_id, call, dialog=dict(leg.facts()))
        arrived = Arrived(leg, tuple(Link(self.app.url(path)) for path in paths))
        dial = RunningDial(ClaimedDial(stored, [], b"", 0.0), self.running, arrived)
        return OnStage(self, dial, asyncio.create_task(dial.run()), stored.sid), leg

    def document(self, rcml: str, where: Where) -> Document:
        content = f"<Response>{rcml.replace('APP', self.app.receiver.url)}</Response>".encode()
        return parse.document(content, RULES, where=where, base_url=self.app.url("/"))


@dataclass(slots=True)
class OnStage:
    stage: Stage
    dial: RunningDial
    task: "asyncio.Task[None]"
    sid: CallSid

    async def leg(self, target: str) -> ScriptedLeg:
        """The phone's leg to `target`, once its INVITE has left."""
        async with asyncio.timeout(5):
            while not any(str(leg.order.target) == target for leg in self.stage.phone.legs):
                await asyncio.sleep(0)
            leg = self.stage.phone.to(target)
            await leg.invited.wait()
            await settle()
            return leg

    async def caller(self, *, answers: bool = True) -> ScriptedLeg:
        leg = await self.leg(CALLER)
        if answers:
            leg.rings()
            leg.answers()
            await settle()
        return leg

    async def over(self) -> tuple[Call, list[Call]]:
        async with asyncio.timeout(5):
            await self.task
        return await self.records()

    async def records(self) -> tuple[Call, list[Call]]:
        parent = await self.stage.reads.get(self.stage.account, self.sid)
        assert parent is not None
        return parent, (await self.stage.reads.legs([self.sid])).get(self.sid, [])

    async def until(self, true: Callable[[list[Call]], bool]) -> None:
        """Until the stored legs are so."""
        async with asyncio.timeout(5):
            while not true((await self.records())[1]):
                await asyncio.sleep(0)

    async def owed(self, sid: CallSid) -> list[dict[str, str]]:
        """What is owed to the callbacks of one call, in order."""
        statement = text("SELECT body FROM webhook_outbox WHERE call_sid = :sid ORDER BY sequence, id")
        async with self.stage.database.engine.connect() as connection:
            rows: Any = await connection.execute(statement, {"sid": sid})
            return [dict(parse_qsl(row.body)) for row in rows]


async def asked(heard: list[str], what: str) -> None:
    """Until `what` is the newest thing that was asked."""
    async with asyncio.timeout(5):
        while not heard or heard[-1] != what:
            await asyncio.sleep(0)


@asynccontextmanager
async def staged(database: Database, sealer: Sealer) -> AsyncIterator[Stage]:
    clock = FakeClock()
    phone = ScriptedPhone(clock)
    placing, changes = Placing(database, sealer), Changes(database, sealer)
    reads, queue = CallReads(database, sealer), DialQueue(database, sealer)
    await placing.start()
    await changes.start()
    account = await Accounts(database, sealer).ensure_first(None, None, None)
    worker_id = await queue.register(role="worker", capacity=10, sip_host="127.0.0.1", sip_port=5060)

    async def add_legs(parent: Call, legs: Any) -> list[Call]:
        return await queue.add_legs(worker_id, parent, legs)

    transport = Transport(Guard(RULES.http))
    documents = DocumentFetcher(transport, Outbox(database, sealer).secrets)
    studio, shelf = ScriptedStudio(), Shelf()
    sources = Sources(documents, ReadableSounds(), Studio(studio, shelf, clock), RULES, clock)
    async with receiver() as listening:
        app = Application(listening)
        listening.chooses = app.answer
        yield Stage(
            database=database,
            account=account.sid,
            place=Place(placing, reads, lambda target: "dial.example"),
            reads=reads,
            queue=queue,
            worker_id=worker_id,
            running=Running(phone, changes, clock, add_legs, sources, lambda target: "dial.example"),
            clock=clock,
            phone=phone,
            app=app,
            studio=studio,
            shelf=shelf,
        )
    await transport.aclose()
    await changes.stop()
    await placing.stop()


def target(uri: str, **options: Any) -> Target:
    return Target(SipUri.parse(uri), status_callback=_EVENTS, **options)


def dial(*targets: str | Target, **options: Any) -> Dial:
    return Dial(tuple(target(one) if isinstance(one, str) else one for one in targets), **options)
