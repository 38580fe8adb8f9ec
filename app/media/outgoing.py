"""The stream that we send: one packet per 20 ms frame, of given audio, a key press or comfort silence.

Knows no socket, no peer and no clock.
"""

import secrets
from typing import Final

from app.media.codec import FRAME, RATE, SILENCE, encode, transcode
from app.media.dtmf import KeySender
from app.media.packet import HEADER, PLAIN
from app.media.pyvoip import PayloadType

LIMIT: Final = RATE  # samples that may wait to be sent
_MARKER: Final = 0x80


class Outgoing:
    """Sequence number, timestamp and SSRC start at random (RFC 3550 §5.1); the SSRC stays for the leg's life."""

    __slots__ = (
        "_codec",
        "_event_type",
        "_keys",
        "_marker",
        "_packet",
        "_payload_type",
        "_samples",
        "_sequence",
        "_silence",
        "octets",
        "packets",
        "ssrc",
        "timestamp",
    )

    def __init__(self) -> None:
        chance = secrets.randbits(80)  # one system call, not three
        self.ssrc = chance & 0xFFFFFFFF
        self.timestamp = chance >> 48
        self.packets = 0  # sent, as a sender report counts them
        self.octets = 0
        self._keys = KeySender()
        self._sequence = chance >> 32 & 0x7FFF  # SRTP wants room before the first wrap (RFC 3711 §3.3.1)
        self._samples = bytearray()  # G.711 of the codec in use
        self._packet = bytearray(HEADER.size + FRAME)  # one buffer for all: the kernel copies it
        self._marker = _MARKER
        self._codec = PayloadType.PCMU
        self.use(self._codec, 0, None)

    def use(self, codec: PayloadType, payload_type: int, event_type: int | None) -> None:
        """Send with this codec and these payload type numbers from the next frame on."""
        if self._samples:
            self._samples[:] = transcode(bytes(self._samples), self._codec, codec)
        self._codec = codec
        self._payload_type = payload_type
        self._event_type = event_type
        self._silence = bytes((SILENCE[codec],)) * FRAME

    def give(self, linear: bytes) -> int:
        """Queue 16-bit audio, as much as there is room for; returns how many samples that was."""
        taken = encode(self._codec, linear[: 2 * self.room])
        self._samples += taken
        return len(taken)

    @property
    def room(self) -> int:
        """How many samples `give` would take: one second may wait in all."""
        return max(0, LIMIT - len(self._samples))

    def press(self, key: str, duration: int) -> bool:
        """Queue a key press; False when the peer takes no telephone events or too many wait."""
        if self._event_type is None:
            return False
        return self._keys.press(key, duration)

    def frame(self) -> bytearray | bytes:
        """The next 20 ms as a packet; use it before the next call."""
        if self._keys and (event := self._event()) is not None:
            return event
        packet = self._packet
        HEADER.pack_into(packet, 0, PLAIN, self._payload_type | self._marker, self._sequence, self.timestamp, self.ssrc)
        packet[12:] = self._audio() if self._samples else self._silence
        self._marker = 0
        self._sent(FRAME)
        return packet

    def skip(self, frames: int) -> None:
        """Time passed in which nothing was sent: the timestamp goes on, the next packet is marked (RFC 3551 §4.1)."""
        self.timestamp = (self.timestamp + frames * FRAME) & 0xFFFFFFFF
        self._marker = _MARKER
        self._keys.clear()

    def _audio(self) -> bytes:
        samples = bytes(self._samples[:FRAME])
        del self._samples[:FRAME]
        return samples + self._silence[len(samples) :]

    def _event(self) -> bytes | None:
        if self._event_type is None:  # negotiated away while keys waited
            self._keys.clear()
            return None
        event = self._keys.next(self.timestamp, FRAME)
        if event is None:
            return None
        first, timestamp, payload = event
        second = self._event_type | (_MARKER if first else 0)
        packet = HEADER.pack(PLAIN, second, self._sequence, timestamp, self.ssrc) + payload
        self._sent(len(payload))
        return packet

    def _sent(self, octets: int) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + FRAME) & 0xFFFFFFFF
        self.packets += 1
        self.octets += octets
