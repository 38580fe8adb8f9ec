"""Requests outside of any dialog, junk, and floods: each gets what RFC 3261 asks for, and nothing is kept."""

import pytest

from app.sip import build
from tests.sip.conftest import Bench, answered
from tests.sip.peer import Peer


def stranger(peer: Peer, method: str, *more: build.Header, to_tag: str = "", uri: str = "sip:x@127.0.0.1") -> bytes:
    rows = [
        ("Via", f"SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK{method}{len(more)}{to_tag}"),
        ("From", "<sip:s@127.0.0.1>;tag=s"),
        ("To", "<sip:x@127.0.0.1>" + (f";tag={to_tag}" if to_tag else "")),
        ("Call-ID", "stranger"),
        ("CSeq", f"1 {method}"),
        ("Max-Forwards", "70"),
        *more,
    ]
    return build.request(method, uri, rows)


@pytest.mark.parametrize(
    ("method", "to_tag", "code"),
    [
        ("OPTIONS", "", 200),
        ("INVITE", "", 404),
        ("REGISTER", "", 405),
        ("MESSAGE", "", 405),
        ("FROBNICATE", "", 405),
        ("BYE", "", 481),
        ("CANCEL", "", 481),
        ("BYE", "unknown", 481),
        ("INVITE", "unknown", 481),
        ("OPTIONS", "unknown", 481),
    ],
)
async def test_a_request_out_of_any_dialog(bench: Bench, peer: Peer, method: str, to_tag: str, code: int) -> None:
    peer.send(stranger(peer, method, to_tag=to_tag), bench.address)
    answer = await peer.expect(f"{code} {method}")
    assert answer.to_tag
    assert code not in (200, 405) or "INVITE" in answer.all("allow")


async def test_a_request_again_gets_the_same_answer_without_being_remembered(bench: Bench, peer: Peer) -> None:
    request = stranger(peer, "INVITE")
    answers = []
    for _ in range(2):
        peer.send(request, bench.address)
        answers.append(await peer.expect("404 INVITE"))
    assert peer.raw[id(answers[0])] == peer.raw[id(answers[1])]
    assert bench.phone.endpoint.transactions == 0


async def test_an_extension_that_nobody_knows_is_named(bench: Bench, peer: Peer) -> None:
    peer.send(stranger(peer, "OPTIONS", ("Require", "100rel, frobnicate")), bench.address)
    assert (await peer.expect("420 OPTIONS")).first("Unsupported") == "frobnicate"


async def test_a_scheme_that_nobody_knows_is_refused(bench: Bench, peer: Peer) -> None:
    peer.send(stranger(peer, "INVITE", uri="tel:+123"), bench.address)
    await peer.expect("416 INVITE")


async def test_a_request_that_is_wrong_but_can_be_answered_gets_a_400(bench: Bench, peer: Peer) -> None:
    peer.send(stranger(peer, "OPTIONS").replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"), bench.address)
    assert (await peer.next()).status_code == 400


async def test_another_version_gets_a_505(bench: Bench, peer: Peer) -> None:
    peer.send(stranger(peer, "OPTIONS").replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1), bench.address)
    assert (await peer.next()).status_code == 505


async def test_received_and_rport_say_where_it_came_from(bench: Bench, peer: Peer) -> None:
    request = stranger(peer, "OPTIONS").replace(b"127.0.0.1:%d;" % peer.port, b"host.invalid:1;rport;")
    peer.send(request, bench.address)
    via = (await peer.expect("200 OPTIONS")).via_top
    assert via is not None
    assert (via.param("received"), via.param("rport")) == ("127.0.0.1", str(peer.port))


async def test_without_rport_the_answer_goes_to_the_port_in_the_via(bench: Bench, peer: Peer) -> None:
    other = await Peer().open()
    request = stranger(peer, "OPTIONS").replace(b":%d;" % peer.port, b":%d;" % other.port)
    peer.send(request, bench.address)
    await other.expect("200 OPTIONS")
    other.close()


JUNK = [
    b"",
    b"\r\n\r\n",
    b"\0\0\0\0",
    b"\xff" * 1000,
    b"INVITE",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"OPTIONS sip:x SIP/2.0\r\nVia: \r\n\r\n",
    b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\nCall-ID: x\r\nCSeq: x\r\n\r\n",
    b"SIP/2.0 999 What\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\n\r\n",
    b"ACK sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bKx\r\nCall-ID: x\r\nFrom: x\r\nCSeq: 1 ACK\r\n\r\n",
    b"A" * 65_000,
]


async def test_junk_is_dropped_and_the_loop_goes_on(bench: Bench, peer: Peer) -> None:
    for junk in JUNK:
        peer.send(junk, bench.address)
    await peer.silence(bench.address)
    leg = await bench.call(peer.uri)
    peer.accept(await peer.expect("INVITE"))
    await peer.expect("ACK")
    await answered(leg)


async def test_a_response_that_belongs_to_nobody_is_dropped(bench: Bench, peer: Peer) -> None:
    leg = await bench.call(peer.uri)
    invite = await peer.expect("INVITE")
    forged = build.response(invite, 486, to_tag="x").replace(invite.branch.encode(), b"z9hG4bKguessed")
    peer.send(forged)
    await peer.silence(bench.address)
    assert leg.signals.empty()


async def test_the_trace_sees_every_message_as_it_was(bench: Bench, peer: Peer) -> None:
    seen = []
    bench.phone.endpoint.on_message = seen.append
    request = stranger(peer, "OPTIONS")
    peer.send(request, bench.address)
    answer = await peer.expect("200 OPTIONS")
    assert [(one.direction, one.transport, one.local, one.remote) for one in seen] == [
        ("in", "udp", bench.address, ("127.0.0.1", peer.port)),
        ("out", "udp", bench.address, ("127.0.0.1", peer.port)),
    ]
    assert [one.data for one in seen] == [request, peer.raw[id(answer)]]
