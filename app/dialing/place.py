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
from app.rcml.plan import CallerId, CallerOrder, Dial, DialRequest
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
        from_uri, to_uri = _parties(request)
        parent = NewCall(
            sid=new_call_sid(),
            account_sid=account,
            direction=Direction.OUTBOUND_API,
            from_uri=from_uri,
            to_uri=to_uri,
            callback=request.status_callback,
            rcml=rcml,
            document=serial.dumps(request),
            idempotency_key=idempotency.key if idempotency else None,
            metadata=request.metadata,
            has_caller=request.caller is not None,
        )
        number = None if request.caller is None else number_of(request.caller)
        legs = new_legs(parent, first, first_index=0, number=number) if isinstance(first, Dial) else []
        placed = await self._placing.place([parent, *legs], idempotency=idempotency)
        if isinstance(placed, Replayed):
            return await self._as_it_is_now(account, placed)
        stored = [_as_stored(call, placed.created_at) for call in (parent, *legs)]
        return PlacedCall(stored[0], stored[1:], replayed=False)

    def _with_whole_caller_ids(self, request: DialRequest) -> DialRequest:
        verbs = tuple(
            with_whole_caller_id(verb, self._local_host) if isinstance(verb, Dial) else verb
            for verb in request.document.verbs
        )
        caller = request.caller
        if caller is not None and isinstance(caller.from_, str):
            caller = replace(caller, from_=_at_home(caller.from_, caller.uri, self._local_host))
        return replace(request, document=replace(request.document, verbs=verbs), caller=caller)

    async def _as_it_is_now(self, account: AccountSid, placed: Replayed) -> PlacedCall:
        parent = await self._calls.get(account, placed.sid)
        if parent is None:
            raise NotFound(placed.sid)
        legs = await self._calls.legs([parent.sid])
        return PlacedCall(parent, legs.get(parent.sid, []), replayed=True)


def with_whole_caller_id(dial: Dial, local_host: LocalHost) -> Dial:
    """A bare user gets the host that its targets see us at."""
    if not isinstance(dial.caller_id, str):
        return dial
    return replace(dial, caller_id=_at_home(dial.caller_id, dial.targets[0].uri, local_host))


def new_legs(parent: Call | NewCall, dial: Dial, *, first_index: int, number: NameAddr | None = None) -> list[NewCall]:
    """One row per `<Sip>` of `dial`, the first at `first_index`; `number` is the caller's own."""
    return [
        NewCall(
            sid=new_call_sid(),
            account_sid=parent.account_sid,
            direction=Direction.OUTBOUND_DIAL,
            from_uri=caller_of(dial, number).uri.bare(),
            to_uri=target.uri.bare(),
            parent_sid=parent.sid,
            leg_index=index,
            callback=target.status_callback,
        )
        for index, target in enumerate(dial.targets, first_index)
    ]


def caller_of(dial: Dial, number: NameAddr | None = None) -> NameAddr:
    """Who calls on the legs of `dial`: its callerId, else the caller's own number, else nobody we tell."""
    return who(dial.caller_id if dial.caller_id is not None else number)


def number_of(caller: CallerOrder) -> NameAddr:
    """The caller's own number, as its callees see it."""
    return NameAddr(replace(caller.uri.as_address(), password=None))


def who(caller_id: CallerId | None) -> NameAddr:
    """A placed plan has whole addresses only."""
    return caller_id if isinstance(caller_id, NameAddr) else ANONYMOUS


def _at_home(user: str, target: SipUri, local_host: LocalHost) -> NameAddr:
    return NameAddr(SipUri("sip", local_host(target), user))


def _parties(request: DialRequest) -> tuple[str, str]:
    """From and To of the parent: of the call to its caller, else those of the first target."""
    if request.caller is not None:
        return who(request.caller.from_).uri.bare(), request.caller.uri.bare()
    dial = next(verb for verb in request.document.verbs if isinstance(verb, Dial))
    return caller_of(dial).uri.bare(), dial.targets[0].uri.bare()


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
        has_caller=call.has_caller,
    )
