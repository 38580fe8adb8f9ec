"""One direction of a bridge: what one leg hears goes out at once in the other one's stream. Knows no socket.

The target sees one SSRC, and numbers that go on across comfort silence, relayed packets and played sounds. What the
source lost stays lost to be seen. Measured: 0.6 µs a packet on top of what the sockets cost.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Protocol

from app.media.codec import AUDIO, FRAME, RATE, transcode, translation
from app.media.dtmf import EVENT
from app.media.leg import RtpLeg
from app.media.outgoing import Outgoing
from app.media.packet import HEADER, PLAIN, Buffer, Packet
from app.media.pyvoip import PayloadType
from app.media.reception import Reception
from app.media.srtp import CipherError
from app.media.tap import Tap

# Seconds after a packet's own length before silence takes its successor's place, which is lost if it comes after all.
# 0.04 would do for a network that holds nothing back; on mobile ones 0.2 are common, and jitter buffers bear with them.
_PATIENCE: Final = 0.18
_MARKER: Final = 0x80
_LOST_IN_FILL: Final = 64  # sequence numbers: more are no loss that the target should see
_BACK: Final = -RATE  # RTP units to which a source's clock may leap before its timestamps are taken anew
_AHEAD: Final = 10 * RATE
_GIVE_UP_AFTER: Final = 0.1  # seconds: a burst of late packets is over by then, so the source's clock stood still
_DROPOUT: Final = 3000  # as for receivers (RFC 3550 A.1)
_NEVER: Final = 0
_START: Final = Struct("!QI")  # of a packet: type, sequence number and timestamp as one number, and the SSRC
_ONE: Final = 1 << 32  # sequence number, in the first of them

Send = Callable[[Any], object]  # raises OSError or CipherError


class End(Protocol):
    """One of the two legs: it hears one other leg at most, and is heard by one at most."""

    stopped: bool
    leg: RtpLeg | None  # None: no media yet, or no more
    inflow: "Relay | None"
    outflow: "Relay | None"
    taps: tuple[Tap, ...]

    def press(self, keys: str) -> object:
        """Press keys on this leg."""

    def heard(self, at: float) -> None:
        """A bridge heard its peer then; 0: it never did."""

    def way_out(self) -> Send | None:
        """How to send to the peer; None: nothing may be sent now, or something is being played."""


class Relay:
    """From `source` to `target`; packets of `source` lie in `buffer`.

    `forward` takes the packet that is expected, nearly all of them, and `pass_on` every other one. Whatever changes on
    either side must `pause`: nothing is expected then, and the next packet finds out anew.
    """

    __slots__ = (
        "_begun",
        "_buffer",
        "_codec",
        "_event",
        "_from",
        "_heard_before",
        "_last",
        "_late_since",
        "_next",
        "_out",
        "_out_sequence",
        "_out_ssrc",
        "_out_stamp",
        "_pace",
        "_patient",
        "_payload",
        "_prompt",
        "_reception",
        "_refused",
        "_said",
        "_sending",
        "_sequences",
        "_shift",
        "_size",
        "_ssrc",
        "_stamp",
        "_step",
        "_table",
        "_tapped",
        "_times",
        "_timestamps",
        "_to",
        "_view",
        "filled",
        "source",
        "target",
    )

    def __init__(self, source: End, target: End, buffer: Buffer) -> None:
        self.source = source
        self.target = target
        self.filled = False  # silence took the place of packets that did not come
        self._buffer = buffer
        self._times: list[float] = []  # when the packets of the run came: they are counted by `settle`
        self._refused = 0  # of them, by the target's socket
        self._heard_before = 0.0  # when the newest packet before them came
        # How the run's packets start, as _START tells it.
        self._next = _NEVER  # the one that is expected
        self._step = 0  # from one to the next
        self._last = 0  # behind it a number wraps, on either side
        self._shift = 0  # from what is heard to what is said
        self._ssrc = self._out_ssrc = self._size = 0
        self._pace = 0.0  # seconds that one of them lasts
        self._stamp = 0  # of the first one not settled, as heard; and as said:
        self._out_sequence = self._out_stamp = 0
        self._view = self._payload = buffer.packet(0)  # as long as a packet, and as what it carries
        self._codec = PayloadType.PCMU
        self._table: bytes | None = None  # None: the payload stays as it is
        self._prompt: tuple[Tap, ...] = ()
        self._patient: tuple[Tap, ...] = ()
        self._tapped = False  # by any of them
        self._said = bytearray()  # payloads not settled, as heard, for the patient ones
        self._from: RtpLeg | None = None
        self._to: RtpLeg | None = None
        self._out: Outgoing | None = None
        self._sending: Send = _nowhere
        self._reception: Reception | None = None  # of the source whose numbers are mapped
        self._sequences = self._timestamps = 0  # what is added to its numbers
        self._begun = 0  # its extended sequence number since when that holds without a break
        self._late_since = 0.0
        self._event = (-1, 0)  # timestamp of the last key, as heard and as said

    @property
    def heard_at(self) -> float:
        """When the newest packet of a run came, one that was settled too; 0: there was none."""
        return self._times[-1] if self._times else self._heard_before

    @property
    def lasts_until(self) -> float:
        """Until then the run's next packet may come; 0: there is no run."""
        return self.heard_at + self._pace + _PATIENCE if self._next != _NEVER else 0.0

    def pause(self, *, filled: bool = False) -> None:
        """Something else was sent or nothing could be; `filled`: silence in the place of packets that did not come."""
        self.interrupt()
        self.filled = filled

    def interrupt(self) -> None:
        """Something changed on either side: the next packet looks at everything again, and goes on where this was."""
        self.settle()
        self._next = _NEVER

    def forward(self, size: int, now: float) -> bool:
        """Pass on the packet in the buffer; False: it is not the one that was expected, and nothing was done."""
        head, ssrc = _unpack(self._buffer)
        if head != self._next or ssrc != self._ssrc or size != self._size:
            return False
        self._next = head + self._step if head != self._last else _NEVER
        self._times.append(now)
        if self._tapped:
            self._let_hear(head & 0xFFFFFFFF, now)
        if self._table is not None:
            self._payload[:] = bytes(self._payload).translate(self._table)
        _pack(self._buffer, 0, head + self._shift, self._out_ssrc)
        try:
            self._sending(self._view)
        except (OSError, CipherError):
            self._refused += 1
        return True

    def settle(self) -> None:
        """Count the run: both legs' numbers are right then. A new run begins where it ended."""
        times, out, source, target, reception = self._times, self._out, self._from, self._to, self._reception
        if not times or out is None or source is None or target is None or reception is None:
            return
        count, octets = len(times), len(self._payload)
        if self._patient:
            came = min(at - number * self._pace for number, at in enumerate(times))
            heard = self._codec, self._stamp, came, bytes(self._said), octets
            self._said.clear()
            for tap in self._patient:
                tap.heard(heard)
        reception.follow(times, self._stamp, octets)
        source.counters.received += count
        target.counters.sent += count - self._refused
        target.counters.unsent += self._refused
        self._refused = 0
        out.packets += count
        out.octets += count * octets
        self._stamp = self._stamp + count * octets & 0xFFFFFFFF
        out.sequence = self._out_sequence = self._out_sequence + count & 0xFFFF
        out.timestamp = self._out_stamp = self._out_stamp + count * octets & 0xFFFFFFFF
        out.relayed_at = self._heard_before = times[-1]
        times.clear()

    def press(self, key: str) -> None:
        """The source pressed a key: its packets are passed on, and where the target takes none, tones are played."""
        target = self.target.leg
        if target is not None and target.outgoing.event_type is None:
            self.target.press(key)

    def pass_on(self, packet: Packet, now: float, *, late: bool = False) -> None:
        """Pass on a packet that the source's leg has taken, after `settle`, as a new one, or as a `late` one."""
        source, target, sending = self.source.leg, self.target.leg, self.target.way_out()
        reception = None if source is None else source.reception
        if source is None or target is None or reception is None or sending is None:
            self.pause()
            return
        self._from, self._to, self._sending = source, target, sending
        out, codec = target.outgoing, source.assoc[packet.payload_type]
        event = codec not in AUDIO
        if event and out.event_type is None:  # its key is pressed by tones, see RtpSession
            return
        if late:
            if out.relayed_at and self._reception is reception and reception.extended(packet.sequence) >= self._begun:
                self._say(packet, codec, out, marker=packet.marker)
            return
        talkspurt = not out.relayed_at and not event
        if not self._place(packet, reception, out, now, event=event):
            self._next = _NEVER
            return
        if not event:
            target.say_in(codec)
        self._say(packet, codec, out, marker=packet.marker or talkspurt)
        self._next = _NEVER
        self._expect_next(packet, codec, out, now)
        if not event and packet.payload:
            self._begin(packet, codec, out, now)

    def _place(self, packet: Packet, reception: Reception, out: Outgoing, now: float, *, event: bool) -> bool:
        """Map the source's numbers onto the target's stream; False: silence was said in this packet's time."""
        flows = out.relayed_at != 0.0
        known = self._reception is reception and (flows or self.filled)
        gap = packet.sequence + self._sequences - out.sequence & 0xFFFF
        breaks = not known or gap >= (_DROPOUT if flows else _LOST_IN_FILL)
        ahead = _signed(packet.timestamp + self._timestamps - out.timestamp)
        if not (event and packet.timestamp == self._event[0]):  # a key goes on as it began
            if known and not flows and ahead < 0 and not (event or packet.marker or self._stands_still(now)):
                return False
            if not known or (ahead < 0 and (breaks or not flows)) or not _BACK <= ahead < _AHEAD:
                self._timestamps = out.due(now) - packet.timestamp
        if breaks:
            self._sequences = out.sequence - packet.sequence
        if breaks or not flows:
            self._begun = reception.extended(packet.sequence)
        self._reception = reception
        self._late_since = 0.0
        return True

    def _stands_still(self, now: float) -> bool:
        """Whether packets behind their time are no burst of late ones: the source paused its clock with its voice."""
        self._late_since = self._late_since or now
        return now - self._late_since > _GIVE_UP_AFTER

    def _say(self, packet: Packet, codec: PayloadType, out: Outgoing, *, marker: bool) -> None:
        timestamp = packet.timestamp + self._timestamps & 0xFFFFFFFF
        if codec is PayloadType.EVENT:
            kind, payload = out.event_type or 0, packet.payload
            if packet.timestamp == self._event[0]:
                timestamp = self._event[1]
            self._event = packet.timestamp, timestamp
        else:
            kind, payload = out.payload_type, transcode(packet.payload, codec, out.codec)
        sequence = packet.sequence + self._sequences & 0xFFFF
        data = HEADER.pack(PLAIN, kind | (_MARKER if marker else 0), sequence, timestamp, out.ssrc) + payload
        out.packets += 1
        out.octets += len(payload)
        if self._to is None:
            return
        try:
            self._sending(data)
            self._to.counters.sent += 1
        except (OSError, CipherError):
            self._to.counters.unsent += 1

    def _expect_next(self, packet: Packet, codec: PayloadType, out: Outgoing, now: float) -> None:
        began, samples, patience = packet.timestamp + self._timestamps, len(packet.payload), _PATIENCE
        if codec is PayloadType.EVENT:
            began = self._event[1]
            samples = EVENT.unpack_from(packet.payload)[2] if samples >= EVENT.size else 0
        else:
            patience += samples / RATE
        out.sequence = packet.sequence + self._sequences + 1 & 0xFFFF
        if _signed(began + samples - out.timestamp) > 0:
            out.timestamp = began + samples & 0xFFFFFFFF
        out.relayed(now, FRAME if codec is PayloadType.EVENT else samples, patience)

    def _begin(self, packet: Packet, codec: PayloadType, out: Outgoing, now: float) -> None:
        """A run, with the packet after this one."""
        samples, taps = len(packet.payload), self.source.taps
        self._out, self._codec, self._pace = out, codec, samples / RATE
        self._prompt = tuple(tap for tap in taps if tap.prompt)
        self._patient = tuple(tap for tap in taps if not tap.prompt)
        self._tapped = bool(taps)
        self._table = translation(codec, out.codec)
        self._view, self._payload = self._buffer.packet(HEADER.size + samples), self._buffer.payload(samples)
        sequence = packet.sequence + 1 & 0xFFFF
        stamp = out.timestamp - self._timestamps & 0xFFFFFFFF
        self._stamp, self._out_stamp, self._out_sequence = stamp, out.timestamp, out.sequence
        self._next = _head(packet.payload_type, sequence, stamp)
        self._step = _ONE + samples
        left = min(0xFFFF - max(sequence, out.sequence), (0xFFFFFFFF - max(stamp, out.timestamp)) // samples)
        self._last = self._next + left * self._step
        self._shift = _head(out.payload_type, out.sequence, out.timestamp) - self._next
        self._ssrc, self._out_ssrc, self._size = packet.ssrc, out.ssrc, HEADER.size + samples
        self._heard_before = now

    def _let_hear(self, timestamp: int, now: float) -> None:
        """The packet in the buffer: taps get it at once, patient ones when it is settled, with those before it."""
        if self._patient:
            self._said += self._payload
        if self._prompt:
            heard = self._codec, timestamp, now, bytes(self._payload), len(self._payload)
            for tap in self._prompt:
                tap.heard(heard)


def _head(kind: int, sequence: int, timestamp: int) -> int:
    """The first eight bytes of a packet without marker, see _START."""
    return (PLAIN << 8 | kind) << 48 | sequence << 32 | timestamp


def _signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _nowhere(_data: Any) -> None:
    """Nothing is sent before a first packet was looked at."""


_unpack, _pack = _START.unpack_from, _START.pack_into  # once, not with every packet
