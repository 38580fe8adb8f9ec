"""What is said on one leg, heard on it and passed on to another: app.calls.audio.Audio. Knows no socket."""

from abc import abstractmethod
from collections.abc import Callable

from app.calls.audio import Audio, Pcm, Playback
from app.media.bridge import join, part
from app.media.codec import AUDIO
from app.media.inband import Ear
from app.media.leg import RtpLeg
from app.media.packet import Buffer, Packet
from app.media.player import Voice
from app.media.reception import Verdict
from app.media.relay import Relay, Send
from app.media.tap import Heard, Tap


class LegAudio(Audio):
    """From the leg's making to `end`; before `leg` is set, what is played waits, and while the peer holds.

    `buffer` is where packets lie that are passed on; `dtmf` is told each telephone event once.
    """

    __slots__ = (
        "_buffer",
        "_dtmf",
        "_ear",
        "_sends_events",
        "inflow",
        "leg",
        "on_tone",
        "outflow",
        "rests_until",
        "stopped",
        "taps",
        "voice",
    )

    def __init__(self, buffer: Buffer, dtmf: Callable[[str], None] | None) -> None:
        self.on_tone: Callable[[str], None] | None = None  # each key heard as a tone, see `listen_for_tones`
        self.leg: RtpLeg | None = None
        self.inflow: Relay | None = None  # what a bridge sends on this leg
        self.outflow: Relay | None = None  # what it takes from this leg
        self.taps: tuple[Tap, ...] = ()
        self.stopped = False
        self.rests_until = 0.0  # no beat is wanted until then: a bridge sends
        self.voice = Voice()
        self._buffer = buffer
        self._dtmf = dtmf
        self._ear: Ear | None = None
        self._sends_events = False  # the peer: it needs no ear for its tones

    # -- app.calls.audio.Audio

    def play(self, sound: Pcm, *, times: int = 1) -> Playback:
        self.interrupt()
        return self.voice.play(sound, times)

    def press(self, keys: str) -> Playback:
        """Raises ValueError for what is no key."""
        self.interrupt()
        return self.voice.press(keys)

    @property
    def has_events(self) -> bool:
        return self.leg is not None and self.leg.outgoing.event_type is not None

    def listen_for_tones(self, on: bool) -> None:
        if not on or self._sends_events or self.stopped:
            if self._ear is not None:
                self.untap(self._ear)
            self._ear = None
        elif self._ear is None:
            self._ear = Ear(self._hear_tone)
            self.tap(self._ear)

    def bridge(self, other: Audio) -> None:
        join(self, _leg(other), self._buffer, both=True)

    def overhear(self, other: Audio) -> None:
        join(self, _leg(other), self._buffer, both=False)

    def part(self) -> None:
        part(self)

    # -- for recordings and bridges

    def tap(self, tap: Tap) -> None:
        """Let `tap` hear what the peer says, until `untap` or the leg's end."""
        self.taps = (*self.taps, tap)
        self.interrupt()

    def untap(self, tap: Tap) -> None:
        """Safe to call twice."""
        self.taps = tuple(other for other in self.taps if other is not tap)
        self.interrupt()

    @abstractmethod
    def heard(self, at: float) -> None:
        """A bridge, which keeps the times of its packets itself, heard the peer then; 0: it never did."""

    @abstractmethod
    def way_out(self) -> Send | None:
        """How a bridge sends to the peer; None: nothing may be sent now, or something is being played."""

    # -- for the sockets

    def interrupt(self) -> None:
        """Something changed: no bridge goes on without looking."""
        self.rests_until = 0.0
        if self.inflow is not None:
            self.inflow.interrupt()
        if self.outflow is not None:
            self.outflow.interrupt()

    def settle(self) -> None:
        """Make this leg's numbers right: a bridge counts packets by the run."""
        if self.inflow is not None:
            self.inflow.settle()
        if self.outflow is not None:
            self.outflow.settle()

    def owed(self, now: float, frames: int) -> int:
        """How many of these frames are to be sent by the beat, and not by a bridge."""
        relay = self.inflow
        if relay is not None:
            relay.settle()
        if self.leg is None or not self.leg.outgoing.relayed_at:
            return frames
        out = self.leg.outgoing
        if relay is not None and not self.voice.busy and (frames > 1 or now - out.relayed_at < out.patience):
            return 0  # several beats at once: this process was held up, and packets may lie in the socket's queue
        if relay is not None:
            relay.pause(filled=not self.voice.busy)
        return int(out.take_over(now))

    def hear(self, leg: RtpLeg, packet: Packet, now: float) -> None:
        """Take a packet of the peer."""
        if self.outflow is not None:
            self.outflow.settle()
        verdict = leg.hear(packet, now, keep=self.outflow is None)
        if verdict is not Verdict.NEW and verdict is not Verdict.LATE:
            return
        codec = leg.assoc[packet.payload_type]
        if codec in AUDIO:
            heard: Heard = codec, packet.timestamp, now, packet.payload, len(packet.payload)
            for tap in self.taps:
                tap.heard(heard)
        if self.outflow is not None:
            self.outflow.pass_on(packet, now, late=verdict is Verdict.LATE)

    def hear_key(self, key: str) -> None:
        """The peer sent a telephone event; a bridge passes it on as such, or as tones to whom takes none."""
        self._sends_events = True
        self.listen_for_tones(False)
        if self.outflow is not None:
            self.outflow.press(key)
        if self._dtmf is not None:
            self._dtmf(key)

    def end(self) -> None:
        """The leg ended: nobody hears it, nothing is played, and no cycle is left for the collector."""
        self.stopped = True
        self.part()
        self.voice.close()
        self.leg = self._dtmf = self.on_tone = self._ear = None
        taps, self.taps = self.taps, ()
        for tap in taps:
            tap.ended()

    def _hear_tone(self, key: str) -> None:
        if self.on_tone is not None:
            self.on_tone(key)


def _leg(audio: Audio) -> LegAudio:
    if not isinstance(audio, LegAudio):
        raise TypeError("only legs of one pool hear each other")
    return audio
