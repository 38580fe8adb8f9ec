"""SIP over TLS and sips: (RFC 3261 §26, RFC 5922): whose certificate must be shown, and what a call looks like then."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.calls.outcome import Reason
from app.calls.ports import Moved, Progress
from app.calls.status import Status
from app.sip import build
from app.sip.call import SipCall
from app.sip.tls import Security, security
from tests.kit.dns import NameServer
from tests.kit.tls import Authority
from tests.sip.conftest import Bench, NewBench, answered, outcome_of, told
from tests.sip.peer import Peer, TcpPeer, row, sdp

DOMAIN = "example.test"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusting(authority: Authority) -> Security:
    return security(ca=authority.file)


@pytest.fixture
async def bench(new_bench: NewBench, trusting: Security) -> Bench:
    return await new_bench(security=trusting)


@pytest.fixture
async def peers() -> AsyncIterator[list[TcpPeer | NameServer]]:
    """What is in it is closed at the end."""
    made: list[TcpPeer | NameServer] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
async def tls(authority: Authority, peers: list[TcpPeer | NameServer]) -> TcpPeer:
    return await serve(peers, authority.server("127.0.0.1"))


async def serve(peers: list[TcpPeer | NameServer], context: ssl.SSLContext | None) -> TcpPeer:
    peers.append(made := await TcpPeer(context).open())
    return made


async def name_server(peers: list[TcpPeer | NameServer], *servers: str) -> NameServer:
    """With a SIP service over TLS at example.test."""
    peers.append(names := await NameServer().open())
    names.srv(f"_sips._tcp.{DOMAIN}", *servers)
    names.add("one.hoster.test", "A", "127.0.0.1")
    return names


def uri(peer: TcpPeer) -> str:
    return f"sip:bob@127.0.0.1:{peer.port};transport=tls"


async def failed(leg: SipCall) -> str:
    """Why nobody could be reached."""
    outcome = await outcome_of(leg)
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.UNREACHABLE)
    return outcome.detail or ""


async def test_a_whole_call_stays_on_one_connection(bench: Bench, tls: TcpPeer) -> None:
    leg = await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    assert tls.writer is not None
    port = tls.writer.get_extra_info("peername")[1]
    assert (invite.first("via") or "").startswith(f"SIP/2.0/TLS 127.0.0.1:{port};")
    # Nobody listens for TLS here: the peer finds the connection by its port.
    assert invite.first("contact") == f"<sip:alice@127.0.0.1:{port};transport=tls>"
    tls.answer(invite, 200, body=sdp())
    await tls.expect("ACK")
    answer = await answered(leg)
    assert (answer.dialog["transport"], answer.dialog["domain"]) == ("tls", "127.0.0.1")
    leg.hang_up()
    tls.answer(await tls.expect("BYE"), 200)
    assert tls.connections == 1


async def test_the_peer_hangs_up_on_the_same_connection(bench: Bench, tls: TcpPeer, peer: Peer) -> None:
    leg = await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    tls.answer(invite, 200, body=sdp())
    await tls.expect("ACK")
    await answered(leg)
    tls.send(peer.request(invite, "BYE").replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))
    await tls.expect("200 BYE")
    assert (await outcome_of(leg)).reason is Reason.CALLEE_HANGUP


async def test_the_peer_may_hang_up_on_a_connection_of_its_own(
    new_bench: NewBench, authority: Authority, tls: TcpPeer, peer: Peer
) -> None:
    ours = security(ca=authority.file, certificate=authority.certificate("127.0.0.1"), port=0)
    bench = await new_bench(security=ours)
    leg = await bench.call(uri(tls))
    invite = await tls.expect("INVITE")
    found = re.search(r"127\.0\.0\.1:(\d+);transport=tls>", invite.first("contact") or "")
    assert found is not None
    tls.answer(invite, 200, body=sdp())
    await tls.expect("ACK")
    await answered(leg)
    reader, writer = await connect(authority, int(found[1]))
    writer.write(peer.request(invite, "BYE").replace(b"SIP/2.0/UDP", b"SIP/2.0/TLS"))
    assert (await outcome_of(leg)).reason is Reason.CALLEE_HANGUP
    assert (await reader.readline()).startswith(b"SIP/2.0 200")
    writer.close()


async def connect(authority: Authority, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=authority.client())


async def test_a_call_to_sips_has_a_sips_contact(bench: Bench, tls: TcpPeer) -> None:
    leg = await bench.call(f"sips:bob@127.0.0.1:{tls.port}")
    invite = await tls.expect("INVITE")
    assert invite.request_uri == f"sips:bob@127.0.0.1:{tls.port}"
    assert invite.first("to") == f"<sips:bob@127.0.0.1:{tls.port}>"
    assert (invite.first("contact") or "").startswith("<sips:alice@127.0.0.1:")
    assert "transport" not in (invite.first("contact") or "")
    tls.headers = row("Contact", f"<sips:peer@127.0.0.1:{tls.port}>")
    tls.answer(invite, 200, body=sdp())
    await tls.expect("ACK")
    await answered(leg)


async def test_a_sips_dialog_never_leaves_tls(bench: Bench, tls: TcpPeer, peer: Peer) -> None:
    leg = await bench.call(f"sips:bob@127.0.0.1:{tls.port}")
    tls.headers = row("Contact", peer.contact)
    tls.answer(await tls.expect("INVITE"), 200, body=sdp())
    await tls.expect("ACK")
    await tls.expect("BYE")
    assert "TLS" in await failed(leg)
    await peer.silence(bench.address)


async def test_a_redirection_from_sips_to_sip_is_not_followed(bench: Bench, tls: TcpPeer, peer: Peer) -> None:
    leg = await bench.call(f"sips:bob@127.0.0.1:{tls.port}")
    tls.headers = row("Contact", f"<{peer.uri}>")
    tls.answer(await tls.expect("INVITE"), 302, "Moved")
    await tls.expect("ACK")
    assert (await outcome_of(leg)).sip_code == 302
    await peer.silence(bench.address)


async def test_the_certificate_must_be_for_the_domain_and_not_for_its_server(
    new_bench: NewBench, authority: Authority, trusting: Security, peers: list[TcpPeer | NameServer]
) -> None:
    wrong = await serve(peers, authority.server("one.hoster.test"))
    right = await serve(peers, authority.server(DOMAIN))
    names = await name_server(peers, f"1 1 {wrong.port} one.hoster.test.")
    bench = await new_bench(security=trusting, name_server=names.address)
    detail = await failed(await bench.call(f"sips:bob@{DOMAIN}"))
    assert f"tls: certificate is not for {DOMAIN}" in detail
    assert wrong.inbox.empty()
    # The next server of the domain is asked.
    names.srv(f"_sips._tcp.{DOMAIN}", f"2 1 {right.port} one.hoster.test.")
    leg = await bench.call(f"sip:bob@{DOMAIN};transport=tls")
    invite = await right.expect("INVITE")
    right.answer(invite, 200, body=sdp())  # its Contact is an address: the connection has proved itself
    await right.expect("ACK")
    answer = await answered(leg)
    assert (answer.dialog["domain"], right.connections) == (DOMAIN, 1)


@pytest.mark.parametrize(
    ("name", "expired", "detail"),
    [("elsewhere.test", False, "certificate is not for 127.0.0.1"), ("127.0.0.1", True, "has expired")],
)
async def test_a_wrong_certificate_gets_no_invite(
    bench: Bench, authority: Authority, peers: list[TcpPeer | NameServer], name: str, expired: bool, detail: str
) -> None:
    peer = await serve(peers, authority.server(name, expired=expired))
    said = await failed(await bench.call(uri(peer)))
    assert said.startswith("tls: ")
    assert detail in said
    assert peer.inbox.empty()


async def test_an_authority_that_nobody_trusts_gets_no_invite(new_bench: NewBench, tls: TcpPeer) -> None:
    bench = await new_bench(security=security())
    assert "tls: certificate of 127.0.0.1 is not trusted" in await failed(await bench.call(uri(tls)))
    assert tls.inbox.empty()


async def test_a_peer_without_tls_is_unreachable(bench: Bench) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    plain = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = plain.sockets[0].getsockname()[1]
    assert f"port {port}" in await failed(await bench.call(f"sip:bob@127.0.0.1:{port};transport=tls"))
    plain.close()


async def test_checks_can_be_switched_off(new_bench: NewBench, tls: TcpPeer) -> None:
    bench = await new_bench(security=security(verify=False))
    await bench.call(uri(tls))
    await tls.expect("INVITE")


async def test_our_certificate_is_shown_to_who_asks(
    new_bench: NewBench, authority: Authority, peers: list[TcpPeer | NameServer]
) -> None:
    context = authority.server("127.0.0.1")
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    strict = await serve(peers, context)
    bench = await new_bench(security=security(ca=authority.file, certificate=authority.certificate("caller.test")))
    await bench.call(uri(strict))
    await strict.expect("INVITE")


async def test_calls_share_a_connection_only_within_a_domain(
    new_bench: NewBench, authority: Authority, trusting: Security, peers: list[TcpPeer | NameServer]
) -> None:
    both = await serve(peers, authority.server(DOMAIN, "other.test"))
    names = await name_server(peers, f"1 1 {both.port} one.hoster.test.")
    names.srv("_sips._tcp.other.test", f"1 1 {both.port} one.hoster.test.")
    bench = await new_bench(security=trusting, name_server=names.address)
    for target, connections in ((f"sips:a@{DOMAIN}", 1), (f"sips:b@{DOMAIN}", 1), ("sips:c@other.test", 2)):
        await bench.call(target)
        await both.expect("INVITE")
        assert both.connections == connections


async def test_a_rescuer_hangs_up_over_tls(new_bench: NewBench, trusting: Security, tls: TcpPeer) -> None:
    dead, survivor = await new_bench(security=trusting), await new_bench(security=trusting)
    leg = await dead.call(uri(tls))
    tls.answer(await tls.expect("INVITE"), 180)
    await told(leg, Progress)
    facts = leg.facts()
    await dead.phone.stop()
    await survivor.phone.hang_up_stranger(facts)
    cancel = await tls.expect("CANCEL")
    assert cancel.call_id == facts["call_id"]
    assert tls.connections == 2


async def test_a_redirection_from_tls_to_udp_is_seen_from_the_udp_port(bench: Bench, tls: TcpPeer, peer: Peer) -> None:
    leg = await bench.call(uri(tls))
    tls.headers = row("Contact", f"<{peer.uri}>")
    tls.answer(await tls.expect("INVITE"), 302, "Moved")
    await tls.expect("ACK")
    invite = await peer.expect("INVITE")
    assert invite.first("contact") == f"<sip:alice@127.0.0.1:{bench.address[1]}>"
    assert (await told(leg, Moved)).dialog["transport"] == "udp"


async def test_a_stranger_is_answered_over_tls(new_bench: NewBench, authority: Authority) -> None:
    ours = security(ca=authority.file, certificate=authority.certificate("127.0.0.1"), port=0)
    bench = await new_bench(security=ours)
    port = bench.phone.endpoint.tls_port
    assert port is not None
    reader, writer = await connect(authority, port)
    rows = [
        ("Via", "SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKx"),
        ("From", "<sip:x@127.0.0.1>;tag=x"),
        ("To", "<sips:phone@127.0.0.1>"),
        ("Call-ID", "x"),
        ("CSeq", "1 OPTIONS"),
    ]
    writer.write(build.request("OPTIONS", "sips:phone@127.0.0.1", rows))
    assert (await reader.readline()).startswith(b"SIP/2.0 200")
    writer.close()


async def test_a_tls_port_needs_a_certificate(new_bench: NewBench, authority: Authority) -> None:
    with pytest.raises(OSError, match="certificate"):
        await new_bench(security=security(ca=authority.file, port=0))


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    with pytest.raises(ssl.SSLError):
        security(ca=tmp_path / "junk.pem")
    with pytest.raises(FileNotFoundError):
        security(certificate=tmp_path / "none.pem")
