"""The media half of a telephone that talks: one RTP socket, what it says, what it heard; and sounds to compare."""

import asyncio
import secrets
import struct
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.media.codec import decode, encode
from app.media.pyvoip import PayloadType

RATE = 8000
FRAME = 160
KEYS = "0123456789*#ABCD"
PATIENCE = 15.0  # seconds until a test gives up
_LAWS = {0: PayloadType.PCMU, 8: PayloadType.PCMA}
_HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class Heard:
    """One RTP packet."""

    at: float
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class Ear(asyncio.DatagramProtocol):
    """One RTP socket: speaks 20 ms a packet on a steady clock, silence when there is nothing to say."""

    def __init__(self, payload_type: int, event_type: int | None = 101) -> None:
        self.payload_type = payload_type
        self.event_type = event_type
        self.packets: list[Heard] = []
        self.sent_at: dict[int, float] = {}  # by sequence number
        self.remote: tuple[str, int] | None = None
        self.mute = False  # nothing is sent at all
        self.period = 0.02  # seconds a packet, by this telephone's clock: another figure is a clock that is wrong
        self.held_up = 0.0  # seconds that this telephone was late at worst: then what is heard proves nothing
        self._queue = bytearray()  # G.711
        self._keys: list[tuple[int, int]] = []  # event code, packets left
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._ssrc = secrets.randbits(32)
        self._event_at = 0
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self.port = 0

    async def open(self) -> "Ear":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()

    def start(self, remote: tuple[str, int]) -> None:
        self.remote = remote
        if self._task is None:
            self._task = asyncio.ensure_future(self._speak())

    def say(self, samples: NDArray[np.int16]) -> None:
        """16-bit audio, after what waits already."""
        self._queue += encode(_LAWS[self.payload_type], samples.astype("<i2").tobytes())

    async def said(self) -> None:
        """Until everything has been said."""
        async with asyncio.timeout(600):
            while self._queue or self._keys:
                await asyncio.sleep(0.02)

    def press(self, keys: str) -> None:
        """RFC 4733 events of 100 ms."""
        self._keys += [(KEYS.index(key), 8) for key in keys]

    def audio(self) -> NDArray[np.int16]:
        """What was heard, in the order of its timestamps, silence where nothing came."""
        voice = [one for one in self.packets if one.payload_type in _LAWS]
        if not voice:
            return np.zeros(0, np.int16)
        first = voice[0].timestamp
        out = np.zeros(((voice[-1].timestamp - first) & 0xFFFFFFFF) + FRAME, np.int16)
        for one in voice:
            at = (one.timestamp - first) & 0xFFFFFFFF
            samples = np.frombuffer(decode(_LAWS[one.payload_type], one.payload), "<i2")
            if at + len(samples) <= len(out):
                out[at : at + len(samples)] = samples
        return out

    def keys(self) -> str:
        """The keys that were heard as events, each press once."""
        seen: dict[int, int] = {}
        for one in self.packets:
            if one.payload_type == self.event_type:
                seen.setdefault(one.timestamp, one.payload[0])
        return "".join(KEYS[event] for event in seen.values())

    async def hears(self, seconds: float) -> None:
        """Until so much more has come."""
        count = len(self.packets) + round(seconds * 50)
        async with asyncio.timeout(seconds * 3 + PATIENCE):
            while len(self.packets) < count:
                await asyncio.sleep(0.02)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < _HEADER.size:
            return
        _, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        self.packets.append(
            Heard(time.monotonic(), second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[12:])
        )

    async def _speak(self) -> None:
        due = time.monotonic()
        while True:
            due += self.period
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.held_up = max(self.held_up, time.monotonic() - due)
            if not self.mute:
                self._send()
            self._timestamp = (self._timestamp + FRAME) & 0xFFFFFFFF

    def _send(self) -> None:
        if self._keys and self.event_type is not None:
            self._send_key()
            return
        law = _LAWS[self.payload_type]
        silence = b"\xff" if law is PayloadType.PCMU else b"\xd5"
        frame, self._queue = bytes(self._queue[:FRAME]), self._queue[FRAME:]
        self._packet(self.payload_type, self._timestamp, frame.ljust(FRAME, silence))

    def _send_key(self) -> None:
        event, left = self._keys[0]
        if left == 8:
            self._event_at = self._timestamp
        elapsed = (9 - left if left > 3 else 6) * FRAME
        end = 0x80 if left <= 3 else 0
        marker = 0x80 if left == 8 else 0
        payload = struct.pack("!BBH", event, end | 10, elapsed)
        self._packet((self.event_type or 0) | marker, self._event_at, payload)
        self._keys[0] = (event, left - 1)
        if left == 1:
            self._keys.pop(0)
            self._queue[:0] = b"\xff" * FRAME * 4 if self.payload_type == 0 else b"\xd5" * FRAME * 4

    def _packet(self, second: int, timestamp: int, payload: bytes) -> None:
        if self.remote is None or self._transport is None:
            return
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.sent_at[self._sequence] = time.monotonic()
        self._transport.sendto(_HEADER.pack(0x80, second, self._sequence, timestamp, self._ssrc) + payload, self.remote)


def tone(frequency: float, seconds: float, level: float = 8000) -> NDArray[np.int16]:
    """A sine, its edges softened."""
    count = round(seconds * RATE)
    wave = level * np.sin(2 * np.pi * frequency * np.arange(count) / RATE)
    edge = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 80)
    return (wave * edge).astype(np.int16)


def find(needle: NDArray[np.int16], haystack: NDArray[np.int16]) -> tuple[int, float]:
    """Where `needle` is most alike in `haystack`, and how much (1: the same but for its level)."""
    if len(haystack) < len(needle):
        return 0, 0.0
    a, b = needle.astype(float), haystack.astype(float)
    size = 1 << (len(a) + len(b)).bit_length()
    product = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)[: len(b) - len(a) + 1]
    sums = np.concatenate(([0.0], np.cumsum(b * b)))
    whole = np.sum(a * a)
    energy = np.sqrt(np.maximum(sums[len(a) :] - sums[: -len(a)], whole / 1000) * whole)  # near silence is not alike
    alike = product / energy
    at = int(np.argmax(alike))
    return at, float(alike[at])


def snr(source: NDArray[np.int16], heard: NDArray[np.int16]) -> float:
    """Signal to noise in dB, of `heard` against `source`, both as long and aligned."""
    noise = heard.astype(float) - source.astype(float)
    return float(10 * np.log10(np.sum(source.astype(float) ** 2) / max(1e-9, np.sum(noise**2))))
