"""Everything that runs in one example, beside the model of it; how the two are compared. No rule is chosen here."""

import copy
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from app.calls.callback import Callback
from app.calls.errors import AlreadyAnswered, CallFinished
from app.calls.event import Event
from app.calls.outcome import ADDRESS_DENIED
from app.calls.sid import AccountSid, CallSid
from app.calls.status import FINAL, Status
from app.calls.uri import SipUri
from app.dialing.hangup import HangUp
from app.dialing.place import Place, PlacedCall
from app.rcml.plan import Dial, DialRequest, Document, Target
from app.store.accounts import Accounts
from app.store.calls import CallReads
from app.store.database import Database
from app.store.deliveries import Deliveries
from app.store.placing import Placing
from app.store.queue import DialQueue
from app.store.seal import Sealer
from tests.integration.store.make import rows
from tests.proof.model import CallModel, DialModel, Family, LegModel, Step
from tests.proof.process import Courier, Time, Wires, Worker
from tests.proof.stored import check, check_moves, empty, look, said
from tests.proof.wire import Traffic, Wire

DENIED = "sip:denied@192.0.2.1"
_SAID = {Event.INITIATED: Status.INITIATED, Event.RINGING: Status.RINGING, Event.ANSWERED: Status.IN_PROGRESS}

Events = frozenset[Event] | None

SEEN: Counter[str] = Counter()  # how often what happened, over all examples


@dataclass(frozen=True, slots=True)
class DialSpec:
    """One `<Dial>` of a request: per leg what its callback wants and whether its address is denied."""

    legs: tuple[tuple[Events, bool], ...]
    timeout: int
    time_limit: int

    def __repr__(self) -> str:
        legs = ("-".join(sorted(events or ["none"])) + " denied" * denied for events, denied in self.legs)
        return f"<{', '.join(legs)} | {self.timeout} {self.time_limit}>"


