"""Hangs up or cancels a call over the API: checks that it may be, stores the wish and wakes whoever holds the call."""

from typing import Literal

from app.calls.call import Call
from app.calls.errors import AlreadyAnswered, CallFinished, NotFound
from app.calls.sid import AccountSid
from app.calls.status import FINAL, Status
from app.store.calls import CallReads
from app.store.queue import DialQueue

Wanted = Literal["completed", "canceled"]


class HangUp:
    """The use case behind ``POST /v1/calls/{sid}`` with a status. The worker that holds the call carries it out."""

    def __init__(self, calls: CallReads, queue: DialQueue) -> None:
        self._calls = calls
        self._queue = queue

    async def __call__(self, account: AccountSid, sid: str, status: Wanted) -> Call:
        """The call as it is at this moment; raises NotFound, CallFinished and AlreadyAnswered."""
        call = await self._calls.get(account, sid)
        if call is None:
            raise NotFound(sid)
        if call.status in FINAL:
            raise CallFinished(f"call {sid} has ended: {call.status}")
        if status == "canceled" and await self._is_connected(call):
            raise AlreadyAnswered(f"call {sid} is connected and cannot be canceled; ask for completed to hang it up")
        wanted = await self._queue.want(account, sid, status)
        if wanted is None:
            raise CallFinished(f"call {sid} has ended")
        return wanted.call

    async def _is_connected(self, call: Call) -> bool:
        if call.parent_sid is not None:
            return call.status is Status.IN_PROGRESS
        legs = await self._calls.legs([call.sid])
        return any(leg.status is Status.IN_PROGRESS and leg.is_connected for leg in legs.get(call.sid, []))
