"""SRTP by libsrtp: what it must refuse, what must survive a new key, and the attributes of pylibsrtp we rely on."""

import pylibsrtp
import pytest

from app.media.packet import Packet, pack
from app.media.srtp import Cipher, CipherError

ALICE, BOB, CAROL = (bytes([number]) * 30 for number in (1, 2, 3))


def packet(sequence: int, ssrc: int = 7) -> bytes:
    return pack(Packet(0, False, sequence & 0xFFFF, sequence * 160, ssrc, b"\xff" * 160))


RTCP = bytes.fromhex("80c90001") + (7).to_bytes(4, "big")


def test_what_one_side_hides_the_other_shows() -> None:
    alice, bob = Cipher(ALICE, BOB), Cipher(BOB, ALICE)
    hidden = alice.hide(bytearray(packet(1)))
    assert len(hidden) == len(packet(1)) + 10  # the tag of HMAC-SHA1 80
    assert hidden[:12] == packet(1)[:12]
    assert hidden[12:172] != packet(1)[12:]
    assert bob.show(hidden) == packet(1)
    control = alice.hide_control(RTCP)
    assert control[8:] != RTCP[8:]
    assert bob.show_control(control) == RTCP


def test_what_has_come_already_is_refused() -> None:
    alice, bob = Cipher(ALICE, BOB), Cipher(BOB, ALICE)
    hidden, control = alice.hide(packet(1)), alice.hide_control(RTCP)
    assert bob.show(hidden) and bob.show_control(control)
    assert bob.show(hidden) is None
    assert bob.show_control(control) is None


@pytest.mark.parametrize("data", [b"", b"\x80", packet(1), packet(1) + bytes(10), bytes(2000)])
def test_what_is_not_the_peers_is_refused(data: bytes) -> None:
    bob = Cipher(BOB, ALICE)
    assert bob.show(data) is None
    assert bob.show_control(data) is None


def test_a_changed_packet_is_refused() -> None:
    hidden = bytearray(Cipher(ALICE, BOB).hide(packet(1)))
    hidden[20] ^= 1
    assert Cipher(BOB, ALICE).show(bytes(hidden)) is None


def test_a_packet_that_cannot_be_encrypted_does_not_leave() -> None:
    with pytest.raises(CipherError):
        Cipher(ALICE, BOB).hide(b"x")
    with pytest.raises(CipherError):
        Cipher(ALICE, BOB).hide_control(bytes(3000))


def test_a_new_key_of_the_peer_leaves_our_own_count_alone() -> None:
    alice, bob = Cipher(ALICE, BOB), Cipher(BOB, ALICE)
    for sequence in (65_534, 65_535, 65_536):  # wraps: the index goes on above 2^16
        assert bob.show(alice.hide(packet(sequence)))
    alice = Cipher(ALICE, CAROL, before=alice)
    assert bob.show(alice.hide(packet(65_537))) == packet(65_537)
    carol = Cipher(CAROL, ALICE)
    assert alice.show(carol.hide(packet(1))) == packet(1)


def test_no_key_is_in_the_text_of_a_cipher() -> None:
    assert repr(Cipher(ALICE, BOB)) == "Cipher(…)"


def test_the_library_has_what_we_use() -> None:
    policy = pylibsrtp.Policy(key=ALICE, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    assert policy.srtp_profile == pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80
    assert pylibsrtp.Policy.SSRC_ANY_INBOUND != pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    session = pylibsrtp.Session(policy)
    assert session.unprotect and session.unprotect_rtcp and session.protect_rtcp
    assert isinstance(session.protect(packet(1)), bytes)
    with pytest.raises(pylibsrtp.Error):
        session.protect(b"x")
    with pytest.raises(ValueError, match="30 bytes"):
        pylibsrtp.Policy(key=b"short")
