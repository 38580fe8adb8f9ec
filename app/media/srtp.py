"""SRTP and SRTCP of one leg (RFC 3711) by libsrtp: AES-CM 128, HMAC-SHA1 80. Knows keys, no sockets and no signalling.

The library keeps what has come already and refuses it again (§3.3.2), and derives session keys and packet indices.
"""

from pylibsrtp import Error, Policy, Session


class CipherError(Exception):
    """A packet of ours cannot be encrypted, so it must not leave."""


class Cipher:
    """`ours` and `theirs`: master key and salt, 30 octets, of each direction. Raises ValueError for shorter ones.

    A direction whose key was the same `before` goes on: packets are counted across wraps of their sequence number, and
    an index that is used twice with one key would give both packets away.
    """

    def __init__(self, ours: bytes, theirs: bytes, before: "Cipher | None" = None) -> None:
        self._keys = ours, theirs
        self._out: Session
        self._in: Session
        if before is not None and before._keys[0] == ours:
            self._out = before._out
        else:
            self._out = Session(Policy(key=ours, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
        if before is not None and before._keys[1] == theirs:
            self._in = before._in
        else:
            self._in = Session(Policy(key=theirs, ssrc_type=Policy.SSRC_ANY_INBOUND))

    def __repr__(self) -> str:
        return "Cipher(…)"  # keys do not belong in logs

    def hide(self, packet: bytes | bytearray | memoryview) -> bytes:
        """RTP to SRTP; raises CipherError."""
        try:
            return self._out.protect(bytes(packet))
        except (Error, ValueError) as error:
            raise CipherError(str(error)) from error

    def hide_control(self, packet: bytes) -> bytes:
        """RTCP to SRTCP; raises CipherError."""
        try:
            return self._out.protect_rtcp(packet)
        except (Error, ValueError) as error:
            raise CipherError(str(error)) from error

    def show(self, data: bytes) -> bytes | None:
        """SRTP to RTP; None for what is not the peer's, was changed, or has come before."""
        try:
            return self._in.unprotect(data)
        except (Error, ValueError):
            return None

    def show_control(self, data: bytes) -> bytes | None:
        """SRTCP to RTCP, likewise."""
        try:
            return self._in.unprotect_rtcp(data)
        except (Error, ValueError):
            return None
