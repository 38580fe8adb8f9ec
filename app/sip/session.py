"""What two sides agreed to say to each other: our SDP, theirs, and the RTP that follows from it. Knows no messages."""

from app.sip.media_port import MediaSession
from app.sip.pyvoip import PayloadType, RTPClient
from app.sip.sdp import EVENTS, LocalMedia, Remote

_PAYLOADS = {"PCMU": PayloadType.PCMU, "PCMA": PayloadType.PCMA, EVENTS: PayloadType.EVENT}


class Session:
    """Offer and answer of one leg (RFC 3264). `address` is where the peer shall send its RTP."""

    def __init__(self, media: MediaSession, address: str) -> None:
        self.media = media
        self.local = LocalMedia(address, media.local_port)
        self.remote: Remote | None = None
        self._address = ""

    def agree(self, remote: Remote, address: str) -> None:
        """The peer's description is in force; `address` is that of its c=, resolved and allowed."""
        self.remote = remote
        self._address = address

    def client(self) -> RTPClient:
        """The leg's RTP client for what was agreed; raises RuntimeError before anything was."""
        remote = self._agreed()
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
            self.media.update(address, remote.port, send=not remote.held, receive=_sends(remote))

    def answer(self, remote: Remote) -> bytes:
        """Our answer to an offer; the codec in use stays first if it is offered still."""
        return self.local.answer(remote, prefer=self.remote.audio.name if self.remote else None)

    def _agreed(self) -> Remote:
        if self.remote is None:
            raise RuntimeError("nothing has been agreed yet")
        return self.remote


def _sends(remote: Remote) -> bool:
    """Whether the peer is to send: a hold makes its silence no fault."""
    return remote.direction in ("sendrecv", "sendonly")
