"""The transport against a real receiver on loopback that misbehaves in every way."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvloop

from app.calls.address import AddressPolicy
from app.webhooks.failures import AnswerTooLarge
from app.webhooks.guard import Guard
from app.webhooks.limits import Limits
from app.webhooks.transport import Transport, default_tls, origin_of
from tests.kit import receiver as kit
from tests.kit.receiver import receiver
from tests.kit.tls import Authority

LOOPBACK = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
QUICK = Limits(connect=1.0, total=0.3)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport(Guard(LOOPBACK)) as made:
        yield made


@pytest.fixture
async def quick() -> AsyncIterator[Transport]:
    async with Transport(Guard(LOOPBACK), QUICK) as made:
        yield made


def post(url: str) -> httpx.Request:
    return httpx.Request("POST", url, content=b"a=1")


async def body_of(transport: Transport, url: str) -> bytes:
    response = await transport.handle_async_request(post(url))
    return await response.aread()


async def test_requests_one_after_the_other_share_a_connection(transport: Transport) -> None:
    async with receiver() as there:
        for _ in range(3):
            await transport.handle_async_request(post(there.url + "/a?b=c"))
    assert [(seen.target, seen.body, seen.connection) for seen in there.requests] == [("/a?b=c", b"a=1", 1)] * 3


async def test_parallel_requests_have_a_connection_each_and_eight_are_kept(transport: Transport) -> None:
    async with receiver() as there:
        await asyncio.gather(*(transport.handle_async_request(post(there.url)) for _ in range(20)))
        assert there.connections == 20
        await asyncio.gather(*(transport.handle_async_request(post(there.url)) for _ in range(8)))
        assert there.connections == 20
        await asyncio.gather(*(transport.handle_async_request(post(there.url)) for _ in range(9)))
        assert there.connections == 21


async def test_an_httpx_client_works_on_it(transport: Transport) -> None:
    async with receiver(kit.status(200, b"hello", Content_Type="text/plain")) as there:
        client = httpx.AsyncClient(transport=transport)
        assert (await client.post(there.url, data={"a": "1"})).text == "hello"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
            b"abcde",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_every_framing_is_read_and_the_connection_kept(transport: Transport, answer: bytes, body: bytes) -> None:
    async with receiver(kit.raw(answer)) as there:
        assert await body_of(transport, there.url) == body
        await transport.handle_async_request(post(there.url))
        assert there.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\nab",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
    ],
)
async def test_an_answer_that_ends_with_its_connection_is_whole(transport: Transport, answer: bytes) -> None:
    async with receiver(kit.raw(answer, close=True)) as there:
        assert await body_of(transport, there.url) == b"ab"
        await transport.handle_async_request(post(there.url))
        assert there.connections == 2


async def test_what_follows_an_answer_is_never_taken_for_the_next_one(transport: Transport) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"
    async with receiver(kit.raw(smuggled), kit.status(200, b"c")) as there:
        assert await body_of(transport, there.url) == b"a"
        assert await body_of(transport, there.url) == b"c"


async def test_a_kept_connection_that_died_is_replaced_at_once(transport: Transport) -> None:
    async with receiver(kit.status(204), kit.reset(), kit.status(200, b"again")) as there:
        await transport.handle_async_request(post(there.url))
        assert await body_of(transport, there.url) == b"again"
        assert [seen.connection for seen in there.requests] == [1, 1, 2]


async def test_connections_that_the_receiver_closed_are_forgotten(transport: Transport) -> None:
    async with receiver() as there:
        await transport.handle_async_request(post(there.url))
        there.drop_connections()
        await transport.handle_async_request(post(there.url))
        assert [seen.connection for seen in there.requests] == [1, 2]


async def test_connections_that_nobody_needs_are_closed_after_a_while() -> None:
    async with receiver() as there, Transport(Guard(LOOPBACK), Limits(idle=0.1)) as transport:
        await transport.handle_async_request(post(there.url))
        assert there.open_connections == 1
        async with asyncio.timeout(5):
            while there.open_connections:
                await asyncio.sleep(0.01)


async def test_all_origins_together_keep_a_bounded_number_of_connections() -> None:
    async with receiver(host="0.0.0.0") as there, Transport(Guard(LOOPBACK), Limits(kept=3)) as transport:
        for n in range(6):
            await transport.handle_async_request(post(f"http://127.0.0.{n + 1}:{there.port}/"))
        async with asyncio.timeout(5):
            while there.open_connections > 3:
                await asyncio.sleep(0.01)
        await transport.handle_async_request(post(f"http://127.0.0.6:{there.port}/"))
        assert there.connections == 6


async def test_a_new_connection_that_dies_is_not_tried_again(transport: Transport) -> None:
    async with receiver(kit.reset()) as there:
        with pytest.raises(httpx.ReadError, match=r"^connection (closed|reset) before an answer$"):
            await transport.handle_async_request(post(there.url))
        assert len(there.requests) == 1


async def test_an_answer_cut_short_is_an_error_and_not_repeated(transport: Transport) -> None:
    cut = kit.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", close=True)
    async with receiver(kit.status(204), cut) as there:
        await transport.handle_async_request(post(there.url))
        with pytest.raises(httpx.ReadError, match="in the middle of the answer"):
            await transport.handle_async_request(post(there.url))
        assert len(there.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        kit.endless(),
        kit.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        kit.endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"e" * 4096),
        kit.status(200, b"x" * 65537),
    ],
)
async def test_an_answer_over_the_cap_is_cut(transport: Transport, reply: kit.Reply) -> None:
    async with receiver(reply) as there:
        with pytest.raises(AnswerTooLarge, match=r"^answer larger than 64 KiB$") as raised:
            await transport.handle_async_request(post(there.url))
        assert raised.value.status == 200
        assert len(raised.value.start) <= 65536


async def test_an_answer_of_exactly_the_cap_is_whole(transport: Transport) -> None:
    async with receiver(kit.status(200, b"x" * 65536)) as there:
        assert len(await body_of(transport, there.url)) == 65536


@pytest.mark.parametrize(
    "reply",
    [
        kit.endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4096),
        kit.endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        kit.raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"),
        kit.endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
    ],
)
async def test_headers_over_the_cap_are_cut(transport: Transport, reply: kit.Reply) -> None:
    async with receiver(reply) as there:
        with pytest.raises(httpx.RemoteProtocolError, match=r"^answer headers larger than 16 KiB$"):
            await transport.handle_async_request(post(there.url))


async def test_a_gzip_bomb_stays_as_small_as_it_came(transport: Transport) -> None:
    async with receiver(kit.gzip_bomb()) as there:
        client = httpx.AsyncClient(transport=transport)
        assert len((await client.get(there.url)).content) < 65536


@pytest.mark.parametrize("reply", [kit.hang(), kit.drip(), kit.drip(b"HTTP/1.1 200 OK\r\nX: ")])
async def test_the_deadline_is_for_the_whole_exchange(quick: Transport, reply: kit.Reply) -> None:
    async with receiver(reply) as there:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout, match=r"^timeout after 0.3 s$"):
            await quick.handle_async_request(post(there.url))
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 64, b"HTTP/1.1 abc\r\n\r\n", b"HTTP/2 200\r\n\r\n"]
)
async def test_what_is_not_http_is_an_error(transport: Transport, answer: bytes) -> None:
    async with receiver(kit.raw(answer)) as there:
        with pytest.raises(httpx.RemoteProtocolError, match="not HTTP/1"):
            await transport.handle_async_request(post(there.url))


async def test_a_change_of_protocol_is_an_error(transport: Transport) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi"
    async with receiver(kit.raw(upgrade)) as there:
        with pytest.raises(httpx.RemoteProtocolError, match="changes the protocol"):
            await transport.handle_async_request(post(there.url))


async def test_a_redirect_is_an_answer_like_any_other(transport: Transport) -> None:
    async with receiver() as other, receiver(kit.redirect(other.url)) as there:
        assert (await transport.handle_async_request(post(there.url))).status_code == 302
        assert other.requests == []


async def test_cookies_are_not_kept(transport: Transport) -> None:
    async with receiver(kit.status(204, Set_Cookie="a=b")) as there:
        await transport.handle_async_request(post(there.url))
        await transport.handle_async_request(post(there.url))
        assert "cookie" not in there.requests[1].headers


async def test_a_closed_port_is_refused(transport: Transport) -> None:
    async with receiver() as there:
        url = there.url
    with pytest.raises(httpx.ConnectError, match=r"^connect: refused$"):
        await transport.handle_async_request(post(url))


async def test_a_cancelled_request_leaves_no_connection(transport: Transport) -> None:
    async with receiver(kit.hang()) as there:
        task = asyncio.create_task(transport.handle_async_request(post(there.url)))
        await there.wait_for(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            while there.open_connections:
                await asyncio.sleep(0)


async def test_a_good_certificate_is_accepted_for_its_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    transport = Transport(Guard(LOOPBACK), tls=authority.client())
    async with transport, receiver(tls=authority.server("localhost"), name="localhost") as there:
        for _ in range(2):
            assert (await transport.handle_async_request(post(there.url))).status_code == 204
        assert there.connections == 1


@pytest.mark.parametrize(
    ("names", "expired", "host", "text"),
    [
        (["localhost"], True, "localhost", "tls: certificate expired"),
        (["other.example"], False, "localhost", "tls: certificate for another host name"),
        (["localhost"], False, "127.0.0.1", "tls: certificate for another address"),
    ],
)
async def test_a_bad_certificate_is_refused(
    tmp_path: Path, names: list[str], expired: bool, host: str, text: str
) -> None:
    authority = Authority(tmp_path)
    transport = Transport(Guard(LOOPBACK), tls=authority.client())
    async with transport, receiver(tls=authority.server(*names, expired=expired), name=host) as there:
        with pytest.raises(httpx.ConnectError, match=f"^{text}$"):
            await transport.handle_async_request(post(there.url))
        assert there.requests == []


async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    server = Authority(tmp_path).server("localhost")
    async with Transport(Guard(LOOPBACK)) as transport, receiver(tls=server, name="localhost") as there:
        with pytest.raises(httpx.ConnectError, match=r"^tls: certificate from an unknown issuer$"):
            await transport.handle_async_request(post(there.url))


async def test_tls_to_a_port_without_it_is_a_short_error(transport: Transport) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        with pytest.raises(httpx.ConnectError, match=r"^tls: [a-z0-9 ]+$"):
            await transport.handle_async_request(post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))


async def test_a_handshake_that_hangs_ends_with_the_connect_time() -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Transport(Guard(LOOPBACK), Limits(connect=0.2)) as transport:
        with pytest.raises(httpx.ConnectTimeout, match=r"^connect: timeout after 0.2 s$"):
            await transport.handle_async_request(post(f"https://127.0.0.1:{port}"))


@pytest.mark.parametrize("url", ["ftp://h/", "http:///x", "http://h:0/", "http://h:70000/"])
def test_what_cannot_be_requested_is_refused_before_any_lookup(url: str) -> None:
    with pytest.raises((httpx.UnsupportedProtocol, httpx.InvalidURL)):
        origin_of(httpx.URL(url))


async def test_a_line_break_in_a_header_is_not_sent(transport: Transport) -> None:
    async with receiver() as there:
        bad = httpx.Request("POST", there.url, headers={"x": "a\r\nInjected: b"})
        with pytest.raises(httpx.LocalProtocolError):
            await transport.handle_async_request(bad)
        assert there.connections == 0


async def test_a_body_of_unknown_length_is_not_sent(transport: Transport) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"

    with pytest.raises(httpx.LocalProtocolError):
        await transport.handle_async_request(httpx.Request("POST", "http://127.0.0.1:9/", content=parts()))


def test_the_default_context_checks_certificates() -> None:
    context = default_tls()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_on_uvloop_the_errors_read_the_same(tmp_path: Path) -> None:
    async def errors() -> list[str]:
        authority = Authority(tmp_path)
        texts = []
        async with (
            Transport(Guard(LOOPBACK), QUICK, tls=authority.client()) as transport,
            receiver(kit.status(204), kit.reset(), kit.status(204), kit.drip()) as plain,
            receiver(tls=authority.server("localhost", expired=True), name="localhost") as expired,
            receiver(tls=authority.server("localhost"), name="localhost") as good,
        ):
            for url in (plain.url, plain.url, plain.url, expired.url, good.url, "http://127.0.0.1:9/"):
                try:
                    texts.append(str((await transport.handle_async_request(post(url))).status_code))
                except httpx.TransportError as error:
                    texts.append(str(error))
        return texts

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(errors()) == [
            "204",
            "204",
            "timeout after 0.3 s",
            "tls: certificate expired",
            "204",
            "connect: refused",
        ]
