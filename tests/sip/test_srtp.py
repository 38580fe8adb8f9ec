"""SRTP with keys in the SDP (RFC 4568): offered on TLS calls alone, heard and spoken with the keys agreed upon."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from app.calls.outcome import Reason
from app.media.packet import Packet, pack
from app.media.srtp import Cipher
from app.sip import crypto
from app.sip.call import SipCall
from app.sip.crypto import Crypto, Srtp
from app.sip.engine import CallRules
from app.sip.message import SipMessage
from app.sip.tls import security
from app.trace.redact import redact
from tests.kit.tls import Authority
from tests.sip.conftest import Bench, NewBench, answered, outcome_of
from tests.sip.peer import PATIENCE, Peer, TcpPeer, sdp

THEIRS, NEWER = b"p" * 30, b"q" * 30


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def tls(authority: Authority) -> AsyncIterator[TcpPeer]:
    made = await TcpPeer(authority.server("127.0.0.1")).open()
    yield made
    made.close()


class Ears(asyncio.DatagramProtocol):
    """Where the peer receives RTP, and speaks from."""

    def __init__(self) -> None:
        self.port = 0
        self.source = ("", 0)
        self._packets: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> "Ears":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._packets.put_nowait((data, addr))

    async def hear(self) -> bytes:
        data, self.source = await asyncio.wait_for(self._packets.get(), PATIENCE)
        return data

    def say(self, packet: bytes) -> None:
        """To where the last packet came from."""
        assert self._transport is not None
        self._transport.sendto(packet, self.source)


@pytest.fixture
async def ears() -> AsyncIterator[Ears]:
    made = await Ears().open()
    yield made
    made.close()


async def bench_with(new_bench: NewBench, authority: Authority, srtp: Srtp) -> Bench:
    rules = CallRules(srtp=srtp)
    return await new_bench(security=security(ca=authority.file), rules=rules)


@pytest.fixture
async def bench(new_bench: NewBench, authority: Authority) -> Bench:
    return await bench_with(new_bench, authority, Srtp.OPTIONAL)


def uri(peer: TcpPeer) -> str:
    return f"sip:bob@127.0.0.1:{peer.port};transport=tls"


def offered(message: SipMessage) -> Crypto | None:
    found = re.search(rb"a=crypto:([^\r\n]+)", message.content)
    return crypto.parse(found[1].decode()) if found else None


def with_key(body: bytes, key: bytes, tag: int = 1) -> bytes:
    return body + crypto.attribute(Crypto(tag, key)).encode() + b"\r\n"


async def take(tls: TcpPeer, bench: Bench, body: bytes) -> tuple[SipCall, SipMessage]:
    leg = await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    tls.answer(invite, 200, body=body)
    await tls.expect("ACK")
    await answered(leg)
    return leg, invite


async def heard_by(leg: SipCall, packets: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while leg._media.packets_received < packets:
            await asyncio.sleep(0)  # the loop reads sockets meanwhile


async def test_an_optional_key_is_offered_and_taken(bench: Bench, tls: TcpPeer, ears: Ears) -> None:
    leg = await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    assert b" RTP/AVP 0 8 101\r\n" in invite.content
    ours = offered(invite)
    assert ours is not None
    tls.answer(invite, 200, body=with_key(sdp(port=ears.port), THEIRS))
    await tls.expect("ACK")
    await answered(leg)
    cipher = Cipher(THEIRS, ours.key)
    data = await ears.hear()
    shown = cipher.show(data)
    assert shown is not None
    assert shown[12:] == b"\xff" * 160  # comfort silence
    first, second = (cipher.hide(pack(Packet(0, False, number, number * 160, 99, b"\x7f" * 160))) for number in (1, 2))
    forged = pack(Packet(0, False, 3, 480, 99, b"\x7f" * 160))
    for packet in (first, first, forged, forged + bytes(10), second):
        ears.say(packet)
    await heard_by(leg, 2)
    assert leg._media.counters.unauthentic == 3  # type: ignore[attr-defined] # RtpSession's, not the port's


async def test_a_peer_that_takes_no_key_is_talked_to_in_the_clear(bench: Bench, tls: TcpPeer, ears: Ears) -> None:
    leg, _ = await take(tls, bench, sdp(port=ears.port))
    data = await ears.hear()
    assert data[12:] == b"\xff" * 160
    ears.say(pack(Packet(0, False, 1, 160, 99, b"\x7f" * 160)))
    await heard_by(leg, 1)


async def test_a_required_key_is_offered_as_savp(
    new_bench: NewBench, authority: Authority, tls: TcpPeer, ears: Ears
) -> None:
    bench = await bench_with(new_bench, authority, Srtp.REQUIRED)
    body = with_key(sdp(port=ears.port).replace(b"RTP/AVP", b"RTP/SAVP"), THEIRS)
    _, invite = await take(tls, bench, body)
    assert b" RTP/SAVP 0 8 101\r\n" in invite.content
    ours = offered(invite)
    assert ours is not None
    data = await ears.hear()
    assert Cipher(THEIRS, ours.key).show(data)


async def test_a_required_key_that_is_not_answered_ends_the_call(
    new_bench: NewBench, authority: Authority, tls: TcpPeer
) -> None:
    bench = await bench_with(new_bench, authority, Srtp.REQUIRED)
    leg = await bench.call(uri(tls))
    tls.answer(await tls.expect("INVITE"), 200, body=sdp())
    await tls.expect("ACK")
    await tls.expect("BYE")
    outcome = await outcome_of(leg)
    assert outcome.reason is Reason.MEDIA
    assert "SRTP" in (outcome.detail or "")


async def test_where_srtp_is_off_no_key_is_offered(new_bench: NewBench, authority: Authority, tls: TcpPeer) -> None:
    bench = await bench_with(new_bench, authority, Srtp.OFF)
    await bench.call(uri(tls))
    assert offered(await tls.expect("INVITE")) is None


async def test_no_key_ever_leaves_without_tls(bench: Bench, peer: Peer) -> None:
    await bench.call(peer.uri)
    assert b"crypto" not in (await peer.expect("INVITE")).content


async def test_a_required_key_lets_nothing_leave_without_tls(
    new_bench: NewBench, authority: Authority, peer: Peer
) -> None:
    strict = await bench_with(new_bench, authority, Srtp.REQUIRED)
    outcome = await strict.refused(peer.uri)
    assert outcome.reason is Reason.UNREACHABLE
    assert "DIAL_SRTP" in (outcome.detail or "")
    await peer.silence(strict.address)


async def test_a_redirection_out_of_tls_takes_no_key_along(bench: Bench, tls: TcpPeer, peer: Peer) -> None:
    leg = await bench.call(uri(tls))
    tls.headers = (("Contact", f"<{peer.uri}>"),)
    tls.answer(await tls.expect("INVITE"), 302, "Moved")
    await tls.expect("ACK")
    invite = await peer.expect("INVITE")
    assert b"crypto" not in invite.content
    peer.accept(invite)
    await peer.expect("ACK")
    await answered(leg)


async def test_each_attempt_has_a_key_of_its_own(bench: Bench, tls: TcpPeer) -> None:
    await bench.call(uri(tls))
    tls.headers = (("Contact", f"<sip:other@127.0.0.1:{tls.port};transport=tls>"),)
    first = await tls.expect("INVITE")
    tls.answer(first, 302, "Moved")
    await tls.expect("ACK")
    assert offered(await tls.expect("INVITE")) != offered(first) is not None


async def test_the_peer_changes_its_key_and_then_stops_encrypting(
    bench: Bench, tls: TcpPeer, peer: Peer, ears: Ears
) -> None:
    port = ears.port
    leg, invite = await take(tls, bench, with_key(sdp(port=port), THEIRS))
    ours = offered(invite)
    assert ours is not None

    async def offer(body: bytes) -> SipMessage:
        tls.send(peer.request(invite, "UPDATE", body=body).replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))
        return await tls.expect("200 UPDATE")

    newer = await offer(with_key(sdp(port=port), NEWER, tag=5))
    assert offered(newer) == Crypto(5, ours.key)
    await ears.hear()
    ears.say(Cipher(NEWER, ours.key).hide(pack(Packet(0, False, 1, 160, 99, b"\x7f" * 160))))
    await heard_by(leg, 1)
    plain = await offer(sdp(port=port))
    assert offered(plain) is None
    ears.say(pack(Packet(0, False, 2, 320, 99, b"\x7f" * 160)))
    await heard_by(leg, 2)


async def test_the_trace_hides_the_keys(bench: Bench, tls: TcpPeer) -> None:
    await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    ours = offered(invite)
    assert ours is not None
    text = crypto.attribute(ours).rpartition(":")[2].encode()
    whole = b"INVITE sip:x SIP/2.0\r\nContent-Type: application/sdp\r\n\r\n" + invite.content
    assert text in whole
    assert text not in redact(whole)


async def refuses(tls: TcpPeer, bench: Bench, times: int) -> tuple[SipCall, list[str]]:
    """Answer so many offers with 488; how the m= line and the key of each looked."""
    leg = await bench.call(uri(tls))
    offers = []
    for _ in range(times):
        invite = await tls.expect("INVITE")
        profile = re.search(rb"m=audio \d+ (\S+)", invite.content)
        assert profile is not None
        offers.append(profile[1].decode() + (" with a key" if b"a=crypto" in invite.content else ""))
        tls.answer(invite, 488, "Not Acceptable Here")
        await tls.expect("ACK")
    return leg, offers


async def test_an_optional_key_that_is_refused_is_offered_otherwise_and_then_left_out(
    bench: Bench, tls: TcpPeer, ears: Ears
) -> None:
    leg, offers = await refuses(tls, bench, 2)
    assert offers == ["RTP/AVP with a key", "RTP/SAVP with a key"]
    last = await tls.expect("INVITE")
    assert last.cseq[0] == 3 and b" RTP/AVP " in last.content and b"a=crypto" not in last.content
    tls.answer(last, 200, body=sdp(port=ears.port))
    await tls.expect("ACK")
    await answered(leg)
    assert (await ears.hear())[12:] == b"\xff" * 160


async def test_a_callee_that_takes_nothing_is_asked_three_times(bench: Bench, tls: TcpPeer) -> None:
    leg, offers = await refuses(tls, bench, 3)
    assert offers == ["RTP/AVP with a key", "RTP/SAVP with a key", "RTP/AVP"]
    outcome = await outcome_of(leg)
    assert (outcome.reason, outcome.sip_code) == (Reason.REJECTED, 488)


async def test_a_callee_that_insists_on_encryption_gets_it_when_asked_the_second_time(
    bench: Bench, tls: TcpPeer, ears: Ears
) -> None:
    leg, _ = await refuses(tls, bench, 1)
    invite = await tls.expect("INVITE")
    ours = offered(invite)
    assert ours is not None and b" RTP/SAVP " in invite.content
    body = with_key(sdp(port=ears.port), THEIRS).replace(b"RTP/AVP", b"RTP/SAVP")
    tls.answer(invite, 200, body=body)
    await tls.expect("ACK")
    await answered(leg)
    assert Cipher(THEIRS, ours.key).show(await ears.hear()) is not None
