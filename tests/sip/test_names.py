"""RFC 3263: which addresses a name leads to, in which order, and that each is allowed."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from app.calls.address import AddressPolicy
from app.calls.outcome import Outcome, Reason
from app.sip.directory import Directory
from app.sip.resolve import Resolver
from tests.kit.dns import NameServer
from tests.sip.conftest import NewBench, loopback_only, outcome_of
from tests.sip.peer import Peer, TcpPeer

DOMAIN = "example.test"


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    made = await NameServer().open()
    yield made
    made.close()


@pytest.fixture
async def resolver(names: NameServer) -> AsyncIterator[Resolver]:
    made = Resolver(loopback_only(), lambda address: True, Directory(names.address))
    yield made
    made.close()


async def hops(resolver: Resolver, uri: str) -> list[tuple[str, str, int]]:
    found = await resolver.hops(uri)
    assert not isinstance(found, Outcome), found
    return [(hop.transport, hop.host, hop.port) for hop in found]


async def refused(resolver: Resolver, uri: str) -> Outcome:
    found = await resolver.hops(uri)
    assert isinstance(found, Outcome)
    return found


async def test_a_written_port_asks_for_addresses_alone(names: NameServer, resolver: Resolver) -> None:
    names.add(DOMAIN, "A", "127.0.0.7")
    names.srv(f"_sip._udp.{DOMAIN}", "1 1 9 elsewhere.test.")
    assert await hops(resolver, f"sip:bob@{DOMAIN}:5070") == [("udp", "127.0.0.7", 5070)]
    assert set(names.asked) == {f"A {DOMAIN}", f"AAAA {DOMAIN}"}


async def test_without_srv_the_name_itself_is_asked_at_the_default_port(names: NameServer, resolver: Resolver) -> None:
    names.add(DOMAIN, "A", "127.0.0.7", "127.0.0.8")
    assert sorted(await hops(resolver, f"sip:bob@{DOMAIN}")) == [("udp", "127.0.0.7", 5060), ("udp", "127.0.0.8", 5060)]


async def test_srv_records_say_host_and_port_by_priority(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "20 0 5066 b.example.test.", "10 0 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    names.add("b.example.test", "A", "127.0.0.2")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("udp", "127.0.0.1", 5062), ("udp", "127.0.0.2", 5066)]


async def test_servers_of_one_priority_are_drawn_by_their_weights(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "1 30 5061 a.example.test.", "1 10 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    first = Counter([(await hops(resolver, f"sip:bob@{DOMAIN};transport=udp"))[0][2] for _ in range(400)])
    assert 240 < first[5061] < 360  # 300 expected; the bounds are seven standard deviations away
    assert first.total() == 400


async def test_a_written_transport_asks_for_its_service_alone(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "1 1 5061 a.example.test.")
    names.srv(f"_sip._tcp.{DOMAIN}", "1 1 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    assert await hops(resolver, f"sip:bob@{DOMAIN};transport=tcp") == [("tcp", "127.0.0.1", 5062)]
    assert not names.asked[f"SRV _sip._udp.{DOMAIN}"]


async def test_a_domain_that_has_tcp_alone_is_called_over_tcp(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._tcp.{DOMAIN}", "1 1 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("tcp", "127.0.0.1", 5062)]


async def test_naptr_records_choose_the_transport_and_the_name(names: NameServer, resolver: Resolver) -> None:
    names.add(
        DOMAIN,
        "NAPTR",
        '20 50 "s" "SIP+D2U" "" _sip._udp.pool.test.',
        '10 50 "s" "SIP+D2T" "" _sip._tcp.pool.test.',
        '5 50 "s" "SIP+D2W" "" _sip._ws.pool.test.',
        '1 50 "u" "E2U+sip" "!^.*$!sip:x@example.com!" .',
    )
    names.srv("_sip._udp.pool.test", "1 1 5061 a.example.test.")
    names.srv("_sip._tcp.pool.test", "1 1 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("tcp", "127.0.0.1", 5062), ("udp", "127.0.0.1", 5061)]


async def test_a_server_without_an_address_is_left_out(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "1 1 5061 gone.example.test.", "2 1 5062 a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("udp", "127.0.0.1", 5062)]


async def test_a_domain_whose_servers_have_no_address_is_unreachable(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "1 1 5061 gone.example.test.")
    outcome = await refused(resolver, f"sip:bob@{DOMAIN}")
    assert outcome.reason is Reason.UNREACHABLE
    assert "gone.example.test" in (outcome.detail or "")


async def test_a_dot_as_server_means_that_there_is_no_sip(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "0 0 0 .")
    names.add(DOMAIN, "A", "127.0.0.7")
    outcome = await refused(resolver, f"sip:bob@{DOMAIN}")
    assert outcome.reason is Reason.UNREACHABLE
    assert "no SIP service" in (outcome.detail or "")


async def test_a_name_server_that_is_mute_about_srv_is_asked_for_addresses(
    names: NameServer, resolver: Resolver
) -> None:
    names.mute |= {"SRV", "NAPTR"}
    names.add(DOMAIN, "A", "127.0.0.7")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("udp", "127.0.0.7", 5060)]


async def test_a_name_server_that_never_answers_costs_five_seconds_at_most(
    names: NameServer, resolver: Resolver
) -> None:
    names.mute |= {"SRV", "NAPTR", "A", "AAAA"}
    async with asyncio.timeout(5.5):
        outcome = await refused(resolver, f"sip:bob@{DOMAIN}")
    assert outcome.reason is Reason.UNREACHABLE


async def test_an_address_in_a_refused_range_is_never_used(names: NameServer, resolver: Resolver) -> None:
    names.srv(f"_sip._udp.{DOMAIN}", "1 1 5061 inside.example.test.", "2 1 5062 a.example.test.")
    names.add("inside.example.test", "A", "10.0.0.1")
    names.add("a.example.test", "A", "127.0.0.1")
    assert await hops(resolver, f"sip:bob@{DOMAIN}") == [("udp", "127.0.0.1", 5062)]
    names.add("bad.test", "A", "169.254.169.254")
    names.add("bad.test", "AAAA", "::ffff:10.0.0.1")
    outcome = await refused(resolver, "sip:bob@bad.test")
    assert outcome.reason is Reason.ADDRESS_DENIED
    assert "DIAL_SIP_ALLOW" in (outcome.detail or "")


async def test_ipv6_addresses_are_found(names: NameServer) -> None:
    loopback = AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("::1/128"),))
    resolver = Resolver(loopback, lambda address: True, Directory(names.address))
    names.add(DOMAIN, "AAAA", "::1")
    assert await hops(resolver, f"sip:bob@{DOMAIN}:5070") == [("udp", "::1", 5070)]
    resolver.close()


async def test_what_is_asked_at_once_is_asked_once(names: NameServer, resolver: Resolver) -> None:
    names.add(DOMAIN, "A", "127.0.0.7")
    await asyncio.gather(*(resolver.hops(f"sip:{number}@{DOMAIN}") for number in range(20)))
    assert names.asked[f"A {DOMAIN}"] == 1


async def test_a_name_of_the_hosts_file_is_found_without_a_name_server() -> None:
    resolver = Resolver(loopback_only(), lambda address: ":" not in address, Directory())
    assert await hops(resolver, "sip:bob@localhost") == [("udp", "127.0.0.1", 5060)]
    resolver.close()


async def test_a_503_and_a_refused_connection_lead_to_the_next_server(new_bench: NewBench, names: NameServer) -> None:
    full, closed, good = await Peer().open(), await TcpPeer().open(), await Peer().open()
    closed.close()
    names.srv(f"_sip._udp.{DOMAIN}", f"1 1 {full.port} a.example.test.", f"2 1 {good.port} a.example.test.")
    names.add("a.example.test", "A", "127.0.0.1")
    bench = await new_bench(name_server=names.address)
    leg = await bench.call(f"sip:bob@{DOMAIN}")
    first = await full.expect("INVITE")
    assert first.request_uri == f"sip:bob@{DOMAIN}"
    full.answer(first, 503, "Full")
    await full.expect("ACK")
    second = await good.expect("INVITE")
    assert (second.request_uri, second.cseq[0], second.call_id) == (first.request_uri, 2, first.call_id)
    good.answer(second, 486)
    assert (await outcome_of(leg)).reason is Reason.BUSY
    names.srv("_sip._tcp.tcp.test", f"1 1 {closed.port} a.example.test.")
    again = await bench.call("sip:bob@tcp.test")
    assert (await outcome_of(again)).reason is Reason.UNREACHABLE
    full.close()
    good.close()


@pytest.mark.parametrize("wrong", ["name server", "127.0.0.1:99999", "[::1"])
def test_a_name_server_that_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="no name server"):
        Directory(wrong)
