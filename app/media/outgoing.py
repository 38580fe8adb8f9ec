"""The stream that we send: one packet per 20 ms frame, of given audio, a key press or comfort silence.

While a bridge relays into it, the relay numbers the packets and this goes on from there. Knows no socket and no peer.
"""

import secrets
from typing import Final

from app.media.codec import FRAME, RATE, SILENCE, encode, transcode
from app.media.dtmf import KeySender
from app.media.packet import HEADER, PLAIN
from app.media.pyvoip import PayloadType

LIMIT: Final = RATE  # samples that may wait to be sent
_MARKER: Final = 0x80
_FRAME_SECONDS: Final = FRAME / RATE


class Outgoing:
    """Sequence number, timestamp and SSRC start at random (RFC 3550 §5.1); the SSRC stays for the leg's life."""

    __slots__ = (
        "_keys",
        "_marker",
        "_packet",
        "_relayed",
        "_samples",
        "_silence",
        "codec",
        "event_type",
        "octets",
        "packets",
        "patience",
        "payload_type",
        "relayed_at",
        "sequence",
        "ssrc",
        "timestamp",
    )

    def __init__(self) -> None:
        chance = secrets.randbits(80)  # one system call, not three
        self.ssrc = chance & 0xFFFFFFFF
        self.timestamp = chance >> 48  # of the next packet, as is `sequence`
        self.sequence = chance >> 32 & 0x7FFF  # SRTP wants room before the first wrap (RFC 3711 §3.3.1)
        self.packets = 0  # sent, as a sender report counts them
        self.octets = 0
        self._keys = KeySender()
        self.relayed_at = 0.0  # when a bridge sent the last packet; 0: the last one was ours
        self.patience = 0.0  # seconds after `relayed_at` in which the bridge's next packet may still come
        self._relayed = FRAME  # samples of that packet
        self._samples = bytearray()  # G.711 of the codec in use
        self._packet = bytearray(HEADER.size + FRAME)  # one buffer for all: the kernel copies it
        self._marker = _MARKER
        self.codec = PayloadType.PCMU
        self.event_type: int | None = None
        self.use(self.codec, 0, None)

    def use(self, codec: PayloadType, payload_type: int, event_type: int | None) -> None:
        """Send with this codec and these payload type numbers from the next frame on."""
        if self._samples:
            self._samples[:] = transcode(bytes(self._samples), self.codec, codec)
        self.codec = codec
        self.payload_type = payload_type  # of audio
        self.event_type = event_type
        self._silence = bytes((SILENCE[codec],)) * FRAME

    def give(self, linear: bytes) -> int:
        """Queue 16-bit audio, as much as there is room for; returns how many samples that was."""
        taken = encode(self.codec, linear[: 2 * self.room])
        self._samples += taken
        return len(taken)

    @property
    def room(self) -> int:
        """How many samples `give` would take: one second may wait in all."""
        return max(0, LIMIT - len(self._samples))

    def press(self, key: str, duration: int) -> bool:
        """Queue a key press; False when the peer takes no telephone events or too many wait."""
        if self.event_type is None:
            return False
        return self._keys.press(key, duration)

    @property
    def pressing(self) -> bool:
        """Whether a key is being sent or waits, so that a frame is not for audio."""
        return bool(self._keys)

    def frame(self, audio: bytes | None = None) -> bytearray | bytes:
        """The next 20 ms as a packet: `audio` (G.711, at most a frame) or what waits. Use it before the next call."""
        if self._keys and (event := self._event()) is not None:
            return event
        packet = self._packet
        HEADER.pack_into(packet, 0, PLAIN, self.payload_type | self._marker, self.sequence, self.timestamp, self.ssrc)
        if audio is None:
            audio = self._waiting() if self._samples else self._silence
        packet[12:] = audio if len(audio) == FRAME else audio + self._silence[len(audio) :]
        self._marker = 0
        self._sent(FRAME)
        return packet

    def skip(self, frames: int) -> None:
        """Time passed in which nothing was sent: the timestamp goes on, the next packet is marked (RFC 3551 §4.1)."""
        self.timestamp = (self.timestamp + frames * FRAME) & 0xFFFFFFFF
        self._marker = _MARKER
        self.relayed_at = 0.0
        self._keys.clear()

    def relayed(self, now: float, samples: int, patience: float) -> None:
        """A bridge has sent `samples` and set the numbers; its next packet may come `patience` seconds later."""
        self.relayed_at, self._relayed, self.patience = now, samples, patience

    def due(self, now: float) -> int:
        """The timestamp of what is sent now, after a relayed packet: that one's, and the frames that have passed."""
        if not self.relayed_at:
            return self.timestamp
        passed = int((now - self.relayed_at) / _FRAME_SECONDS + 0.5) * FRAME - self._relayed
        return (self.timestamp + max(0, passed)) & 0xFFFFFFFF

    def take_over(self, now: float) -> bool:
        """Go on from the last relayed packet; False: that one is still being heard, wait for the next beat."""
        passed = now - self.relayed_at + _FRAME_SECONDS / 2  # the nearest frame: no drift whichever way it goes
        if passed * RATE < self._relayed:
            return False
        self.timestamp = self.due(now)
        self.relayed_at = 0.0
        self._marker = _MARKER
        return True

    def clock(self, now: float) -> int:
        """The stream's timestamp at `now`, for a sender report: between two relayed packets time goes on."""
        since = int((now - self.relayed_at) * RATE) if self.relayed_at else 0
        return (self.timestamp + since) & 0xFFFFFFFF

    def _waiting(self) -> bytes:
        samples = bytes(self._samples[:FRAME])
        del self._samples[:FRAME]
        return samples

    def _event(self) -> bytes | None:
        if self.event_type is None:  # negotiated away while keys waited
            self._keys.clear()
            return None
        event = self._keys.next(self.timestamp, FRAME)
        if event is None:
            return None
        first, timestamp, payload = event
        second = self.event_type | (_MARKER if first else 0)
        packet = HEADER.pack(PLAIN, second, self.sequence, timestamp, self.ssrc) + payload
        self._sent(len(payload))
        return packet

    def _sent(self, octets: int) -> None:
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + FRAME) & 0xFFFFFFFF
        self.packets += 1
        self.octets += octets
