"""What a trace is made of, and the same as rows: participants, arrows between them, what the callbacks were told.

Decides who is who and what is a retransmission; draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.calls.call import Call, Direction
from app.calls.sid import CallSid
from app.calls.wire import Address, LeftOut, WireCopy, address_text
from app.trace.glance import Glance, Kind, credentials, glance


@dataclass(frozen=True, slots=True)
class Told:
    """One HTTP attempt to tell a callback of an event."""

    call_sid: CallSid
    event: str
    at: datetime
    host: str
    attempt: int
    status: int | None  # None: no answer
    latency_ms: int
    error: str | None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of a leg that nobody was told of."""

    call_sid: CallSid
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Story:
    """One call and all that is known of it; of a leg, `legs` is the leg itself."""

    call: Call
    legs: Sequence[Call]
    copies: Sequence[WireCopy] = ()  # in the order in which they were on the wire
    left_out: Sequence[LeftOut] = ()
    told: Sequence[Told] = ()
    happened: Sequence[Happened] = ()

    @property
    def missing(self) -> int:
        """Messages that are not in the trace."""
        return sum(count.messages for count in self.left_out)


@dataclass(frozen=True, slots=True)
class Participant:
    """A column."""

    name: str
    address: str
    is_callback: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """One SIP message."""

    at: datetime
    leg: int  # number of the leg, from 1
    peer: int  # column
    copy: WireCopy
    seen: Glance
    again: bool  # the same bytes went the same way before
    detail: str
    in_dialog: bool

    @property
    def sent(self) -> bool:
        return self.copy.direction == "sent"


@dataclass(frozen=True, slots=True)
class Note:
    """An event: told to a callback, or to nobody."""

    at: datetime
    leg: int  # 0: the parent call
    column: int  # of the callback's host; 0: ours
    event: str
    told: Told | None


Row = Arrow | Note


@dataclass(frozen=True, slots=True)
class Ladder:
    """The story as columns and rows; column 0 is ourselves."""

    story: Story
    participants: tuple[Participant, ...]
    rows: tuple[Row, ...]

    @property
    def began(self) -> datetime:
        return self.rows[0].at if self.rows else self.story.call.created_at

    @property
    def has_several_legs(self) -> bool:
        return len(self.story.legs) > 1


def ladder(story: Story) -> Ladder:
    """The rows by time, and who takes part in the order in which they appear."""
    numbers = {leg.sid: number for number, leg in enumerate(story.legs, 1)}
    peers = _peers(story.copies)
    columns = {address: column for column, address in enumerate(dict.fromkeys(peers), 1)}
    hosts = {host: len(columns) + column for column, host in enumerate(dict.fromkeys(t.host for t in story.told), 1)}
    arrows = _arrows(story.copies, numbers, [columns[peer] for peer in peers])
    notes = [Note(t.at, numbers.get(t.call_sid, 0), hosts[t.host], t.event, t) for t in story.told]
    notes += [Note(one.at, numbers.get(one.call_sid, 0), 0, one.event, None) for one in story.happened]
    rows: list[Row] = [*arrows, *notes]
    rows.sort(key=lambda row: row.at)
    participants = (
        Participant("Dial-to-SIP", _own_address(story.copies)),
        *(_peer(story, numbers, arrows, address, column) for address, column in columns.items()),
        *(Participant("callbacks", host, is_callback=True) for host in hosts),
    )
    return Ladder(story, participants, tuple(rows))


def _peers(copies: Sequence[WireCopy]) -> list[Address]:
    """The far end of each message. A peer that connects to us from a port of the moment is the one we sent to."""
    called: dict[CallSid, list[Address]] = {}
    for copy in copies:
        if copy.direction == "sent" and not copy.data.startswith(b"SIP/"):
            called.setdefault(copy.call_sid, []).append(copy.remote)
    found = []
    for copy in copies:
        known = called.get(copy.call_sid, [])
        same_host = [address for address in known if address[0] == copy.remote[0]]
        is_stray = copy.transport != "udp" and copy.remote not in known and same_host
        found.append(same_host[0] if is_stray else copy.remote)
    return found


def _arrows(copies: Sequence[WireCopy], numbers: dict[CallSid, int], columns: Sequence[int]) -> list[Arrow]:
    earlier: set[tuple[CallSid, str, bytes]] = set()
    confirmed: set[CallSid] = set()
    arrows = []
    for copy, column in zip(copies, columns, strict=True):
        key = (copy.call_sid, copy.direction, copy.data)
        seen = glance(copy.data)
        in_dialog = bool(seen.to_tag) and copy.call_sid in confirmed
        if seen.kind is Kind.SUCCESS and seen.method == "INVITE":
            confirmed.add(copy.call_sid)
        detail = (credentials(copy.data) if seen.kind is Kind.REQUEST else "") or seen.detail
        again = key in earlier
        arrows.append(Arrow(copy.at, numbers.get(copy.call_sid, 0), column, copy, seen, again, detail, in_dialog))
        earlier.add(key)
    return arrows


def _own_address(copies: Sequence[WireCopy]) -> str:
    """That of UDP when there is one: a TCP connection leaves from a port of the moment."""
    udp = [copy.local for copy in copies if copy.transport == "udp"]
    return address_text((udp or [copy.local for copy in copies])[0]) if copies else ""


def _peer(
    story: Story, numbers: dict[CallSid, int], arrows: Sequence[Arrow], address: Address, column: int
) -> Participant:
    of_peer = [arrow for arrow in arrows if arrow.peer == column]
    legs = {arrow.leg for arrow in of_peer}
    users = dict.fromkeys(_user(_party(leg)) for leg in story.legs if numbers[leg.sid] in legs)
    transports = dict.fromkeys(arrow.copy.transport for arrow in of_peer)
    return Participant(", ".join(users) or "peer", f"{address_text(address)} {'/'.join(transports)}")


def _party(leg: Call) -> str:
    """Who is at the other end."""
    return leg.from_uri if leg.direction is Direction.INBOUND else leg.to_uri


def _user(uri: str) -> str:
    """``alice`` of ``sip:alice@host``, else the host."""
    rest = uri.partition(":")[2] or uri
    user, at, _ = rest.partition("@")
    return user.partition(":")[0] if at else rest.partition(";")[0]
