"""What is said on one leg: sounds one after the other, and keys before them. Knows no packet, no peer and no clock.

Encoded a second at a time, when it is due: 15 µs of numpy each, where an hour at once would stop the loop for 50 ms.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Final

from app.calls.audio import Pcm
from app.media import tones
from app.media.codec import FRAME, RATE, encode
from app.media.dtmf import KEYS
from app.media.outgoing import Outgoing
from app.media.pyvoip import PayloadType

_KEY: Final = 160 * RATE // 1000  # RTP units of an event
_TONE: Final = 0.12  # seconds of a key's tone, and of the pause behind it: Q.24 asks for 40 ms of each
_TONE_PAUSE: Final = 0.08
_WAIT: Final = RATE // 2 // FRAME  # frames of a "w"


class Track:
    """One Playback in a voice."""

    __slots__ = ("_voice", "done")

    def __init__(self, voice: "Voice") -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._voice = voice

    def stop(self) -> None:
        self._voice.remove(self)
        self.finish(played=False)

    def finish(self, *, played: bool) -> None:
        """Say how it ended, once."""
        if not self.done.done():
            self.done.set_result(played)

    def next(self, out: Outgoing) -> bytes | None:
        """At most a frame of G.711 for `out`; None: it is over."""
        raise TypeError("a track is a sound or some keys")


class Sound(Track):
    """Linear audio, said `times` times without a gap between; 0: until it is stopped."""

    __slots__ = ("_at", "_chunk", "_chunk_at", "_codec", "_length", "_pcm", "_times")

    def __init__(self, voice: "Voice", pcm: Pcm, times: int) -> None:
        super().__init__(voice)
        self._pcm = pcm
        self._times = times
        self._length = len(pcm) // 2
        self._at = 0  # samples said of this time
        self._codec: PayloadType | None = None
        self._chunk, self._chunk_at = b"", 0

    def next(self, out: Outgoing) -> bytes | None:
        frame = b""
        while len(frame) < FRAME and (self._at < self._length or self._again()):
            frame += self._take(out.codec, FRAME - len(frame))
        return frame or None

    def _take(self, codec: PayloadType, wanted: int) -> bytes:
        start = self._at - self._chunk_at
        if codec is not self._codec or not 0 <= start < len(self._chunk):
            self._codec, self._chunk_at, start = codec, self._at, 0
            self._chunk = encode(codec, self._pcm[2 * self._at : 2 * (self._at + RATE)])
        taken = self._chunk[start : start + wanted]
        self._at += len(taken)
        return taken

    def _again(self) -> bool:
        if self._times == 1 or self._length == 0:
            return False
        self._times = max(0, self._times - 1)
        self._at = 0
        return True


class Keys(Track):
    """Keys one after the other: events where the peer takes them, else tones. Raises ValueError for what is no key."""

    __slots__ = ("_frames", "_keys")

    def __init__(self, voice: "Voice", keys: str) -> None:
        keys = keys.upper()
        for key in keys:
            if key not in KEYS and key != "W":
                raise ValueError(f"not a DTMF key: {key!r}")
        super().__init__(voice)
        self._keys = keys
        self._frames: Iterator[bytes] | None = None

    def next(self, out: Outgoing) -> bytes | None:
        if self._frames is None:  # only now is it known what the peer takes
            self._frames = self._pressed(out)
        return next(self._frames, None)

    def _pressed(self, out: Outgoing) -> Iterator[bytes]:
        """A frame each; an empty one while `out` sends events by itself."""
        for key in self._keys:
            if key == "W":
                yield from (b"" for _ in range(_WAIT))
            elif out.event_type is not None and out.press(key, _KEY):
                while out.pressing:
                    yield b""
            else:
                tone = encode(out.codec, tones.key(key, _TONE) + bytes(2 * int(_TONE_PAUSE * RATE)))
                yield from (tone[at : at + FRAME] for at in range(0, len(tone), FRAME))


class Voice:
    """One leg's tracks. Keys go before sounds, which wait meanwhile; so does everything while nothing may be sent."""

    __slots__ = ("_closed", "_keys", "_sounds", "busy")

    def __init__(self) -> None:
        self.busy = False  # asked at every beat
        self._closed = False
        self._keys: deque[Track] = deque()
        self._sounds: deque[Track] = deque()

    def play(self, pcm: Pcm, times: int) -> Track:
        """Say it after the sounds that wait; when the voice is closed it is over at once."""
        return self._queue(self._sounds, Sound(self, pcm, times))

    def press(self, keys: str) -> Track:
        """Press them after the keys that wait; likewise."""
        return self._queue(self._keys, Keys(self, keys))

    def frame(self, out: Outgoing) -> bytearray | bytes:
        """The next 20 ms as a packet of `out`: a key, a sound, or comfort silence."""
        if out.pressing:
            return out.frame()
        for tracks in (self._keys, self._sounds):
            while tracks:
                audio = tracks[0].next(out)
                if audio is not None:
                    return out.frame(audio or None)
                tracks.popleft().finish(played=True)
        self.busy = False
        return out.frame()

    def remove(self, track: Track) -> None:
        """Not a frame more of it."""
        for tracks in (self._keys, self._sounds):
            if track in tracks:
                tracks.remove(track)
        self.busy = bool(self._keys or self._sounds)

    def close(self) -> None:
        """The leg ended."""
        self._closed = True
        for track in (*self._keys, *self._sounds):
            track.stop()

    def _queue(self, tracks: deque[Track], track: Track) -> Track:
        if self._closed:
            track.finish(played=False)
        else:
            tracks.append(track)
            self.busy = True
        return track
