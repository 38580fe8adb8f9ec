"""RtpLeg, pyVoIP's RTPClient without threads: what is heard and said on one leg. Knows no socket and no signalling.

Kept and executed: the constructor (which chooses the codec), `parse_packet` and `parse_telephone_event` for keys, the
names `read` and `write`. Replaced: buffers that grow for ever, 8-bit audio, PCMA sent as µ-law, sockets and threads.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from app.media.codec import AUDIO, FRAME, RATE
from app.media.counters import Counters
from app.media.dtmf import KeyListener
from app.media.outgoing import Outgoing
from app.media.packet import Packet, pack
from app.media.playout import Playout
from app.media.pyvoip import PayloadType, RTPClient, TransmitType
from app.media.reception import Reception, Verdict

_CATCH_UP: Final = 5  # frames: a jitter buffer takes 100 ms at once; after a longer stall the stream skips

Assoc = Mapping[int, PayloadType]


class Sockets(Protocol):
    """What a leg needs of its sockets: pyVoIP's VoIPCall starts and stops its RTPClients."""

    local_host: str
    local_port: int

    def start(self) -> None: ...

    def stop(self) -> None: ...


class RtpLeg(RTPClient):
    """One leg's audio and keys, as negotiated: payload type number → codec.

    The first audio codec and the first telephone-event number of `assoc` are sent, all of them are received.
    """

    def __init__(
        self,
        session: Sockets,
        assoc: Assoc,
        address: str,
        port: int,
        *,
        dtmf: Callable[[str], None] | None = None,
        counters: Counters | None = None,
    ) -> None:
        super().__init__(
            _usable(assoc), session.local_host, session.local_port, address, port, TransmitType.SENDRECV, dtmf
        )
        for replaced in ("pmin", "pmout", "outOffset", "outSequence", "outTimestamp", "outSSRC"):
            delattr(self, replaced)  # whoever relied on them must fail loudly
        self.counters = counters or Counters()
        self.outgoing = Outgoing()
        self.reception: Reception | None = None
        self._session = session
        self._playout = Playout()
        self._keys = KeyListener()
        self.negotiate(assoc)

    def negotiate(self, assoc: Assoc) -> None:
        """Send and receive by `assoc` from now on; raises ValueError when it has neither PCMU nor PCMA."""
        usable = _usable(assoc)
        number, codec = next((number, codec) for number, codec in usable.items() if codec in AUDIO)
        events = (number for number, codec in usable.items() if codec is PayloadType.EVENT)
        self.assoc = usable
        self.preference = codec
        self.outgoing.use(codec, number, next(events, None))

    def start(self) -> None:
        """Begin to read and send."""
        self._session.start()

    def stop(self) -> None:
        """End of media: the ports go back."""
        self.NSD = False
        self._session.stop()

    def read(self, length: int = FRAME, blocking: bool = True) -> bytes:
        """The next `length` samples heard, 2 bytes each (16 bit, little-endian, 8 kHz); silence where none came.

        What a bridge passes on is not kept for this. Never waits, whatever `blocking` says: it runs on the event loop.
        """
        return self._playout.read(length)

    def write(self, data: bytes) -> None:
        """Say this 16-bit audio after what waits already; what exceeds one second in all is dropped (see `room`)."""
        self.outgoing.give(data)

    @property
    def room(self) -> int:
        """How many samples `write` would take now."""
        return self.outgoing.room

    def send_digit(self, key: str, *, milliseconds: int = 160) -> bool:
        """Press a key (RFC 4733); False when the peer takes no events. Raises ValueError for what is no key."""
        return self.outgoing.press(key, milliseconds * RATE // 1000)

    def due(self, frames: int) -> int:
        """How many packets `outgoing` owes after `frames` beats: one each, but five at most; the rest is skipped."""
        if frames > _CATCH_UP:
            self.outgoing.skip(frames - _CATCH_UP)
            return _CATCH_UP
        return frames

    def say_in(self, codec: PayloadType) -> bool:
        """Send with `codec` from now on, if the peer takes it: a bridge need not transcode then."""
        if codec is not self.outgoing.codec:
            number = next((number for number, takes in self.assoc.items() if takes is codec), None)
            if number is None:
                return False
            self.outgoing.use(codec, number, self.outgoing.event_type)
        return True

    def hear(self, packet: Packet, now: float, *, keep: bool = True) -> Verdict | None:
        """Take a packet of the peer; `now` in seconds. NEW and LATE ones are fit to be passed on.

        `keep` False: nobody will `read` it.
        """
        codec = self.assoc.get(packet.payload_type)
        if codec is None:
            self.counters.unknown_type += 1
            return None
        reception = self.reception
        if reception is None or reception.ssrc != packet.ssrc:
            reception = self.reception = Reception(packet.ssrc)
            self._keys = KeyListener()
        verdict = reception.accept(packet.sequence)
        if not self._fresh(verdict):
            return verdict
        self.counters.received += 1
        if codec is PayloadType.EVENT:
            self._hear_key(packet)
            return verdict
        reception.arrived(packet.timestamp, now * RATE)
        if keep:
            self._playout.put(codec, packet.timestamp, packet.payload)
        return verdict

    def _fresh(self, verdict: Verdict) -> bool:
        if verdict is Verdict.NEW:
            return True
        if verdict is Verdict.LATE:
            self.counters.late += 1
            return True
        if verdict is Verdict.DUPLICATE:
            self.counters.duplicates += 1
        else:
            self.counters.jumps += 1
        return False

    def _hear_key(self, packet: Packet) -> None:
        """A press is reported once, by pyVoIP: it reports packets with a marker, which the first may have lost."""
        if self._keys.hear(packet.timestamp, packet.payload):
            self.counters.keys += 1
            self.parse_packet(pack(packet._replace(marker=True)))


def _usable(assoc: Assoc) -> dict[int, PayloadType]:
    usable = {number: codec for number, codec in assoc.items() if codec in AUDIO or codec is PayloadType.EVENT}
    if not any(codec in AUDIO for codec in usable.values()):
        raise ValueError("neither PCMU nor PCMA was negotiated")
    return usable
