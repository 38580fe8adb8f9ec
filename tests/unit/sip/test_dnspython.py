"""The dnspython attributes we rely on, one by one: an upgrade that moves any of them fails here and says which."""

import inspect

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
import dns.rrset
import pytest

SRV = dns.rrset.from_text("_sip._udp.a.test.", 60, "IN", "SRV", "20 1 5062 b.test.", "10 1 5061 a.test.", "5 0 0 .")
NAPTR = dns.rrset.from_text(
    "a.test.", 60, "IN", "NAPTR", '2 1 "s" "SIP+D2T" "" _b.test.', '1 9 "S" "SIP+D2U" "" _a.test.'
)


def test_resolve_takes_what_we_pass() -> None:
    names = set(inspect.signature(dns.asyncresolver.Resolver.resolve).parameters)
    assert {"qname", "rdtype", "raise_on_no_answer", "search", "lifetime"} <= names


def test_a_resolver_that_is_not_configured_is_ours_to_fill() -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], 5353
    resolver.cache = dns.resolver.LRUCache(10)
    assert list(resolver.nameservers) == ["127.0.0.1"]


def test_a_missing_configuration_has_its_own_error() -> None:
    with pytest.raises(dns.resolver.NoResolverConfiguration):
        dns.asyncresolver.Resolver(filename="/nonexistent/resolv.conf")


def test_srv_records_come_in_the_order_of_their_priorities() -> None:
    assert [(r.port, r.target.to_text(omit_final_dot=True)) for r in SRV.processing_order()] == [
        (0, "."),
        (5061, "a.test"),
        (5062, "b.test"),
    ]


def test_naptr_records_come_in_order_with_bytes_for_texts() -> None:
    found = [(r.flags, r.service, r.replacement.to_text(omit_final_dot=True)) for r in NAPTR.processing_order()]
    assert found == [(b"S", b"SIP+D2U", "_a.test"), (b"s", b"SIP+D2T", "_b.test")]


def test_whatever_is_wrong_with_a_name_is_a_dns_exception() -> None:
    for error in (dns.resolver.NXDOMAIN, dns.resolver.LifetimeTimeout, dns.resolver.NoNameservers):
        assert issubclass(error, dns.exception.DNSException)
    with pytest.raises(dns.exception.DNSException):
        dns.name.from_text(f"{'a' * 64}.test")
