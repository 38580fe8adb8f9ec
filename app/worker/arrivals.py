"""Takes inbound calls: each INVITE for a number of ours becomes a call in the hands of this worker, or is refused."""

from app.calls.call import Direction, NewCall
from app.calls.errors import Unavailable
from app.calls.number import Number
from app.calls.ports import Arrival, IncomingLeg
from app.calls.sid import new_call_sid
from app.dialing.run import Arrived
from app.rcml.plan import Link
from app.runtime import log, loop
from app.store.queue import ClaimedDial, DialQueue
from app.worker.lease import Lease
from app.worker.numbers import NumberBook
from app.worker.pool import Pool

_log = log.get(__name__)


class Arrivals:
    """Beside the pool, which runs what is taken here."""

    def __init__(self, queue: DialQueue, lease: Lease, pool: Pool, book: NumberBook) -> None:
        self._queue = queue
        self._lease = lease
        self._pool = pool
        self._book = book

    def take(self, arrival: Arrival, leg: IncomingLeg) -> None:
        """The phone's news. Returns at once; the leg is ringing, answered or refused in its own time."""
        number = self._book.get(arrival.number)
        if number is None and self._book.is_read:
            leg.reject(404, "Not Found")
        elif number is None:  # the worker has just been started: a number of ours must not be called unknown
            _log.warning(
                "arrival.refused", number=arrival.number, source=arrival.source, why="the numbers are not read"
            )
            leg.reject(503, "Service Unavailable")
        elif not self._pool.has_room:
            _log.warning("arrival.refused", number=arrival.number, source=arrival.source, why="no room")
            leg.reject(503, "Service Unavailable")
        else:
            loop.spawn(self._run(arrival, leg, number), f"arrival for {arrival.number}")

    async def _run(self, arrival: Arrival, leg: IncomingLeg, number: Number) -> None:
        call = NewCall(
            sid=new_call_sid(),
            account_sid=number.account_sid,
            direction=Direction.INBOUND,
            from_uri=arrival.caller.uri.bare(),
            to_uri=arrival.called.bare(),
            callback=number.status_callback,
            caller_name=arrival.caller.display,
            forwarded_from=arrival.forwarded_from,
            has_caller=True,
        )
        try:
            stored = await self._queue.adopt(self._lease.worker_id, call, dialog={**leg.facts(), "call_sid": call.sid})
        except Unavailable as error:
            _log.warning("arrival.refused", number=arrival.number, source=arrival.source, why=str(error))
            leg.reject(503, "Service Unavailable")
            return
        leg.follow(stored.sid)
        _log.info("arrival.taken", call=stored.sid, number=arrival.number, source=arrival.source)
        self._pool.run(ClaimedDial(stored, [], b"", 0.0), Arrived(leg, _links(number)))


def _links(number: Number) -> tuple[Link, ...]:
    first = Link(number.url, number.method)
    return (first,) if number.fallback_url is None else (first, Link(number.fallback_url, number.fallback_method))
