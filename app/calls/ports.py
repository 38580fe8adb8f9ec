"""What a call's logic needs of a phone and of a clock: the only way in which it reaches SIP and media.

A test puts a scripted phone and a fake clock here; nothing else in the product is ever faked. What is said and heard
on a leg is `app.calls.audio`; where documents and sounds come from is `app.calls.sources`.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypedDict

from app.calls.audio import Audio
from app.calls.outcome import Outcome
from app.calls.sid import AccountSid, CallSid
from app.calls.uri import NameAddr, SipUri

MOST_HOPS = 70  # RFC 3261 §8.1.1.6


class DialogFacts(TypedDict, total=False):
    """What a stranger needs to CANCEL or BYE this leg from another process; stored before the INVITE leaves."""

    call_sid: str  # the leg's
    transport: str  # udp, tcp, tls
    destination: list[Any]  # [host, port]
    domain: str  # over TLS, whom the certificate must be for
    local: list[Any]  # the socket's own [host, port]
    via: str  # the top Via of the INVITE, sent-by and branch included; incoming: all of them, the peer's
    sent_by: str  # of an incoming leg: our host and port as its peer sees them
    request_uri: str
    from_: str  # From with its tag
    to: str  # To, with the remote tag once there is one
    call_id: str
    cseq: int  # of the newest request sent
    routes: list[str]  # Route headers of the INVITE, later the route set
    remote_target: str  # Contact of the peer, once known
    state: str  # calling, proceeding, confirmed; incoming: a peer's INVITE that has no final answer yet


@dataclass(frozen=True, slots=True)
class LegOrder:
    """One attempt to reach one `<Sip>` target. Everything in it is already valid."""

    call_sid: CallSid
    account_sid: AccountSid
    target: SipUri  # URI headers included
    caller: NameAddr
    username: str | None = None
    password: str | None = None
    hops: int = MOST_HOPS  # its Max-Forwards


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional response; `ringing` from 180 to 183 (RFC 3261 21.1)."""

    at: datetime
    code: int
    reason: str
    ringing: bool
    dialog: DialogFacts
    early_media: bool = False  # the peer's audio flows already: `PhoneLeg.audio` can be heard


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx with usable SDP; its ACK has left and RTP flows."""

    at: datetime
    code: int
    reason: str
    headers: tuple[tuple[str, str], ...]  # X- headers of the 2xx, names as received
    dialog: DialogFacts


@dataclass(frozen=True, slots=True)
class Moved:
    """The INVITE is about to go elsewhere (401/407, 3xx, next address) or the dialog changed (target refresh)."""

    dialog: DialogFacts


@dataclass(frozen=True, slots=True)
class Pressed:
    """The peer pressed a key: RFC 4733, SIP INFO, or a tone while `Audio.listen_for_tones` is on. Each press once."""

    at: datetime
    key: str  # 0-9 * # A-D
    by: Literal["rtp", "info", "tone"] = "rtp"  # a bridge passes on what came by RTP; of the others its owner does


@dataclass(frozen=True, slots=True)
class Silence:
    """Neither RTP nor RTCP came for the media timeout, after at least one packet had come."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """The leg is over and everything it held is returned; nothing follows this signal."""

    at: datetime
    outcome: Outcome


Signal = Progress | Answered | Moved | Pressed | Silence | Ended


class Goodbye(Protocol):
    """A BYE, CANCEL or refusal of ours that its peer may not have heard yet."""

    @property
    def heard(self) -> bool:
        """Whether the peer has answered, or never will: nothing is left to be done."""

    @property
    def dialog(self) -> DialogFacts | None:
        """What a stranger needs now, when that is something else than what was told last: a 2xx crossed our CANCEL."""


class PhoneLeg(Protocol):
    """One leg, from the first INVITE to the last BYE. Its ports are bound when it is made."""

    @property
    def heard(self) -> bool:
        """Whether any response has come: tells `no-answer` from `unreachable` at a timeout."""

    @property
    def signals(self) -> asyncio.Queue[Signal]:
        """What happened, in order. The queue never fills; the last signal is `Ended`."""

    @property
    def audio(self) -> Audio:
        """The same object for the leg's whole life; before media flows and after the leg's end it does nothing."""

    async def prepare(self) -> DialogFacts | Outcome:
        """Resolve and check the target and build the INVITE; an Outcome when there is nowhere to send it."""

    def invite(self) -> None:
        """Let the INVITE leave; call only after `prepare`'s facts are stored."""

    def hang_up(self) -> Goodbye | None:
        """CANCEL, BYE or nothing, whatever the state asks for; safe to call twice, returns at once.

        The transaction lives on for 64·T1 behind it (late 1xx: CANCEL, late 2xx: ACK and BYE). RTP stops now. None:
        the peer need not hear anything any more.
        """


@dataclass(frozen=True, slots=True)
class Arrival:
    """An INVITE that came for one of our numbers."""

    at: datetime
    number: str  # the user part of its Request-URI, unescaped
    caller: NameAddr  # From, without its tag
    called: SipUri  # Request-URI
    source: str  # the address it came from
    forwarded_from: str | None = None  # URI of the first Diversion (RFC 5806)
    headers: tuple[tuple[str, str], ...] = ()  # its X- headers, names as received
    hops_left: int = MOST_HOPS  # its Max-Forwards


class IncomingLeg(Protocol):
    """The caller's leg of an inbound call: 100 has been sent, its RTP port is bound, nothing else has happened yet."""

    @property
    def arrival(self) -> Arrival: ...

    @property
    def signals(self) -> asyncio.Queue[Signal]:
        """Pressed, Moved and Silence as on any leg; Answered once the ACK is there (its `at` is that of the 200);
        Ended with CANCELED/caller-hangup after a CANCEL, COMPLETED/caller-hangup after a BYE, FAILED/media for SDP
        that cannot be used, COMPLETED/caller-hangup with a detail when the ACK never came.
        """

    @property
    def audio(self) -> Audio: ...

    def follow(self, call_sid: CallSid) -> None:
        """The call is stored under this sid: what was said since the INVITE belongs to its trace."""

    def facts(self) -> DialogFacts:
        """As of now: what a rescuer needs to refuse (state `incoming`) or BYE it."""

    def ring(self) -> None:
        """Send 180, once; repeated every minute while it rings (RFC 3261 §13.3.1.1)."""

    def open_early(self) -> None:
        """Send 183 with our SDP, reliably if the caller requires 100rel: audio may be said before the answer."""

    def answer(self) -> None:
        """Send 200; repeated until its ACK."""

    def reject(self, code: int, phrase: str) -> Goodbye | None:
        """Refuse with a final response 400-699; `Ended` follows. Nothing after an answer."""

    def hang_up(self) -> Goodbye | None:
        """480 before the answer, BYE after it; safe to call twice, returns at once. None as for `PhoneLeg`."""


class Phone(Protocol):
    """The SIP side of one worker."""

    def leg(self, order: LegOrder) -> PhoneLeg:
        """A new leg with its RTP port bound; raises NoFreePort."""


class Clock(Protocol):
    """Time as a call sees it: wall time for records, waiting that a test can move."""

    def now(self) -> datetime:
        """Aware UTC wall time."""

    def monotonic(self) -> float:
        """Seconds that never jump."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait; a fake clock returns when it has been moved that far."""
