"""What signalling needs of media: a port bound per leg, pointed at the peer once its SDP is known. Knows no codec."""

from collections.abc import Callable, Mapping
from typing import Protocol

from app.calls.audio import Audio
from app.sip.pyvoip import PayloadType, RTPClient


class MediaSession(Audio, Protocol):
    """One leg's RTP and RTCP sockets, bound from the moment it is opened until `stop`, and what is said on them."""

    local_port: int  # RTP, even; RTCP is the next one
    on_silence: Callable[[], None] | None  # called at most once: nothing came for the media timeout after something had
    on_tone: Callable[[str], None] | None  # each key heard as a tone while `listen_for_tones` is on

    @property
    def packets_received(self) -> int:
        """Valid RTP packets so far."""

    def connect(
        self,
        assoc: Mapping[int, PayloadType],
        address: str,
        port: int,
        *,
        send: bool,
        receive: bool,
        rtcp_port: int | None = None,
    ) -> RTPClient:
        """The leg's RTP client for what was negotiated: payload type number → codec, the peer's address as in its SDP.

        The first audio codec of `assoc` is sent. `send` False: we are on hold or told to be silent (nothing leaves);
        `receive` False: the peer sends nothing on purpose, so its silence is no fault. ``start`` of what is returned
        must be safe to call (pyVoIP's `VoIPCall.answered` calls it) and means `start` of this session.
        `rtcp_port` is where RTCP goes, the next one to `port` unless given.
        A port of 0 or an unspecified address (0.0.0.0, ::) sends nothing. Called again after a fork or an early
        answer it replaces what was negotiated and returns the same client.
        """

    def secure(self, keys: tuple[bytes, bytes] | None) -> None:
        """Our SRTP master key with its salt, and the peer's, from the next packet on; None: nothing is encrypted."""

    def start(self) -> None:
        """Begin to read, and to send comfort silence when nobody else gives audio; safe to call twice."""

    def update(self, address: str, port: int, *, send: bool, receive: bool, rtcp_port: int | None = None) -> None:
        """The peer moved, held or resumed (re-INVITE, UPDATE): latch anew when the address changed."""

    def stop(self) -> None:
        """Close the sockets and return the port, whatever the state; safe to call twice."""


class MediaFactory(Protocol):
    """One worker's RTP ports."""

    def open(self, *, dtmf: Callable[[str], None] | None) -> MediaSession:
        """Bind a port now; raises app.calls.errors.NoFreePort. `dtmf` gets each telephone event once."""
