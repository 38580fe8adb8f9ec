"""The dispatchers' steps: claims, attempts at a receiver that answers as told, results, crashes and replays."""

from datetime import UTC, datetime
from typing import Any

from app.calls.errors import Unavailable
from app.store.outbox import Delivery, Result
from app.webhooks.backoff import Backoff
from tests.proof.process import Courier
from tests.proof.stored import Row, Stored, look
from tests.proof.world import SEEN, World

_WAITS = (3_600.0, 7_200.0)  # nothing becomes due by itself
_STATES = {204: "delivered", 410: "dead"}


class Couriers:
    def __init__(self, world: World) -> None:
        self._world = world
        self._backoff = Backoff(_WAITS, uniform=lambda low, high: 1.0)

    async def send(self, which: int, room: int, answers: list[int]) -> None:
        """Claim, and let the receiver have what was claimed; nothing is written yet."""
        courier, before = self._one(which), self._world.stored
        claimed: list[Delivery] = await courier.do(courier.outbox.claim(room=room, per_destination=100, busy={}))
        for nr, delivery in enumerate(claimed):
            self._may_be_sent(before, delivery)
            code = answers[nr % len(answers)]
            courier.hand.append((delivery, code))
            SEEN[f"attempts answered {code}"] += 1
            self._receives(delivery, code)

    async def write(self, which: int, count: int, fault: Any) -> None:
        """Results of attempts, as the ledger writes them: again after an error."""
        courier = self._one(which)
        hand = courier.hand[:count]
        if not hand:
            return
        results = [self._result(delivery, code) for delivery, code in hand]
        if fault:
            courier.wire.fail(fault)
        try:
            ours = await courier.do(courier.outbox.finish(results))
        except Unavailable:
            return
        finally:
            courier.wire.heal()
        courier.hand = courier.hand[count:]
        if not fault:
            stored = self._world.stored
            held = {d.id for d, _ in hand if stored.owed.get(d.id, {}).get("lease_token") == d.lease_token}
            SEEN["results fenced"] += len(hand) - len(held)
            assert ours == held, f"finished {ours}, but held {held}"

    async def kill(self, which: int, asking: Any) -> None:
        """Between claim and result, or in the middle of a claim; another one takes its place."""
        courier, world = self._one(which), self._world
        if asking:
            courier.wire.hold(asking)
            courier.begin(courier.outbox.claim(room=4, per_destination=100, busy={}))
            await world.traffic.settle()
        await courier.crash()
        SEEN["dispatchers killed"] += 1
        SEEN["attempts whose result died with them"] += len(courier.hand)
        world.couriers[which % 2] = Courier(courier.name, world.database, world.traffic)

    async def wait(self, what: str, which: int) -> None:
        world, courier = self._world, self._one(which)
        if what == "retries are due":
            await world.sql("UPDATE webhook_outbox SET next_at = now()")
        elif what == "leases lapse":
            await world.sql("UPDATE webhook_outbox SET lease_until = now() - interval '1 s' WHERE lease_until > now()")
        elif what == "age":
            await world.sql("UPDATE webhook_outbox SET created_at = created_at - interval '2 hours'")
        elif what == "sweep":
            await courier.do(courier.outbox.sweep())
        elif courier.hand:
            await courier.do(courier.outbox.release([delivery.id for delivery, _ in courier.hand]))
            courier.hand = []

    async def replay(self, which: int) -> None:
        world = self._world
        known = sorted({**world.stored.owed, **world.stored.past})
        if known:
            view = await world.deliveries.replay(world.account, known[which % len(known)])
            world.replayed.add(view.call_sid)
            SEEN["replays"] += 1

    async def to_the_end(self) -> None:
        """One dispatcher that lives and a receiver that answers: everything that is owed is taken."""
        world = self._world
        for _ in range(100):
            world.stored = await look(world.database)
            if not world.stored.owed:
                break
            await self.wait("leases lapse", 0)
            await self.wait("retries are due", 0)
            await self.wait("age", 0)
            await self.wait("sweep", 0)
            world.stored = await look(world.database)
            await self.send(0, 100, [204])
            world.stored = await look(world.database)
            await self.write(0, 100, None)
        assert not world.stored.owed, f"never delivered: {list(world.stored.owed.values())}"
        for delivery in world.stored.past.values():
            if delivery["state"] == "delivered":
                assert world.accepted[delivery["message_id"]], f"{delivery} was never taken"
            else:
                assert delivery["attempts"] > 0

    def _one(self, which: int) -> Courier:
        return self._world.couriers[which % 2]

    def _may_be_sent(self, before: Stored, delivery: Delivery) -> None:
        row = before.owed.get(delivery.id)
        assert row is not None, "claimed what is not owed"
        assert not row["leased"], "claimed what somebody else is sending"
        assert (row["message_id"], row["body"]) == (delivery.message_id, delivery.body)
        if delivery.call_sid in self._world.replayed:
            return
        for earlier in before.owed.values():
            if earlier["call_sid"] == delivery.call_sid and earlier["sequence"] < delivery.sequence:
                assert not _holds(earlier), f"{delivery.sequence} overtakes {earlier}"

    def _receives(self, delivery: Delivery, code: int) -> None:
        body = delivery.body or ""
        bodies = self._world.accepted[delivery.message_id]
        assert all(body == earlier for earlier in bodies), "a repeat differs"
        if code == 204:
            bodies.append(body)

    def _result(self, delivery: Delivery, code: int) -> Result:
        now = datetime.now(UTC)
        state, wait = _STATES.get(code, "owed"), None
        if state == "owed":
            wait = self._backoff.after(delivery.attempt, at=now, expires_at=delivery.expires_at, retry_after=None)
            state = "owed" if wait is not None else "dead"
        return Result(delivery, state, wait, code, 3, None, b"", now)  # type: ignore[arg-type] # one of the words


def _holds(row: Row) -> bool:
    """Not delivered, and its first retry has not failed yet."""
    return row["attempt"] < 2 or (row["attempt"] == 2 and bool(row["leased"]))
