"""Places a dial request: parent call and first legs become rows in one commit, and a worker is told of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.calls.call import Call, Direction, NewCall
from app.calls.errors import NotFound
from app.calls.sid import AccountSid, new_call_sid
from app.calls.status import Status
from app.calls.uri import ANONYMOUS, NameAddr, SipUri
from app.rcml import serial
from app.rcml.plan import Dial, DialRequest
from app.store.calls import CallReads
from app.store.placing import Idempotency, Placing, Replayed

LocalHost = Callable[[SipUri], str]  # the host that a bare callerId gets on calls to this target


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """The parent call with its legs as the 202 shows them; `replayed`: an earlier request with the same key."""

    parent: Call
    legs: Sequence[Call]
    replayed: bool


class Place:
    """The use case behind ``POST /v1/dials``."""

    def __init__(self, placing: Placing, calls: CallReads, local_host: LocalHost) -> None:
        self._placing = placing
        self._calls = calls
        self._local_host = local_host

    async def __call__(
        self, account: AccountSid, request: DialRequest, *, rcml: str, idempotency: Idempotency | None
    ) -> PlacedCall:
        """Raises KeyConflict (same key, other request) and Unavailable (nothing was stored, or a key makes it safe)."""
        request = self._with_whole_caller_ids(request)
        first = request.document.verbs[0]
        parent = NewCall(
            sid=new_call_sid(),
            account_sid=account,
            direction=Direction.OUTBOUND_API,
            from_uri=_from(first),
            to_uri=first.targets[0].uri.bare(),
            callback=request.status_callback,
            rcml=rcml,
            document=serial.dumps(request),
            idempotency_key=idempotency.key if idempotency else None,
            metadata=request.metadata,
        )
        legs = new_legs(parent, first, first_index=0)
        placed = await self._placing.place([parent, *legs], idempotency=idempotency)
        if isinstance(placed, Replayed):
            return await self._as_it_is_now(account, placed)
        stored = [_as_stored(call, placed.created_at) for call in (parent, *legs)]
        return PlacedCall(stored[0], stored[1:], replayed=False)

    def _with_whole_caller_ids(self, request: DialRequest) -> DialRequest:
        verbs = tuple(self._with_whole_caller_id(dial) for dial in request.document.verbs)
        return replace(request, document=replace(request.document, verbs=verbs))

    def _with_whole_caller_id(self, dial: Dial) -> Dial:
        if not isinstance(dial.caller_id, str):
            return dial
        host = self._local_host(dial.targets[0].uri)
        return replace(dial, caller_id=NameAddr(SipUri("sip", host, dial.caller_id)))

    async def _as_it_is_now(self, account: AccountSid, placed: Replayed) -> PlacedCall:
        parent = await self._calls.get(account, placed.sid)
        if parent is None:
            raise NotFound(placed.sid)
        legs = await self._calls.legs([parent.sid])
        return PlacedCall(parent, legs.get(parent.sid, []), replayed=True)


def new_legs(parent: Call | NewCall, dial: Dial, *, first_index: int) -> list[NewCall]:
    """One row per `<Sip>` of `dial`; `first_index` is the number of targets in the Dials before it."""
    return [
        NewCall(
            sid=new_call_sid(),
            account_sid=parent.account_sid,
            direction=Direction.OUTBOUND_DIAL,
            from_uri=_from(dial),
            to_uri=target.uri.bare(),
            parent_sid=parent.sid,
            leg_index=index,
            callback=target.status_callback,
        )
        for index, target in enumerate(dial.targets, first_index)
    ]


def caller_of(dial: Dial) -> NameAddr:
    """Who calls: a placed plan has whole addresses only."""
    return dial.caller_id if isinstance(dial.caller_id, NameAddr) else ANONYMOUS


def _from(dial: Dial) -> str:
    return caller_of(dial).uri.bare()


def _as_stored(call: NewCall, created_at: datetime) -> Call:
    return Call(
        sid=call.sid,
        account_sid=call.account_sid,
        parent_sid=call.parent_sid,
        leg_index=call.leg_index,
        direction=call.direction,
        from_uri=call.from_uri,
        to_uri=call.to_uri,
        status=Status.QUEUED,
        created_at=created_at,
        rcml=call.rcml,
        idempotency_key=call.idempotency_key,
        metadata=call.metadata,
        callback=call.callback,
    )
