"""The live record of one call: every change it makes, the event that goes with it and the delivery that is owed.

Whoever holds a call holds its one `Record`; changes are queued in order and never awaited here, so that
signalling does not wait for the database. Knows what a change means, not how it is stored.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from app.calls.call import Call
from app.calls.change import Change, Facts
from app.calls.event import Event
from app.calls.outcome import Outcome
from app.calls.parameters import Fired, Headers, owed, status_callback
from app.calls.ports import Answered, Arrival, Clock, DialogFacts, Goodbye, Progress
from app.calls.sid import RecordingSid
from app.calls.status import FINAL, Status, may_become
from app.runtime import log

_log = log.get(__name__)

Screened = Literal["running", "accepted", "declined", "timeout", "error"]


class Journal(Protocol):
    """Where changes become durable (`app.store.changes.Changes`)."""

    def write(self, change: Change) -> asyncio.Future[None]:
        """Queue `change`; the future is done once it is committed, or raises Fenced."""


UrlOf = Callable[[RecordingSid], str]  # what a callback says of a recording


class Record:
    """One call as its owner knows it; `call` is always the newest state, durable or about to be."""

    def __init__(
        self,
        call: Call,
        journal: Journal,
        clock: Clock,
        url_of: UrlOf | None = None,
        goodbye: Goodbye | None = None,
    ) -> None:
        self.call = call
        self.headers: Headers = ()  # X- headers of its INVITE or of its 200, names as received
        self.goodbye = goodbye  # what the peer has to hear yet when the record ends
        self._journal = journal
        self._clock = clock
        self._url_of = url_of
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.written.set_result(None)  # of the newest change; nothing is owed yet

    @property
    def is_final(self) -> bool:
        return self.call.status in FINAL

    @property
    def is_answered(self) -> bool:
        return self.call.answer_time is not None

    def document_starts(self) -> None:
        """A parent without a caller: queued → in-progress, its `initiated` event; nothing when it was handed back."""
        if self.call.status is not Status.QUEUED:
            return
        now = self._clock.now()
        self._change(now, Status.IN_PROGRESS, Facts(start_time=now), event=Event.INITIATED)

    def arrived(self, arrival: Arrival, dialog: DialogFacts) -> None:
        """An inbound call: its INVITE has come."""
        self.headers = arrival.headers
        facts = Facts(start_time=arrival.at, sip_call_id=dialog.get("call_id"), dialog=dict(dialog))
        self._change(arrival.at, Status.INITIATED, facts, event=Event.INITIATED)

    def initiated(self, dialog: DialogFacts) -> asyncio.Future[None]:
        """The INVITE is about to leave: await the future first, so that a call on the wire is always stored."""
        now = self._clock.now()
        facts = Facts(start_time=now, sip_call_id=dialog.get("call_id"), dialog=dict(dialog))
        return self._change(now, Status.INITIATED, facts, event=Event.INITIATED)

    def ringing(self, progress: Progress) -> None:
        facts = Facts(ring_time=progress.at, dialog=dict(progress.dialog))
        detail = {"sipResponseCode": progress.code, "sipResponseReason": progress.reason}
        self._change(progress.at, Status.RINGING, facts, event=Event.RINGING, detail=detail)

    def answered(self, answer: Answered) -> None:
        facts = Facts(
            answer_time=answer.at,
            sip_response_code=answer.code,
            sip_response_reason=answer.reason or None,
            dialog=dict(answer.dialog),
        )
        detail = {"sipResponseCode": answer.code, "sipResponseReason": answer.reason}
        self.headers = answer.headers or self.headers
        self._change(answer.at, Status.IN_PROGRESS, facts, event=Event.ANSWERED, detail=detail)

    def moved(self, dialog: DialogFacts) -> asyncio.Future[None]:
        """The INVITE goes elsewhere or the dialog changed: what a rescuer needs is stored anew."""
        return self._change(self._clock.now(), None, Facts(dialog=dict(dialog)))

    def screening(self, state: Screened) -> None:
        """How the screening of this leg stands."""
        self._change(self._clock.now(), None, Facts(screening=state))

    def recorded(self, sid: RecordingSid, seconds: int) -> None:
        """A recording of this call is there."""
        self._change(self._clock.now(), None, Facts(recording_sid=sid, recording_duration=seconds))

    def end(self, outcome: Outcome, facts: Facts | None = None) -> None:
        """The one way to a final status; safe to reach twice, the first outcome stays.

        An end that cannot follow, as completed without an answer, is a failure: the store would write nothing at all.
        """
        if self.is_final:
            return
        if not may_become(self.call.status, outcome.status):
            _log.error("call.odd_end", call=self.call.sid, status=self.call.status, end=outcome.status)
            outcome = replace(outcome, status=Status.FAILED)
        now = self._clock.now()
        facts = replace(
            facts or Facts(),
            end_time=now,
            reason=outcome.reason,
            sip_response_code=outcome.sip_code,
            sip_response_reason=outcome.sip_reason,
        )
        detail = {"reason": outcome.reason, "detail": outcome.detail} if outcome.detail else {"reason": outcome.reason}
        self._change(now, outcome.status, facts, event=Event.COMPLETED, detail=detail)
        self._report(outcome)

    def _change(
        self,
        at: datetime,
        status: Status | None,
        facts: Facts,
        *,
        event: Event | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> asyncio.Future[None]:
        call = self.call
        after = replace(call, last_seq=call.last_seq + 1, status=status or call.status, **_present(facts))
        if after.screening == "running" and after.status in FINAL:
            after = replace(after, screening=None)  # its leg ended before it came to a verdict; stored so, too
        delivery = None
        if event is not None and call.callback is not None and event in call.callback.events:
            fired = Fired(after, event, at, self.headers, self._recording_url(after, event))
            parameters = status_callback(fired, call.callback_seq)
            delivery = owed(call.callback, parameters, call.callback_seq)
            after = replace(after, callback_seq=call.callback_seq + 1)
        self.call = after
        change = Change(call.sid, call.epoch, after.last_seq, at, status, facts, event, detail, delivery)
        if self.goodbye is not None and after.status in FINAL:
            change = replace(change, goodbye=self.goodbye, worker_id=call.worker_id)
        self.written = self._journal.write(change)
        self.written.add_done_callback(_seen)
        return self.written

    def _recording_url(self, call: Call, event: Event) -> str | None:
        if event is not Event.COMPLETED or call.recording_sid is None or self._url_of is None:
            return None
        return self._url_of(call.recording_sid)

    def _report(self, outcome: Outcome) -> None:
        call = self.call
        _log.info(
            "call.finished",
            call=call.parent_sid or call.sid,
            leg=call.sid if call.parent_sid else None,
            to=call.to_uri,
            status=call.status,
            reason=outcome.reason,
            sip_code=call.sip_response_code,
            detail=outcome.detail,
            rang_s=call.ring_duration,
            talked_s=call.duration,
        )


def _seen(written: asyncio.Future[None]) -> None:
    """Only the newest change is awaited; a Fenced one before it says nothing more than that one will."""
    if not written.cancelled():
        written.exception()


def _present(facts: Facts) -> dict[str, Any]:
    """The columns that `facts` fills. Not `asdict`, which copies the dialog deeply."""
    values = ((field.name, getattr(facts, field.name)) for field in fields(Facts))
    return {name: value for name, value in values if value is not None}
