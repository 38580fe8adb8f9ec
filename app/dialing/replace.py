"""Replaces the document of a live call over the API: checks that it may be, stores the new one and wakes its worker."""

from collections.abc import Callable

from app.calls.call import Call, Direction
from app.calls.errors import CallFinished, NotFound
from app.calls.sid import AccountSid
from app.calls.status import FINAL
from app.rcml import serial
from app.rcml.codes import Code
from app.rcml.plan import Document, Where
from app.rcml.report import refusal
from app.store.calls import CallReads
from app.store.queue import DialQueue

Read = Callable[[Where], Document]


class Replace:
    """The use case behind ``POST /v1/calls/{sid}`` with a document. The worker that holds the call carries it out."""

    def __init__(self, calls: CallReads, queue: DialQueue) -> None:
        self._calls = calls
        self._queue = queue

    async def __call__(self, account: AccountSid, sid: str, read: Read) -> Call:
        """The call as it is at this moment; `read` makes the document for the kind of leg that the call is.

        Raises NotFound, CallFinished, and BadRequest for a leg and as `read` does.
        """
        call = await self._calls.get(account, sid)
        if call is None:
            raise NotFound(sid)
        if call.status in FINAL:
            raise CallFinished(f"call {sid} has ended: {call.status}")
        if call.parent_sid is not None:
            detail = f"call {sid} is a leg; its parent runs the document, send it to {call.parent_sid}"
            raise refusal(Code.CALL_IS_LEG, detail)
        document = read(_where(call))
        wanted = await self._queue.replace(account, sid, serial.dumps_document(document))
        if wanted is None or wanted.call.status in FINAL:  # it ended meanwhile, and nothing was stored
            raise CallFinished(f"call {sid} has ended")
        return wanted.call


def _where(call: Call) -> Where:
    if call.direction is Direction.INBOUND:
        return Where.INBOUND
    return Where.CALLER if call.has_caller else Where.STAND_IN
