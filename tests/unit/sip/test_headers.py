"""Addresses, Via, CSeq, lists: sloppy in, strict out."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sip.headers import Address, HeaderError, Target, Via, hostport, parse_cseq, parse_hostport, split_list


@pytest.mark.parametrize(
    ("text", "uri", "display", "tag"),
    [
        ("<sip:a@h>;tag=1", "sip:a@h", None, "1"),
        ("sip:a@h;tag=1", "sip:a@h", None, "1"),
        (" sip:a@h ;   tag    = 19", "sip:a@h", None, "19"),
        ("<sip:a@h;tag=no>", "sip:a@h;tag=no", None, None),
        ("<sip:a@h>;TAG=1", "sip:a@h", None, "1"),
        ('"x;tag=no, <sip:q@q>" <sip:a@h>;tag=uasT1', "sip:a@h", "x;tag=no, <sip:q@q>", "uasT1"),
        ('"Bob, the \\"UAS\\"" <sip:a@h;x=y>;q=0.5;tag=1', "sip:a@h;x=y", 'Bob, the "UAS"', "1"),
        ("Bob the Builder <tel:+123>;tag=1", "tel:+123", "Bob the Builder", "1"),
        ("<sips:a@[::1]:5061>", "sips:a@[::1]:5061", None, None),
        ('<sip:a@h>;x="a;tag=b";tag=c', "sip:a@h", None, "c"),
        ("sip:a@h?X=1;tag=9", "sip:a@h?X=1", None, "9"),
        ('sip:a@h;+sip.instance="<urn:uuid:1>";tag=7', "sip:a@h", None, "7"),
        ('Bob "the" Builder <sip:a@h>;tag=1', "sip:a@h", 'Bob "the" Builder', "1"),
        ('19" Rack <sip:a@h>;tag=1', "sip:a@h", '19" Rack', "1"),
    ],
)
def test_an_address_is_read_with_or_without_brackets(text: str, uri: str, display: str | None, tag: str | None) -> None:
    address = Address.parse(text)
    assert (address.uri, address.display, address.tag) == (uri, display, tag)


@pytest.mark.parametrize("text", ["", ";tag=1", '"Bob"', '"Bob" ;tag=1', "Bob <sip:a@h"])
def test_what_holds_no_uri_is_no_address(text: str) -> None:
    with pytest.raises(HeaderError):
        Address.parse(text)


def test_an_address_is_written_with_brackets_and_escapes() -> None:
    address = Address("sip:a@h", 'B "x" \\', (("q", "0.5"), ("lr", None))).with_tag("t")
    assert str(address) == '"B \\"x\\" \\\\" <sip:a@h>;q=0.5;lr;tag=t'
    assert Address.parse(str(address)) == address


def test_a_display_name_loses_its_control_characters() -> None:
    assert Address.parse('"a\x00\u2028b\x85" <sip:a@h>').display == "ab"


def test_the_strict_uri_of_an_address_is_there_when_wanted() -> None:
    assert Address.parse("<sip:a@H:5070;lr>").sip.hostport == "h:5070"


@pytest.mark.parametrize(
    ("uri", "user", "host", "port", "transport", "loose"),
    [
        ("sip:127.0.0.1:5080", None, "127.0.0.1", 5080, "udp", False),
        ("sip:uas%20x;ext=1@127.0.0.1:5080;transport=TCP;foo=bar", "uas%20x;ext=1", "127.0.0.1", 5080, "tcp", False),
        ("sip:callee-0x55@h", "callee-0x55", "h", None, "udp", False),
        ("sips:[2001:DB8::1];LR", None, "2001:db8::1", None, "tls", True),
        ("sip:p1;lr=on?X=a%40b", None, "p1", None, "udp", True),
        ("sip:a?b/c@h:1;x={}", "a?b/c", "h", 1, "udp", False),
        ("SIP:über@h", "über", "h", None, "udp", False),
    ],
)
def test_a_peers_uri_is_read_tolerantly_and_kept_as_it_came(
    uri: str, user: str | None, host: str, port: int | None, transport: str, loose: bool
) -> None:
    target = Target.parse(uri)
    assert (target.user, target.host, target.port, target.transport, target.loose) == (
        user,
        host,
        port,
        transport,
        loose,
    )
    assert target.uri == uri


@pytest.mark.parametrize("uri", ["tel:+1", "", "sip:", "sip:a@", "sip:a@h:0", "sip:a b@h", "sip:a@h\r\nX: y", "*"])
def test_a_uri_that_leads_nowhere_is_refused(uri: str) -> None:
    with pytest.raises(HeaderError):
        Target.parse(uri)


def test_a_via_is_read_with_space_around_everything() -> None:
    via = Via.parse("SIP  / 2.0  / TCP     spindle.example.com   ;   branch  =   z9hG4bK9ikj8")
    assert (via.transport, via.host, via.port, via.branch) == ("TCP", "spindle.example.com", None, "z9hG4bK9ikj8")


@pytest.mark.parametrize("text", ["SIP/2.0/UDP [2001:db8::9:1]:5070;branch=b", "SIP/2.0/UDP 2001:db8::9:1;branch=b"])
def test_a_via_may_have_ipv6_even_without_brackets(text: str) -> None:
    assert Via.parse(text).host == "2001:db8::9:1"


def test_a_via_keeps_parameters_it_does_not_know() -> None:
    via = Via.parse('SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx;received=127.0.0.1;x-unknown="a;b"')
    assert str(via) == 'SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx;received=127.0.0.1;x-unknown="a;b"'
    assert via.param("x-unknown") == '"a;b"'


def test_received_is_noted_when_sent_by_differs() -> None:
    marked = Via.parse("SIP/2.0/UDP phone.example;branch=b").with_source("192.0.2.1", 1234)
    assert str(marked) == "SIP/2.0/UDP phone.example;branch=b;received=192.0.2.1"
    assert marked.reply_to == ("192.0.2.1", 5060)


def test_nothing_is_noted_when_sent_by_is_the_source() -> None:
    via = Via.parse("SIP/2.0/UDP 192.0.2.1:5070;branch=b")
    assert via.with_source("192.0.2.1", 5070) == via


def test_rport_is_filled_in_when_asked_for() -> None:
    marked = Via.parse("SIP/2.0/UDP 192.0.2.1:5070;rport;branch=b").with_source("192.0.2.1", 1234)
    assert str(marked) == "SIP/2.0/UDP 192.0.2.1:5070;branch=b;received=192.0.2.1;rport=1234"
    assert marked.reply_to == ("192.0.2.1", 1234)


def test_a_response_goes_to_maddr_first_and_to_the_default_port_of_the_transport() -> None:
    assert Via.parse("SIP/2.0/UDP h;maddr=224.0.1.75;received=1.2.3.4").reply_to == ("224.0.1.75", 5060)
    assert Via.parse("SIP/2.0/TLS h").reply_to == ("h", 5061)


@pytest.mark.parametrize("text", ["", "UDP h", "SIP/2.0/UDP", "SIP/2.0/UDP h:99999", "SIP/2.0/UDP ;x", ";;,;,,"])
def test_a_via_without_protocol_or_host_is_refused(text: str) -> None:
    with pytest.raises(HeaderError):
        Via.parse(text)


def test_cseq_is_a_number_and_a_method() -> None:
    assert parse_cseq("0009   INVITE ") == (9, "INVITE")
    for text in ("", "INVITE", "1", "2147483648 INVITE", "36893488147419103232 REGISTER", "-1 INVITE", "1 IN VITE"):
        with pytest.raises(HeaderError):
            parse_cseq(text)


def test_lists_are_split_outside_quotes_and_brackets() -> None:
    assert split_list('"a, b" <sip:x,y@h>, <sip:c@h>;x="1,2" ,, sip:d@h') == [
        '"a, b" <sip:x,y@h>',
        '<sip:c@h>;x="1,2"',
        "sip:d@h",
    ]
    assert split_list(" ") == []


def test_host_and_port_are_written_with_brackets_for_ipv6() -> None:
    assert hostport("::1", 5060) == "[::1]:5060"
    assert hostport("h", None) == "h"


@given(st.ip_addresses(), st.none() | st.integers(1, 65535))
def test_host_and_port_come_back_as_written(address: object, port: int | None) -> None:
    assert parse_hostport(hostport(str(address), port)) == (str(address).lower(), port)


@pytest.mark.parametrize(
    "unit", [" ", "<", ">", ";", '"', "\\", '\\"', ",", "=", ":", "@", "a", "[", "?", "%", "/", "\t"]
)
@pytest.mark.parametrize("start", ["", '"', "<", "sip:", "SIP/2.0/UDP h;", "SIP/2.0/UDP ", "<sip:a@h>;x=", "1 "])
def test_64_kb_of_anything_is_read_in_linear_time(start: str, unit: str) -> None:
    text = start + unit * (65536 // len(unit)) + "x"
    for read in (Address.parse, Target.parse, Via.parse, parse_cseq, split_list, parse_hostport):
        begun = time.process_time()
        with contextlib.suppress(HeaderError):
            read(text)
        assert time.process_time() - begun < 0.1, read
