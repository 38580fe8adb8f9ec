"""One direction of a bridge: what one leg hears goes out at once in the other one's stream. Knows no socket.

The target sees one SSRC, and numbers that go on across comfort silence, relayed packets and played sounds. What the
source lost stays lost to be seen. Measured: 1 µs a packet on top of what the sockets cost.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from app.media.codec import AUDIO, FRAME, RATE, transcode, translation
from app.media.dtmf import EVENT
from app.media.leg import RtpLeg
from app.media.outgoing import Outgoing
from app.media.packet import HEADER, PLAIN, Packet
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
_NEVER: Final = -1

Send = Callable[[Any], object]  # raises OSError or CipherError


class End(Protocol):
    """One of the two legs: it hears one other leg at most, and is heard by one at most."""

    stopped: bool
    leg: RtpLeg | None  # None: no media yet, or no more
    inflow: "Relay | None"
    outflow: "Relay | None"
    taps: tuple[Tap, ...]
    relayed_until: float  # the bridge's next packet may come until then; 0: look at once

    def press(self, keys: str) -> object:
        """Press keys on this leg."""

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
        "_heard_type",
        "_late_since",
        "_out",
        "_out_sequence",
        "_out_ssrc",
        "_out_stamp",
        "_patience",
        "_reception",
        "_refused",
        "_sending",
        "_sequence",
        "_sequences",
        "_size",
        "_ssrc",
        "_stamp",
        "_table",
        "_taps",
        "_times",
        "_timestamps",
        "_to",
        "_type",
        "_view",
        "filled",
        "source",
        "target",
    )

    def __init__(self, source: End, target: End, buffer: bytearray) -> None:
        self.source = source
        self.target = target
        self.filled = False  # silence took the place of packets that did not come
        self._buffer = buffer
        self._times: list[float] = []  # when the packets of the run came: they are counted by `settle`
        self._refused = 0  # of them, by the target's socket
        self._heard_before = 0.0  # when the newest packet of the runs before came
        # The run's first packet, as it is expected and as it becomes.
        self._sequence = self._stamp = self._ssrc = self._size = 0
        self._heard_type = _NEVER  # nothing is expected
        self._out_sequence = self._out_stamp = self._out_ssrc = self._type = 0
        self._view = memoryview(buffer)  # as long as a packet
        self._codec = PayloadType.PCMU
        self._table: bytes | None = None  # None: the payload stays as it is
        self._taps: tuple[Tap, ...] = ()
        self._from: RtpLeg | None = None
        self._to: RtpLeg | None = None
        self._out: Outgoing | None = None
        self._patience = 0.0
        self._sending: Send | None = None
        self._reception: Reception | None = None  # of the source whose numbers are mapped
        self._sequences = self._timestamps = 0  # what is added to its numbers
        self._begun = 0  # its extended sequence number since when that holds without a break
        self._late_since = 0.0
        self._event = (_NEVER, 0)  # timestamp of the last key, as heard and as said

    @property
    def heard_at(self) -> float:
        """When the newest packet of a run came, one that was settled too; 0: there was none."""
        return self._times[-1] if self._times else self._heard_before

    def pause(self, *, filled: bool = False) -> None:
        """Something else was sent or nothing could be; `filled`: silence in the place of packets that did not come."""
        self.settle()
        self._heard_type = _NEVER
        self.filled = filled

    def interrupt(self) -> None:
        """Something changed on either side: the next packet looks at everything again, and goes on where this was."""
        self.settle()
        self._heard_type = _NEVER

    def forward(self, size: int, now: float) -> bool:
        """Pass on the packet in the buffer; False: it is not the one that was expected, and nothing was done.

        Only what differs from packet to packet is touched: with hundreds of calls every object is a cache miss.
        """
        first, second, sequence, timestamp, ssrc = _unpack(self._buffer)
        times = self._times
        run = len(times)
        passed = run * (size - 12)
        if (
            second != self._heard_type
            or sequence != self._sequence + run & 0xFFFF
            or timestamp != self._stamp + passed & 0xFFFFFFFF
            or ssrc != self._ssrc
            or size != self._size
            or first != PLAIN
            or (sending := self._sending) is None
        ):
            return False
        times.append(now)
        for tap in self._taps:
            tap.heard((self._codec, timestamp, now, bytes(self._view[12:])))
        if self._table is not None:
            self._buffer[12:size] = self._buffer[12:size].translate(self._table)
        _pack_into(
            self._buffer,
            0,
            PLAIN,
            self._type,
            self._out_sequence + run & 0xFFFF,
            self._out_stamp + passed & 0xFFFFFFFF,
            self._out_ssrc,
        )
        self.target.relayed_until = now + self._patience
        try:
            sending(self._view)
        except (OSError, CipherError):
            self._refused += 1
        return True

    def settle(self) -> None:
        """Count the run: both legs' numbers are right then. A new run begins where it ended."""
        times, out, source, target, reception = self._times, self._out, self._from, self._to, self._reception
        if not times or out is None or source is None or target is None or reception is None:
            return
        run, octets = len(times), self._size - 12
        reception.follow(times, self._stamp, octets)
        source.counters.received += run
        target.counters.sent += run - self._refused
        target.counters.unsent += self._refused
        out.packets += run
        out.octets += run * octets
        self._sequence = self._sequence + run & 0xFFFF
        self._stamp = self._stamp + run * octets & 0xFFFFFFFF
        out.sequence = self._out_sequence = self._out_sequence + run & 0xFFFF
        out.timestamp = self._out_stamp = self._out_stamp + run * octets & 0xFFFFFFFF
        out.relayed_at = self._heard_before = times[-1]
        self._refused = 0
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
            self._heard_type = _NEVER
            return
        if not event:
            target.say_in(codec)
        self._say(packet, codec, out, marker=packet.marker or talkspurt)
        self._expect_next(packet, codec, out, now)

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
        if self._to is None or self._sending is None:
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
        self._heard_type = _NEVER
        if codec is PayloadType.EVENT:
            out.relayed(now, FRAME, patience)
            return
        out.relayed(now, samples, patience)
        self.target.relayed_until = now + patience
        self._patience = patience
        self._out, self._taps = out, self.source.taps
        self._sequence, self._stamp, self._ssrc = packet.sequence + 1, out.timestamp - self._timestamps, packet.ssrc
        self._out_sequence, self._out_stamp, self._out_ssrc = out.sequence, out.timestamp, out.ssrc
        self._heard_type, self._type, self._codec = packet.payload_type, out.payload_type, codec
        self._table = translation(codec, out.codec)
        self._size = HEADER.size + samples
        self._view = memoryview(self._buffer)[: self._size]


def _signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


_unpack = HEADER.unpack_from  # once, not with every packet
_pack_into = HEADER.pack_into
