"""Keeps a copy of each leg's SIP messages without any call waiting for it: a bounded queue, written in batches.

Signalling does no more than look up the leg and append. When the database is slow or away the oldest copies are
dropped and counted. Knows of SIP where a Call-ID stands, and nothing else.
"""

import asyncio
import re
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from prometheus_client import Counter

from app.calls.errors import Unavailable
from app.calls.ports import Clock
from app.calls.sid import CallSid
from app.calls.wire import Address, LeftOut, WireCopy
from app.runtime import log
from app.store.trace import TraceStore

MESSAGES_PER_LEG = 200
OCTETS_PER_LEG = 256 * 1024
_FOR_THE_END = 20  # of these, kept for BYE and CANCEL, so that a flood does not hide how the call ended
QUEUED = 10_000  # messages of all legs
QUEUED_OCTETS = 16 * 1024 * 1024
_BATCH = 200  # 1 to 2 ms of the event loop
_GATHER = 0.1  # seconds; few commits, and nobody looks at a trace sooner
_BACKOFF = 1.0
_TIDY = 5.0
_LINGER = 70.0  # seconds after the last message of a leg that is gone: 64·T1 twice
_FAREWELL = 2.0
_FOLLOWED = 50_000  # legs

_CALL_ID = re.compile(rb"[\r\n](?:call-id|i)[ \t]*+:[ \t]*+([^\r\n]*)", re.IGNORECASE)
_USUAL = b"\r\nCall-ID: "

_STORED = Counter("dial_trace_stored_total", "SIP messages whose copies were stored")
_LEFT_OUT = Counter("dial_trace_left_out_total", "SIP messages of legs whose copies were not stored", ["why"])
_OVER_LIMIT, _DROPPED, _REFUSED = (_LEFT_OUT.labels(why) for why in ("limit", "pressure", "refused"))

_log = log.get(__name__)


