"""Runs a document's verbs in order on one line, fetching the documents that follow. Knows verbs, but no race."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

from app.calls.callback import masked
from app.calls.errors import BadRequest
from app.calls.parameters import Parameters, of_every_request
from app.calls.ports import Clock
from app.calls.sources import DocumentRequest, Documents, Sounds, SourceError
from app.calls.status import Status
from app.dialing import gather, listen, speak
from app.dialing.line import Line
from app.dialing.record import Record
from app.dialing.recorded import Studio
from app.rcml import parse
from app.rcml.fields import Rules
from app.rcml.plan import (
    Dial,
    Document,
    Gather,
    Hangup,
    Link,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Verb,
    Where,
)
from app.rcml.plan import Record as RecordVerb
from app.runtime import log

MAX_DOCUMENTS = 50  # fetched in one call

# The reference's errors: HTTP retrieval failure, document parse failure, too many redirects.
_NOT_FETCHED, _NOT_VALID, _TOO_MANY = 11200, 12100, 11215

T = TypeVar("T")

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where documents, sounds and recordings come from and go to."""

    documents: Documents
    sounds: Sounds
    studio: Studio
    rules: Rules
    clock: Clock


class Ending(Enum):
    DOCUMENT_END = auto()
    HANGUP = auto()
    REJECT = auto()
    BUSY = auto()
    BROKEN = auto()  # a document could not be had, or is not valid
    STOPPED = auto()


class Fault(NamedTuple):
    """What is wrong with which document, in the reference's numbers."""

    code: int
    url: str

    @property
    def told(self) -> Parameters:
        """To whoever makes up for it."""
        return [("ErrorCode", str(self.code)), ("ErrorUrl", masked(self.url))]


@dataclass(frozen=True, slots=True)
class Fate:
    """How a script ended; `detail` is for people."""

    ending: Ending
    detail: str | None = None
    fault: Fault | None = None  # of a document, when that was it


class Untold(NamedTuple):
    """An action that nobody waits for any more: its answer would be a document for a line that is gone."""

    action: Link
    parameters: Parameters


class Broken(Exception):
    """A document could not be fetched or is not valid."""

    def __init__(self, detail: str, fault: Fault | None = None) -> None:
        super().__init__(detail)
        self.fault = fault


class _Stopped(Exception):
    """Somebody stopped the script while a verb waited."""


PerformDial = Callable[[Dial], Awaitable[Parameters]]  # what the Dial's action is told


