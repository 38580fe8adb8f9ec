"""Two bridged legs without sockets, on a clock that a test moves. Knows no beat and no network."""

from itertools import pairwise

from app.media.audio import LegAudio
from app.media.leg import RtpLeg
from app.media.packet import Buffer, Packet, pack, unpack
from app.media.pyvoip import PayloadType
from app.media.relay import Send

PCMU, PCMA, EVENT = PayloadType.PCMU, PayloadType.PCMA, PayloadType.EVENT
FRAME = 0.02


class Nowhere:
    local_host, local_port = "127.0.0.1", 4000

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Side(LegAudio):
    """A leg without sockets, on a clock of its own."""

    def __init__(self, buffer: Buffer, assoc: dict[int, PayloadType]) -> None:
        self.keys: list[str] = []
        super().__init__(buffer, self.keys.append)
        self.sent: list[Packet] = []
        self.holds = self.refuses = False
        self.heard_at = 0.0
        self.expected = 0  # packets that were passed on without a closer look
        self.leg = RtpLeg(Nowhere(), assoc, "192.0.2.9", 5000, dtmf=self.hear_key)
        self._sequence, self._timestamp, self.ssrc = 65_530, 0xFFFF_FF00, 7

    def heard(self, at: float) -> None:
        self.heard_at = at

    def way_out(self) -> Send | None:
        return None if self.holds or self.voice.busy else self._send

    def _send(self, data: bytes) -> None:
        if self.refuses:
            raise ConnectionRefusedError
        packet = unpack(bytes(data))
        assert packet is not None
        self.sent.append(packet)

    def next(self, payload: bytes = b"\x20" * 160, kind: int = 0, *, marker: bool = False) -> Packet:
        """The next packet that this side's peer makes."""
        packet = Packet(kind, marker, self._sequence, self._timestamp, self.ssrc, payload)
        self.lose(timestamp=len(payload))
        return packet

    def lose(self, count: int = 1, timestamp: int = 160) -> None:
        self._sequence = self._sequence + count & 0xFFFF
        self._timestamp = self._timestamp + count * timestamp & 0xFFFFFFFF

    def say(self, packet: Packet, now: float) -> None:
        """The peer's packet arrives."""
        data = pack(packet)
        self._buffer[: len(data)] = data
        if self.outflow is not None and self.outflow.forward(len(data), now):
            self.expected += 1
        else:
            assert self.leg is not None
            self.hear(self.leg, packet, now)

    def beat(self, now: float) -> None:
        assert self.leg is not None
        if self.holds:
            self.leg.outgoing.skip(1)
            return
        for _ in range(self.owed(now, 1)):
            self._send(bytes(self.voice.frame(self.leg.outgoing)))


class Call:
    """Two sides whose beat falls 7 ms after the packets of the first one."""

    def __init__(self, a: dict[int, PayloadType], b: dict[int, PayloadType]) -> None:
        buffer = Buffer(2048)
        self.a, self.b = Side(buffer, a), Side(buffer, b)
        self.now = 100.0
        self.a.bridge(self.b)

    def run(self, frames: int, *, silent: bool = False) -> None:
        for _ in range(frames):
            if not silent:
                self.a.say(self.a.next(), self.now)
            self.b.beat(self.now + 0.007)
            self.now += FRAME


def steps(packets: list[Packet]) -> list[tuple[int, int]]:
    """How far sequence number and timestamp go from each packet to the next."""
    return [
        ((b.sequence - a.sequence) & 0xFFFF, (b.timestamp - a.timestamp) & 0xFFFFFFFF) for a, b in pairwise(packets)
    ]