class Wire(Protocol):
    """A message as the phone shows it (`app.sip.trace.WireMessage`)."""

    @property
    def direction(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def local(self) -> Address: ...
    @property
    def remote(self) -> Address: ...
    @property
    def data(self) -> bytes: ...
    @property
    def at(self) -> datetime: ...


@dataclass(slots=True, eq=False)
class _Leg:
    sid: CallSid | None  # None: its call is not stored yet
    living: "weakref.ref[object] | None"
    last_used: float
    last_at: datetime | None = None
    seen: int = 0
    octets: int = 0
    left_out: int = 0
    told: int = 0  # of left_out
    waiting: list[tuple[int, Wire]] = field(default_factory=list)  # for the sid; no entries, which have the leg


_Entry = tuple[_Leg, int, Wire]


class Tap:
    """`follow` each leg, hand `on_message` to the phone, keep `run` running, `stop` at the end."""

    def __init__(
        self,
        store: TraceStore,
        redact: Callable[[bytes], bytes],
        clock: Clock,
        *,
        export: Callable[[WireCopy], None] | None = None,
    ) -> None:
        self._store = store
        self._redact = redact
        self._clock = clock
        self._export = export  # of what has been dealt with, masked
        self._legs: dict[bytes, tuple[_Leg, ...]] = {}  # two, when a number of ours is called through us
        self._newest: Wire | None = None
        self._queue: deque[_Entry] = deque()
        self._octets = 0
        self._short: set[_Leg] = set()  # legs that lost messages of which nothing is stored yet
        self._tidied = clock.monotonic()
        self._wake = asyncio.Event()

    def follow(self, call_id: str, call_sid: CallSid | None, leg: object | None = None) -> None:
        """Keep what has this Call-ID for as long as `leg` lives, and a little longer; None: only a little.

        Without a `call_sid` (an incoming call, told while its INVITE is being read) it is kept, from that INVITE on,
        until the same leg is told with one.
        """
        key = call_id.encode()
        known = self._legs.get(key, ())
        found = next(
            (each for each in known if leg is not None and each.living is not None and each.living() is leg), None
        )
        if found is not None:
            if found.sid is None and call_sid is not None:
                self._release(found, call_sid)
        elif len(self._legs) < _FOLLOWED:
            made = _Leg(call_sid, weakref.ref(leg) if leg is not None else None, self._clock.monotonic())
            others = tuple(each for each in known if each.living is not None and each.living() is not None)
            self._legs[key] = (*others, made)
            newest = self._newest
            if call_sid is None and newest is not None and _call_id(newest.data) == key:
                self._keep(made, newest)

    def _release(self, leg: _Leg, call_sid: CallSid) -> None:
        leg.sid = call_sid
        if leg.left_out:
            self._short.add(leg)
        waiting, leg.waiting = leg.waiting, []
        self._queue.extend((leg, seq, message) for seq, message in waiting)
        self._octets += sum(len(message.data) for _, message in waiting)
        self._shed()
        self._wake.set()

    def on_message(self, message: Wire) -> None:
        """Called by the phone for every message; a few µs, never raises, never waits."""
        self._newest = message
        for leg in self._legs.get(_call_id(message.data), ()):
            self._keep(leg, message)

    def _keep(self, leg: _Leg, message: Wire) -> None:
        data = message.data
        size = len(data)
        leg.last_used, leg.last_at = self._clock.monotonic(), message.at
        if not _has_room(leg, data):
            self._leave_out(leg)
            _OVER_LIMIT.inc()
            return
        seq, leg.seen = leg.seen, leg.seen + 1
        leg.octets += size
        if leg.sid is None:
            leg.waiting.append((seq, message))
            return
        self._queue.append((leg, seq, message))
        self._octets += size
        self._shed()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled: write what is queued, a batch at a time."""
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TIDY):
                    await self._wake.wait()
            await self._clock.sleep(_GATHER)
            self._tidy()
            try:
                await self._write()
                failing = False
            except Unavailable as error:
                if not failing:
                    _log.warning("trace.waits", queued=len(self._queue), error=str(error))
                failing = True
                await self._clock.sleep(_BACKOFF)

    async def stop(self) -> None:
        """Write what is left, if that can be done quickly; call it when `run` has ended."""
        try:
            async with asyncio.timeout(_FAREWELL):
                while self._queue or self._short:
                    await self._write(last=True)
        except (Unavailable, TimeoutError):
            _log.warning("trace.lost", messages=len(self._queue))

    async def _write(self, *, last: bool = False) -> None:
        entries = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        counts = self._counts(last)
        if not self._queue:
            self._wake.clear()
        if not entries and not counts:
            return
        self._octets -= sum(len(message.data) for _, _, message in entries)
        written = False
        try:
            copies = [self._copy(sid, entry) for entry in entries if (sid := entry[0].sid) is not None]
            await self._store.write([*copies, *counts.values()])
            written = True
        except (Unavailable, asyncio.CancelledError):
            raise
        except Exception:  # one batch is lost, the next one need not be
            written = True
            _REFUSED.inc(len(entries))
            _log.exception("trace.refused", messages=len(entries))
        else:
            _STORED.inc(len(entries))
            self._told(counts)
            self._hand_on(copies)
        finally:
            if not written:
                self._queue.extendleft(reversed(entries))
                self._octets += sum(len(message.data) for _, _, message in entries)
                self._shed()
                self._wake.set()

    def _hand_on(self, copies: list[WireCopy]) -> None:
        if self._export is not None:
            for copy in copies:
                self._export(copy)

    def _copy(self, sid: CallSid, entry: _Entry) -> WireCopy:
        _, seq, message = entry
        return WireCopy(
            sid,
            seq,
            message.at,
            "sent" if message.direction == "out" else "received",
            message.transport,
            message.local,
            message.remote,
            self._redact(message.data),
        )

    def _counts(self, last: bool) -> dict[_Leg, LeftOut]:
        """What is to be told of legs that lost messages: each time that the number has doubled, and when quiet."""
        now = self._clock.monotonic()
        return {
            leg: LeftOut(leg.sid, leg.last_at, leg.left_out)
            for leg in self._short
            if leg.sid is not None
            and leg.last_at is not None
            and (last or leg.left_out >= 2 * leg.told or now - leg.last_used > _TIDY)
        }

    def _told(self, counts: dict[_Leg, LeftOut]) -> None:
        for leg, count in counts.items():
            leg.told = count.messages
            if leg.left_out == leg.told:
                self._short.discard(leg)

    def _shed(self) -> None:
        while len(self._queue) > QUEUED or self._octets > QUEUED_OCTETS:
            leg, _, message = self._queue.popleft()
            self._octets -= len(message.data)
            self._leave_out(leg)
            _DROPPED.inc()

    def _leave_out(self, leg: _Leg) -> None:
        leg.left_out += 1
        if leg.sid is not None:
            self._short.add(leg)

    def _tidy(self) -> None:
        """Let go of legs that are gone and quiet."""
        now = self._clock.monotonic()
        if now - self._tidied < _TIDY:
            return
        self._tidied = now
        gone = [
            call_id
            for call_id, legs in self._legs.items()
            if all(now - leg.last_used > _LINGER and (leg.living is None or leg.living() is None) for leg in legs)
        ]
        for call_id in gone:
            del self._legs[call_id]


def _call_id(data: bytes) -> bytes:
    start = data.find(_USUAL)
    if start >= 0:
        return data[start + len(_USUAL) : data.find(b"\r", start + len(_USUAL))].strip()
    found = _CALL_ID.search(data)
    return found[1].strip() if found else b""


def _has_room(leg: _Leg, data: bytes) -> bool:
    if leg.octets + len(data) > OCTETS_PER_LEG:
        return False
    if leg.seen < MESSAGES_PER_LEG - _FOR_THE_END:
        return True
    return leg.seen < MESSAGES_PER_LEG and (b" BYE\r" in data or b" CANCEL\r" in data)