class World:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.traffic = Traffic()
        self.clock = Time()
        self.wires = Wires()
        self.workers: list[Worker] = []  # those that are alive
        self.couriers = [Courier(name, database, self.traffic) for name in ("X", "Y")]
        self.families: list[Family] = []
        self.dead: set[int] = {0}  # worker ids that a sweep would judge
        self.accepted: dict[str, list[str]] = defaultdict(list)  # bodies by message id, as the receiver took them
        self.replayed: set[str] = set()  # calls with a replayed delivery: their order is their own
        self._names = 0
        sealer = Sealer("a key for tests")
        self._door = Wire(database, self.traffic)
        self._placing = Placing(self._door, sealer)
        reads, queue = CallReads(self._door, sealer), DialQueue(self._door, sealer)
        self._place = Place(self._placing, reads, lambda target: "dial.example")
        self._hang_up = HangUp(reads, queue)
        self.deliveries = Deliveries(self._door, sealer)

    async def start(self) -> None:
        await empty(self.database)
        self.account = await _account(self.database)
        await self._placing.start()
        self.stored = self._compared = await look(self.database)
        for _ in range(2):
            await self.hire()

    async def stop(self) -> None:
        for process in (*self.workers, *self.couriers):
            await process.crash()
        await self._placing.stop()
        SEEN["examples"] += 1
        SEEN["INVITEs"] += len(self.wires.invited)
        SEEN["answers"] += sum(peer.is_answered for peer in self.wires.legs)

    async def hire(self) -> Worker:
        """A new worker process."""
        self._names += 1
        worker = Worker(f"{self._names}", self.database, self.traffic, clock=self.clock, wires=self.wires)
        worker.phone.refuses[DENIED] = ADDRESS_DENIED
        self.workers.append(worker)
        await worker.start()
        return worker

    # Doors

    async def place(self, parent: Events, dials: list[DialSpec]) -> None:
        request = DialRequest(
            Document(tuple(_dial(spec, nr) for nr, spec in enumerate(dials))), _callback(parent, "parent"), {}
        )
        placed: PlacedCall = await self._place(self.account, request, rcml="<Response/>", idempotency=None)
        models = [
            DialModel([LegModel(events, denied=denied) for events, denied in d.legs], d.timeout, d.time_limit)
            for d in dials
        ]
        models[0].stored = True
        SEEN["dial requests placed"] += 1
        self.families.append(Family(CallModel(parent, placed.parent.sid), models))
        await self.traffic.settle()

    async def hang_up(self, call: CallModel, status: Any) -> None:
        family = self.family_of(call.sid)
        stored = self.stored
        over = stored.calls[call.sid]["status"] in FINAL
        watched = [call] if call is not family.parent else list(family.legs)
        connected = any(stored.calls[one.sid]["status"] == "in-progress" for one in watched if one.sid)
        try:
            await self._hang_up(self.account, CallSid(call.sid), status)
        except CallFinished:
            assert over
        except AlreadyAnswered:
            assert connected
            assert status == "canceled"
        else:
            assert not over
            assert not (connected and status == "canceled")
            call.wish = status

    # The model beside it

    def family_of(self, sid: str) -> Family:
        return next(family for family in self.families if any(call.sid == sid for call in family.calls))

    def run_by(self, worker: Worker) -> list[Family]:
        """What this worker has in its hands and still owns."""
        return [f for f in self.families if f.runner == worker.name and f.holder == worker.id and not f.over]

    def advance(self, hopeful: Worker | None = None) -> None:
        """The model of everybody who can go on; `hopeful` as if nothing held it."""
        for worker in self.workers:
            for family in self.run_by(worker):
                family.goes_on(self.clock.monotonic(), writes=worker is hopeful or not worker.wire.is_held)

    def remember(self) -> list[Family]:
        return copy.deepcopy(self.families)

    async def adopt(self, before: list[Family], actor: Worker) -> None:
        """After a crash or a fault nobody can say how far things went: as far as the database says, and no further
        than the model says. What is still in the hands it was in `before` was not touched, unless by `actor` itself.
        """
        self.stored = await look(self.database)
        alive = {worker.name for worker in self.workers}
        for nr, was in enumerate(before):
            family = self.families[nr]
            self.name_legs(family)  # of a Dial that began in this very step too: whether they are stored is asked below
            row = self.stored.calls[family.parent.sid]
            holder = -1 if row["due"] else row["worker_id"]
            if was.runner in alive and was.holder == holder and not was.over:
                if was.runner != actor.name or family.holder != holder:
                    self.families[nr] = was
            elif not (family.runner in alive and family.holder == holder and self._is_whole(family)):
                self.take_as_stored(family)
                family.runner, family.holder = None, family.holder if holder is None else holder

    def _is_whole(self, family: Family) -> bool:
        return all(len(self.stored.events_of(call.sid)) == len(call.log) for call in family.calls)

    def take_as_stored(self, family: Family) -> None:
        legs = self.stored.legs(family.parent.sid)
        for dial in family.dials[1:]:
            dial.stored = dial.stored and len(legs) > _index(family, dial)
            if not dial.stored:  # its legs were in nobody's memory but the dead one's: whoever comes to it makes others
                dial.legs = [LegModel(leg.events, denied=leg.denied) for leg in dial.legs]
        self.name_legs(family)
        for call in family.calls:
            row = self.stored.calls[call.sid]
            kept = len(self.stored.events_of(call.sid))
            assert kept <= len(call.log), f"{call.sid}: more happened than could: {self.stored.events_of(call.sid)}"
            call.log = call.log[:kept]
            call.acked = kept
            call.wish = row["wanted"]

    def name_legs(self, family: Family) -> None:
        """Later legs are named by the worker that stores them."""
        sids = [row["sid"] for row in self.stored.legs(family.parent.sid)]
        for leg, sid in zip(family.legs, sids, strict=False):
            leg.sid = sid

    # Comparing

    async def compare(self) -> None:
        SEEN["states compared"] += 1
        self.stored = await look(self.database)
        check(self.stored)
        check_moves(self._compared, self.stored)
        self._compared = self.stored
        for family in self.families:
            self.name_legs(family)
            self._compare(family)
        self._compare_hands()
        self._compare_wires()

    def _compare_hands(self) -> None:
        """Who runs what: a family that the model left with nobody would go on in its worker's hands all the same."""
        for worker in self.workers:
            owned = [sid for sid in worker.runs if self.stored.calls[sid]["worker_id"] == worker.id]
            known = [family.parent.sid for family in self.run_by(worker)]
            assert sorted(owned) == sorted(known), f"worker {worker.name} runs {owned} instead of {known}"

    def _compare(self, family: Family) -> None:
        stored, sid = self.stored, family.parent.sid
        known = [leg.sid for leg in family.legs if leg.sid]
        rows = [row["sid"] for row in stored.legs(sid)]
        assert rows == known, f"{sid}: legs {rows} instead of {known}"
        for call in family.calls:
            if call.sid:
                self._compare_call(call)
        row = stored.calls[sid]
        if row["status"] in FINAL:
            return
        holder = -1 if row["due"] else row["worker_id"]
        assert holder == family.holder, f"{sid}: held by {holder} instead of {family.holder}"

    def _compare_call(self, call: CallModel) -> None:
        row, events = self.stored.calls[call.sid], self.stored.events_of(call.sid)
        count = len(events)
        assert call.acked <= count <= len(call.log), f"{call.sid}: {events}, expected {call.acked} to all of {call.log}"
        steps: list[Step] = call.log[:count]
        assert events == [step.event for step in steps], f"{call.sid}: {events} instead of {steps}"
        last = steps[-1] if steps else Step(Event.INITIATED, Status.QUEUED)
        assert row["status"] == last.status, f"{call.sid}: {row['status']} instead of {last}"
        assert last.reason is None or row["reason"] == last.reason, f"{call.sid}: {row['reason']}, not {last.reason}"
        if row["status"] not in FINAL:
            assert row["wanted"] == call.wish, f"{call.sid}: wanted {row['wanted']} instead of {call.wish}"
        told = [said(delivery) for delivery in self.stored.deliveries(call.sid)]
        due = [(_SAID.get(step.event, step.status), nr) for nr, step in enumerate(call.sent(count))]
        assert told == due, f"{call.sid}: owes {told} instead of {due}"

    def _compare_wires(self) -> None:
        invited = [peer.sid for peer in self.wires.invited]
        assert len(invited) == len(set(invited)), "a phone was rung twice"
        for family in self.families:
            home = next((worker for worker in self.workers if worker.name == family.runner), None)
            if home is not None and family in self.run_by(home):
                for leg in family.legs:
                    assert (leg.sid in invited) == leg.had(Event.INITIATED) or not leg.durable or leg.final
        for peer in self.wires.invited:
            assert self.stored.events_of(peer.sid)[:1] == ["initiated"], "an INVITE left that is not stored"
            if self.stored.calls[peer.sid]["status"] in FINAL and not (peer.is_down or peer.is_over):
                assert peer.sid in self.stored.goodbyes, f"{peer.sid} is over and still up, and nobody knows"
                SEEN["states with a call that is over and still up"] += 1

    async def sql(self, statement: str, **values: Any) -> None:
        await rows(self.database, statement, **values)


def _index(family: Family, dial: DialModel) -> int:
    """The leg_index of the first leg of `dial`."""
    before = family.dials[: family.dials.index(dial)]
    return sum(len(one.legs) for one in before)


def _dial(spec: DialSpec, nr: int) -> Dial:
    targets = tuple(
        Target(SipUri.parse(DENIED if denied else f"sip:{nr}-{index}@h"), status_callback=_callback(events, "leg"))
        for index, (events, denied) in enumerate(spec.legs)
    )
    return Dial(targets, timeout=spec.timeout, time_limit=spec.time_limit)


def _callback(events: Events, path: str) -> Callback | None:
    return None if events is None else Callback(f"https://app.example/{path}", events=events)


async def _account(database: Database) -> AccountSid:
    sealer = Sealer("a key for tests")
    return (await Accounts(database, sealer).ensure_first(None, None, None)).sid
