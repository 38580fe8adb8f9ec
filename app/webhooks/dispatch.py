"""Claims deliveries that are due, starts their attempts and hands the results on. Knows no SQL and speaks no HTTP."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Sequence

from app.calls.address import AddressPolicy
from app.calls.errors import Unavailable
from app.runtime import log
from app.store.database import Database
from app.store.outbox import LEASE, Delivery, Outbox
from app.webhooks import report
from app.webhooks.attempt import Attempt, Tried
from app.webhooks.backoff import Backoff
from app.webhooks.circuits import Circuits
from app.webhooks.flight import Flight
from app.webhooks.guard import Guard
from app.webhooks.keyring import Keyring
from app.webhooks.ledger import Ledger
from app.webhooks.limits import Limits
from app.webhooks.transport import Transport

_log = log.get(__name__)

CHANNEL = "webhook"
SLOTS = 256  # attempts that work
MOST = 1024  # attempts that work or wait for a slow receiver
PER_DESTINATION = 8

_POLL = 1.0  # seconds: what a lost notification costs at most
_LISTEN = 60.0  # seconds
_PACE = 0.002  # seconds from one claim to the next at least: notifications and results of a busy moment share one
_BACKOFF = (0.1, 2.0)  # seconds, while the database is away
_MARGIN = 2.0  # seconds that a lease must outlive an attempt, for writing its result
_LAST_WRITES = 5.0  # seconds for writing what is in hand at the end


class Dispatcher:
    def __init__(
        self,
        outbox: Outbox,
        database: Database,
        *,
        policy: AddressPolicy,
        retries: Sequence[float],
        slots: int = SLOTS,
        most: int = MOST,
        per_destination: int = PER_DESTINATION,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._outbox = outbox
        self._database = database
        self._per_destination = per_destination
        self._limits = limits or Limits()
        self._transport = Transport(Guard(policy), self._limits, tls=tls)
        self._attempt = Attempt(self._transport, Backoff(retries))
        self._keyring = Keyring(outbox.secrets)
        self._circuits = Circuits(outbox)
        self._wake = asyncio.Event()
        self._ledger = Ledger(outbox, self._written)
        self._flight = Flight(slots, most)
        self._crowded = False  # the last claim had to be left out for want of room
        self._grace: float | None = None
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`, or until cancelled, which is a stop without grace."""
        background = [
            asyncio.create_task(self._ledger.run(), name="webhook ledger"),
            asyncio.create_task(self._listen(), name="webhook listener"),
        ]
        try:
            await self._dispatch()
            if tasks := self._flight.tasks:
                await asyncio.wait(tasks, timeout=self._grace)
        finally:
            ending = [*background, *self._flight.tasks]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await self._transport.aclose()
            await self._ledger.drain(_LAST_WRITES)
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """Claim no more, let attempts end within `grace` seconds, give the others back, write everything down."""
        self._grace = grace
        self._wake.set()
        await self._ended.wait()

    async def _dispatch(self) -> None:
        pause, longest = _BACKOFF
        while self._grace is None:
            self._wake.clear()
            started = time.monotonic()
            try:
                due = await self._claim()
                pause = _BACKOFF[0]
            except Unavailable as error:
                _log.warning("webhook.database_away", detail=str(error))
                due, pause = pause, min(pause * 2, longest)
            except Exception as error:  # the loop's edge: nothing that is owed to others may wait for one mistake
                _log.error("webhook.claim_failed", exc_info=error)
                due = longest
            await self._sleep(min(due, _POLL))
            await asyncio.sleep(max(0.0, started + _PACE - time.monotonic()))

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _claim(self) -> float:
        """Start what is due and fits; seconds until it makes sense to look again (or as soon as woken)."""
        room = self._flight.room() - self._ledger.waiting
        self._crowded = room <= 0
        if self._crowded:
            return _POLL  # a result that is written wakes
        asked, asked_loop = time.monotonic(), asyncio.get_running_loop().time()
        claimed = await self._outbox.claim(room=room, per_destination=self._per_destination, busy=self._flight.busy)
        if not claimed:
            due = await self._outbox.next_due()
            return _POLL if due is None else due
        self._circuits.heard(claimed, asked=asked_loop)
        for delivery in claimed:
            self._start(delivery, asked + LEASE - _MARGIN)
        return _POLL

    def _written(self) -> None:
        """Look again only for a reason: a claim that finds nothing costs as much as one that does."""
        if self._crowded or self._outbox.more:
            self._wake.set()

    def _start(self, delivery: Delivery, until: float) -> None:
        """`until` (monotonic) counts from before the claim was asked for: we never think a lease longer than it is."""
        if not self._circuits.may_send(delivery.destination_id):
            self._ledger.give_back(delivery, until=until)
            return
        task = asyncio.create_task(self._try(delivery, until))
        self._flight.add(task, delivery.destination_id)
        task.add_done_callback(lambda done: self._over(delivery, until, done))

    async def _try(self, delivery: Delivery, until: float) -> None:
        try:
            secrets = await self._keyring.of(delivery.account_sid)
        except Unavailable:
            self._ledger.give_back(delivery, until=until)
            return
        except Exception as error:  # the account is gone or its secrets are sealed with another key
            _log.error("webhook.secrets_unreadable", account=delivery.account_sid, error=type(error).__name__)
            self._record(self._attempt.unsent(delivery, "the account's secrets cannot be read"), 0.0)
            return
        if time.monotonic() + self._limits.total > until:
            # This process stood still (SIGSTOP, a suspended machine): somebody else may be sending it by now.
            _log.warning("webhook.lease_too_old", delivery=delivery.id, message=delivery.message_id)
            return
        started = asyncio.get_running_loop().time()
        self._record(await self._attempt(delivery, secrets), started)

    def _record(self, tried: Tried, started: float) -> None:
        delivery = tried.result.delivery
        self._ledger.put(tried.result)
        self._circuits.result(delivery.destination_id, tried.well, origin=delivery.origin, started=started)
        report.attempted(tried.result)

    def _over(self, delivery: Delivery, until: float, task: asyncio.Task[None]) -> None:
        self._flight.remove(task, delivery.destination_id)
        if task.cancelled():
            self._ledger.give_back(delivery, until=until)
        elif (error := task.exception()) is not None:
            _log.error("webhook.attempt_broke", delivery=delivery.id, exc_info=error)

    async def _listen(self) -> None:
        """Without it the poll finds everything, a little later: no error here ends anything."""
        while True:
            try:
                async with self._database.listen(CHANNEL) as listener:
                    while True:
                        if await listener.wait(_LISTEN):
                            self._wake.set()
            except Exception as error:
                _log.error("webhook.listener_failed", exc_info=error)
                await asyncio.sleep(_BACKOFF[1])