class Script:
    """One line's document while it runs. Without a `line` nobody hears it; without `dial` it may not dial."""

    def __init__(
        self,
        record: Record,
        sources: Sources,
        *,
        where: Where,
        line: Line | None,
        dial: PerformDial | None = None,
        first: Parameters | None = None,
    ) -> None:
        self.sources = sources
        self._record = record
        self._where = where
        self._line = line
        self._dial = dial
        self.untold: Untold | None = None  # when it was stopped in a verb whose action is to be requested all the same
        self._first = first or []  # what the first document is told beside the rest
        self._fetched = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Leave the verb that runs; a Dial is ended by whoever stops this. Safe to call twice."""
        self._stopping.set()

    async def run(self, document: Document) -> Fate:
        verbs = list(document.verbs)
        try:
            while verbs and not self._stopping.is_set():
                verb = verbs.pop(0)
                if (fate := _FATES.get(type(verb))) is not None:
                    return fate(verb)
                following = await self._perform(verb)
                if following is not None:
                    verbs = list(following.verbs)
        except Broken as error:
            _log.warning("document.broken", call=self._record.call.sid, detail=str(error))
            return Fate(Ending.BROKEN, str(error), error.fault)
        except _Stopped:
            pass
        return Fate(Ending.STOPPED if self._stopping.is_set() else Ending.DOCUMENT_END)

    async def fetch(self, link: Link, more: Parameters | None = None) -> Document:
        """The document that `link` answers; raises Broken."""
        self._fetched += 1
        if self._fetched > MAX_DOCUMENTS:
            raise Broken(f"one call fetches at most {MAX_DOCUMENTS} documents", Fault(_TOO_MANY, link.url))
        call = self._record.call
        # `initiated` is no word of the reference for a call that came in: its phone rings.
        status = Status.RINGING if call.status is Status.INITIATED else None
        parameters = of_every_request(call, self._record.headers, status=status) + self._first + (more or [])
        self._first = []
        try:
            fetched = await self.sources.documents.fetch(
                DocumentRequest(call.account_sid, link.url, link.method, parameters)
            )
            return parse.document(
                fetched.content,
                self.sources.rules,
                content_type=fetched.content_type,
                base_url=fetched.url,
                where=self._where,
            )
        except SourceError as error:
            raise Broken(str(error), Fault(_NOT_FETCHED, link.url)) from error
        except BadRequest as error:
            detail = f"the document is not valid: {str(error)[:500]}"
            raise Broken(detail, Fault(_NOT_VALID, link.url)) from error

    async def after(self, link: Link | None, more: Parameters) -> Document | None:
        """What an `action` answers to `more`; None without one."""
        return None if link is None else await self.fetch(link, more)

    async def _perform(self, verb: Verb) -> Document | None:
        if isinstance(verb, Dial):
            if self._dial is None:
                raise Broken("<Dial> is not allowed here")
            told = await self._dial(verb)
            if verb.action is not None and self._stopping.is_set():
                self.untold = Untold(verb.action, told)
                return None
            return await self._until_stopped(self.after(verb.action, told))
        if isinstance(verb, Redirect):
            return await self._until_stopped(self.fetch(verb.link))
        if isinstance(verb, Pause) and self._line is None:
            await self._until_stopped(self._pause(verb))
            return None
        if self._line is None:
            raise Broken(f"<{type(verb).__name__}> needs a caller to hear it")
        return await self._until_stopped(self._perform_on(self._line, verb))

    async def _perform_on(self, line: Line, verb: Verb) -> Document | None:
        if isinstance(verb, Pause):  # before the answer it puts that off, as in the reference
            line.ring()
        else:
            await line.answer()
        match verb:
            case Say() | Play() | Pause():
                await speak.speak(verb, line, self.sources.sounds, self._pause)
                return None
            case Gather():
                digits = await gather.gather(verb, line, self.sources.sounds, self._pause, self.sources.clock)
                if digits is None:
                    return None
                return await self.after(verb.action, [("Digits", digits)])
            case RecordVerb():
                said = await listen.listen(verb, line, self.sources.sounds, self.sources.studio, self._left_in(verb))
                return None if said is None else await self.after(verb.action, said)
        raise Broken(f"<{type(verb).__name__}> is not allowed here")

    def _left_in(self, verb: RecordVerb) -> Callable[[Parameters], None]:
        def left(said: Parameters) -> None:
            if verb.action is not None:
                self.untold = Untold(verb.action, said)

        return left

    async def _pause(self, verb: Pause) -> None:
        await self.sources.clock.sleep(verb.length)

    async def _until_stopped(self, verb: Coroutine[Any, Any, T]) -> T:
        """`verb`'s result; raises _Stopped, the verb cancelled, when somebody stops the script."""
        task = asyncio.ensure_future(verb)
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _Stopped
        finally:
            stopping.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
            if not task.cancelled():
                task.exception()  # we may have been cancelled in the moment it failed: then nobody else looks


def _rejected(verb: Verb) -> Fate:
    return Fate(Ending.BUSY if isinstance(verb, Reject) and verb.reason == "busy" else Ending.REJECT)


_FATES: dict[type, Callable[[Verb], Fate]] = {
    Hangup: lambda verb: Fate(Ending.HANGUP),
    Reject: _rejected,
}
