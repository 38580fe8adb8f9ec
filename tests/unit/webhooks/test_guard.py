"""No spelling of a refused address gets a packet; what is checked is what is dialled."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.calls.address import AddressPolicy
from app.webhooks.failures import AddressDenied
from app.webhooks.guard import Guard
from app.webhooks.limits import Limits
from app.webhooks.transport import Transport
from tests.kit import receiver as kit
from tests.kit.receiver import Receiver, receiver

STRICT = AddressPolicy("DIAL_HTTP_ALLOW")
LOOPBACK = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "127。0。0。1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "2852039166",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "[fd00:ec2::254]",
]


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    async with receiver(host="::") as running:
        yield running


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_a_refused_address_gets_a_packet(there: Receiver, host: str) -> None:
    async with Transport(Guard(STRICT), Limits(connect=2.0)) as transport:
        with pytest.raises((httpx.ConnectError, httpx.InvalidURL)) as raised:
            await transport.handle_async_request(httpx.Request("POST", f"http://{host}:{there.port}/"))
    assert str(raised.value).startswith(("address-denied: ", "dns: ", "Invalid IPv4 address"))
    if isinstance(raised.value, AddressDenied):
        assert "DIAL_HTTP_ALLOW" in str(raised.value)
    assert there.connections == 0


async def test_an_allowed_range_is_reached_in_any_spelling(there: Receiver) -> None:
    async with Transport(Guard(LOOPBACK)) as transport:
        for host in ("127.0.0.1", "127.1", "0x7f.1", "2130706433"):
            await transport.handle_async_request(httpx.Request("POST", f"http://{host}:{there.port}/"))
    assert len(there.requests) == 4


class Names:
    """Answers in place of this host's name servers, one after the other; everything else goes to the system."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self._system = socket.getaddrinfo

    def __call__(self, host: bytes | str, *args: Any, **kwargs: Any) -> list[Any]:
        if host != b"name.example":
            return self._system(host, *args, **kwargs)
        self.asked += 1
        return [entry for address in self.answers.pop(0) for entry in self._system(address, *args, **kwargs)]


async def test_a_name_that_rebinds_is_refused_at_the_attempt_that_sees_it(
    monkeypatch: pytest.MonkeyPatch, there: Receiver
) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", names)
    request = httpx.Request("POST", f"http://name.example:{there.port}/")
    async with Transport(Guard(LOOPBACK), Limits(kept_per_origin=0)) as transport:
        await transport.handle_async_request(request)
        with pytest.raises(AddressDenied, match=r"10\.0\.0\.1"):
            await transport.handle_async_request(request)
    assert there.connections == 1
    assert names.asked == 2  # once per attempt: nobody resolves again between check and dial
    assert there.requests[0].headers["host"] == f"name.example:{there.port}"


async def test_only_the_permitted_addresses_of_a_name_are_dialled(
    monkeypatch: pytest.MonkeyPatch, there: Receiver
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["::1", "10.0.0.1", "127.0.0.1"]))
    assert await Guard(LOOPBACK).addresses("name.example") == ["127.0.0.1"]


async def test_the_next_address_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(["127.0.0.2", "127.0.0.1"]))
    async with receiver(kit.status(200)) as there, Transport(Guard(LOOPBACK)) as transport:
        response = await transport.handle_async_request(httpx.Request("POST", f"http://name.example:{there.port}/"))
    assert response.status_code == 200


async def test_a_name_that_does_not_exist_is_a_short_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(httpx.ConnectError, match=r"^dns: no such host$"):
        await Guard(STRICT).addresses("name.example")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example", "name\x00.example"])
async def test_a_name_that_dns_cannot_carry_is_an_error_like_any_other(host: str) -> None:
    with pytest.raises(httpx.ConnectError, match=r"^dns: "):
        await Guard(STRICT).addresses(host)


async def test_a_name_server_that_hangs_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch, there: Receiver) -> None:
    system, hung = socket.getaddrinfo, threading.Event()

    def hang(host: bytes, *args: Any, **kwargs: Any) -> list[Any]:
        if host.endswith(b".slow.example"):
            hung.wait(20)
        return system("127.0.0.1" if host != b"localhost" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    async with Transport(Guard(LOOPBACK), Limits(connect=0.3)) as transport:
        slow = [
            asyncio.create_task(transport.handle_async_request(httpx.Request("POST", f"http://{n}.slow.example/")))
            for n in range(40)
        ]
        await transport.handle_async_request(httpx.Request("POST", f"http://localhost:{there.port}/"))
        ends = await asyncio.gather(*slow, return_exceptions=True)
        hung.set()
    assert {str(end) for end in ends} == {"dns: timeout after 0.3 s"}
