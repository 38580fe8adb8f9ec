"""SDP as calls need it (RFC 8866, RFC 3264): reads what a peer says into a value, writes our offers and answers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass


class UnusableSdp(ValueError):
    """No audio can be had with this description; the message says why."""


@dataclass(frozen=True, slots=True)
class Codec:
    payload: int  # RTP payload number
    name: str  # "PCMU", "PCMA" or "telephone-event"


@dataclass(frozen=True, slots=True)
class Stream:
    """One m= line as received, enough to refuse or accept it in an answer."""

    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remote:
    """What the peer wants: where to send, in which codecs (its order, only ours), in which direction (its view)."""

    address: str  # IP literal or name, as in c=
    port: int
    codecs: tuple[Codec, ...]  # at least one audio codec
    direction: str  # sendrecv, sendonly, recvonly, inactive as the peer sees it; 0.0.0.0 counts as not receiving
    rtcp: tuple[str, int]  # RFC 3605, else address and port + 1
    rtcp_mux: bool
    ptime: int | None  # ms
    origin: tuple[str, int] | None  # session id, version
    streams: tuple[Stream, ...]
    chosen: int  # index of the audio stream in `streams`

    @property
    def audio(self) -> Codec:
        """The codec to send: the first audio codec of the peer's list."""
        return next(codec for codec in self.codecs if codec.name != "telephone-event")

    @property
    def events(self) -> int | None:
        """Payload number of telephone-event, None when the peer has not got it."""
        return next((codec.payload for codec in self.codecs if codec.name == "telephone-event"), None)

    @property
    def payloads(self) -> Mapping[int, str]:
        """Payload number → codec name, in the peer's order."""
        return {codec.payload: codec.name for codec in self.codecs}

    @property
    def held(self) -> bool:
        """Whether the peer will not listen: nothing may be sent to it."""
        return self.direction in ("sendonly", "inactive")


def read(content: bytes, content_type: str | None) -> Remote:
    """The peer's offer or answer out of a message's `content`; raises UnusableSdp with a reason."""
    raise UnusableSdp("not read yet")


class LocalMedia:
    """Our side of one dialog's SDP: keeps session id and version of the o= line (RFC 3264 §8)."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self._session_id = secrets.randbelow(2**62)
        self._version = 0

    def offer(self, direction: str = "sendrecv") -> bytes:
        """An offer of everything we have."""
        return b""

    def answer(self, remote: Remote, *, prefer: str | None = None) -> bytes:
        """The answer to an offer; `prefer` names the audio codec in use, which stays first if it is offered."""
        return b""
