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
        self._refusals = 0  # of our first offer, by a 488
        self.local = LocalMedia(address, media.local_port)
        self.remote: Remote | None = None
        self._address = ""
        self._is_connected = False
        self._is_answered = False  # the peer's silence counts only from then on

    def first_offer(self, direction: str, *, private: bool) -> bytes:
        """The offer of an INVITE that creates a dialog; `private`: over TLS. Each one has a key of its own."""
        self.srtp = self._policy if private else Srtp.OFF
        if self.srtp is Srtp.OPTIONAL and self._refusals > 1:
            self.srtp = Srtp.OFF
        self.local.key = None if self.srtp is Srtp.OFF else new_key()
        self.local.insists = self.srtp is Srtp.REQUIRED or (self.srtp is Srtp.OPTIONAL and self._refusals == 1)
        return self.local.offer(direction)

    def was_refused(self) -> bool:
        """A 488 to the first offer: whether another is left to make.

        Keys under RTP/AVP please most who can go without; who takes only RTP/SAVP refuses that (RFC 4568 has no
        such offer), and so does who takes no keys at all.
        """
        if self.srtp is not Srtp.OPTIONAL:
            return False
        self._refusals += 1
        return True

    def listen_for(self, *, private: bool) -> Srtp:
        """What may be taken of the offer of an INVITE; `private`: it came over TLS."""
        self.srtp = self._policy if private else Srtp.OFF
        return self.srtp

    def agree(self, remote: Remote, address: str) -> None:
        """The peer's description is in force; `address` is that of its c=, resolved and allowed."""
        self._make_key(remote)
        self.remote = remote
        self._address = address

    def client(self) -> RTPClient:
        """The leg's RTP client for what was agreed; raises RuntimeError before anything was."""
        remote = self._agreed()
        self._secure(remote)
        self._is_connected = True
        return self.media.connect(
            {number: _PAYLOADS[name] for number, name in remote.payloads.items()},
            self._address,
            remote.port,
            send=not remote.held,
            receive=self._expects(remote),
            rtcp_port=_rtcp_port(remote),
        )

    def begin_early(self) -> None:
        """Let audio flow as agreed before the call is answered."""
        self.client()
        self.media.start()

    def answered(self) -> None:
        """The call is: from now on the peer has something to say unless it holds."""
        self._is_answered = True
        if self._is_connected and self.remote is not None:
            self._point(self.remote)

    def fall_silent(self) -> None:
        """The INVITE goes elsewhere: nothing more for whoever was heard early."""
        self.remote = None
        if self._is_connected:
            self.media.update("0.0.0.0", 0, send=False, receive=False)

    def change(self, remote: Remote, address: str) -> None:
        """A re-INVITE or UPDATE moved, held or resumed the peer's media."""
        before = self.remote
        self.agree(remote, address)
        if before is None or not self._is_connected:
            return  # the INVITE's own answer starts media
        if before.payloads != remote.payloads:
            self.client()
        else:
            self._secure(remote)
            self._point(remote)

    def answer(self, remote: Remote) -> bytes:
        """Our answer to an offer; the codec in use stays first if it is offered still."""
        self._make_key(remote)
        return self.local.answer(remote, prefer=self.remote.audio.name if self.remote else None)

    def _make_key(self, remote: Remote) -> None:
        """Who is offered a key answers with one of its own."""
        if remote.crypto is not None and self.local.key is None:
            self.local.key = new_key()

    def _point(self, remote: Remote) -> None:
        self.media.update(
            self._address,
            remote.port,
            send=not remote.held,
            receive=self._expects(remote),
            rtcp_port=_rtcp_port(remote),
        )

    def _expects(self, remote: Remote) -> bool:
        """Whether the peer's silence would be a fault: not before the answer, and not while it holds."""
        return self._is_answered and remote.direction in ("sendrecv", "sendonly")

    def _secure(self, remote: Remote) -> None:
        key = self.local.key
        self.media.secure((key, remote.crypto.key) if key is not None and remote.crypto is not None else None)

    def _agreed(self) -> Remote:
        if self.remote is None:
            raise RuntimeError("nothing has been agreed yet")
        return self.remote


def _rtcp_port(remote: Remote) -> int | None:
    """That of a=rtcp (RFC 3605), but at no other address than that of the audio: only that one has been checked."""
    address, port = remote.rtcp
    return port if address == remote.address else None
