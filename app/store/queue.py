"""The queue of dial requests and the leases on them; knows no SIP and no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.calls.call import Call, NewCall
from app.calls.sid import AccountSid, CallSid
from app.store.database import Database
from app.store.seal import Sealer


@dataclass(frozen=True, slots=True)
class ClaimedDial:
    parent: Call
    legs: list[Call]  # all that are stored, by leg_index
    document: bytes  # the plan's JSON, unsealed
    waited: float  # seconds since it became due


@dataclass(frozen=True, slots=True)
class LostDial:
    """A family of calls whose worker died after an INVITE may have left. Its unended calls have a new epoch."""

    parent: Call
    legs: list[Call]
    worker_id: int  # the dead one
    sip_host: str  # where the dead one was bound
    sip_port: int


@dataclass(frozen=True, slots=True)
class Wanted:
    call: Call  # as it is; `wanted` included unless it is final
    parent_sid: CallSid | None
    held: bool  # whether a worker holds it


@dataclass(frozen=True, slots=True)
class Capacity:
    workers: int  # alive and accepting
    free: int  # slots
    waiting: int  # unclaimed parents
    rate: float  # claims per second, lately, over all workers


class DialQueue:
    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def register(self, *, role: str, capacity: int, sip_host: str, sip_port: int) -> int:
        raise NotImplementedError

    async def heartbeat(self, worker_id: int, *, running: int, accepting: bool) -> bool:
        """False: the row is gone or taken; register again."""
        raise NotImplementedError

    async def unregister(self, worker_id: int) -> None:
        raise NotImplementedError

    async def claim(self, worker_id: int, *, limit: int, max_wait: float) -> list[ClaimedDial]:
        raise NotImplementedError

    async def add_legs(self, worker_id: int, parent: CallSid, legs: Sequence[NewCall]) -> list[Call]:
        """Raises Fenced when the parent is not this worker's."""
        raise NotImplementedError

    async def expired(self, worker_id: int, *, max_wait: float, limit: int = 100) -> list[ClaimedDial]:
        raise NotImplementedError

    async def take(self, worker_id: int, sid: CallSid) -> ClaimedDial | None:
        """An unclaimed parent, claimed; None when it is not there to take."""
        raise NotImplementedError

    async def lost(self, worker_id: int, limit: int = 100) -> list[LostDial]:
        raise NotImplementedError

    async def want(self, account: AccountSid, sid: str, wanted: str) -> Wanted | None:
        raise NotImplementedError

    async def wanted(self, worker_id: int) -> list[tuple[CallSid, str]]:
        raise NotImplementedError

    async def capacity(self) -> Capacity:
        raise NotImplementedError
