"""Which addresses may be talked to."""

import ipaddress

import pytest

from app.calls.address import AddressPolicy, ip_literal

_STRICT = AddressPolicy("DIAL_HTTP_ALLOW")


_REFUSED = """
127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1 198.18.0.1
224.0.0.1 239.255.255.255 255.255.255.255 240.0.0.1 ::1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 ::ffff:127.0.0.1
::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 ::7f00:1 2001:db8::1
"""


@pytest.mark.parametrize("address", _REFUSED.split())
def test_private_and_special_ranges_are_refused(address: str) -> None:
    assert not _STRICT.permits(address)
    assert "DIAL_HTTP_ALLOW" in _STRICT.refusal(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert _STRICT.permits(address)


def test_a_listed_range_is_permitted_and_nothing_beside_it() -> None:
    policy = AddressPolicy("DIAL_SIP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
    assert policy.permits("127.0.0.2")
    assert policy.permits("::ffff:127.0.0.1")
    assert policy.permits("::1")
    assert not policy.permits("10.0.0.1")


@pytest.mark.parametrize(("host", "literal"), [("127.0.0.1", True), ("[::1]", True), ("example.com", False)])
def test_an_ip_literal_is_told_from_a_name(host: str, literal: bool) -> None:
    assert (ip_literal(host) is not None) is literal
