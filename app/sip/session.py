"""What two sides agreed to say to each other: our SDP, theirs, and the RTP that follows from it. Knows no messages."""

from app.sip.crypto import Srtp, new_key
from app.sip.media_port import MediaSession
from app.sip.pyvoip import PayloadType, RTPClient
from app.sip.sdp import EVENTS, LocalMedia, Remote

_PAYLOADS = {"PCMU": PayloadType.PCMU, "PCMA": PayloadType.PCMA, EVENTS: PayloadType.EVENT}


class Session:
    """Offer and answer of one leg (RFC 3264). `address` is where the peer shall send its RTP."""

    def __init__(self, media: MediaSession, address: str, srtp: Srtp = Srtp.OFF) -> None:
        self.media = media
        self.srtp = Srtp.OFF  # in force: without TLS nobody is told a key
        self._policy = srtp
        self.local = LocalMedia(address, media.local_port)
        self.remote: Remote | None = None
        self._address = ""

    def first_offer(self, direction: str, *, private: bool) -> bytes:
        """The offer of an INVITE that creates a dialog; `private`: over TLS. Each one has a key of its own."""
        self.srtp = self._policy if private else Srtp.OFF
        self.local.key = None if self.srtp is Srtp.OFF else new_key()
        self.local.insists = self.srtp is Srtp.REQUIRED
        return self.local.offer(direction)

    def agree(self, remote: Remote, address: str) -> None:
        """The peer's description is in force; `address` is that of its c=, resolved and allowed."""
        self.remote = remote
        self._address = address

    def client(self) -> RTPClient:
        """The leg's RTP client for what was agreed; raises RuntimeError before anything was."""
        remote = self._agreed()
        self._secure(remote)
        return self.media.connect(
            {number: _PAYLOADS[name] for number, name in remote.payloads.items()},
            self._address,
            remote.port,
            send=not remote.held,
            receive=_sends(remote),
        )

    def change(self, remote: Remote, address: str) -> None:
        """A re-INVITE or UPDATE moved, held or resumed the peer's media."""
        before = self.remote
        self.agree(remote, address)
        if before is None:
            return  # the INVITE's own answer starts media
        if before.payloads != remote.payloads:
            self.client()
        else:
            self._secure(remote)
            self.media.update(address, remote.port, send=not remote.held, receive=_sends(remote))

    def answer(self, remote: Remote) -> bytes:
        """Our answer to an offer; the codec in use stays first if it is offered still."""
        return self.local.answer(remote, prefer=self.remote.audio.name if self.remote else None)

    def _secure(self, remote: Remote) -> None:
        key = self.local.key
        self.media.secure((key, remote.crypto.key) if key is not None and remote.crypto is not None else None)

    def _agreed(self) -> Remote:
        if self.remote is None:
            raise RuntimeError("nothing has been agreed yet")
        return self.remote


def _sends(remote: Remote) -> bool:
    """Whether the peer is to send: a hold makes its silence no fault."""
    return remote.direction in ("sendrecv", "sendonly")
