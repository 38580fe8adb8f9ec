"""Sound files from a real server: limits, redirects, and asking whether a stored one is still right."""

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.calls.address import AddressPolicy
from app.calls.sources import FetchedMedia, MediaVersion, SourceError
from app.webhooks.guard import Guard
from app.webhooks.media_fetch import LIMITS, MediaFetcher
from app.webhooks.transport import Transport
from tests.kit import receiver as kit
from tests.kit.receiver import receiver

ALLOWED = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("127.0.0.2/32")))
SOUND = b"RIFF" + bytes(1000)
BASIC = "Basic " + base64.b64encode(b"user:pass").decode()
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.fixture
async def media() -> AsyncIterator[MediaFetcher]:
    async with Transport(Guard(ALLOWED), LIMITS) as transport:
        yield MediaFetcher(transport)


async def refusal(media: MediaFetcher, url: str) -> str:
    with pytest.raises(SourceError) as raised:
        await media.get(url)
    return str(raised.value)


async def test_a_file_comes_whole_with_what_its_server_says_about_it(media: MediaFetcher) -> None:
    async with receiver(
        kit.status(200, SOUND, ETag='"a"', Last_Modified=DATE, Cache_Control="max-age=60", Content_Type="text/html")
    ) as there:
        url = there.url.replace("//", "//user:pass@") + "/a.wav?x=1"
        fetched = await media.get(url)
    assert fetched == FetchedMedia(SOUND, MediaVersion(url, '"a"', DATE), 60.0)
    (seen,) = there.requests
    assert (seen.method, seen.target, seen.headers["authorization"]) == ("GET", "/a.wav?x=1", BASIC)
    assert "x-twilio-signature" not in seen.headers and seen.headers["accept-encoding"] == "identity"


async def test_twenty_mebibytes_are_taken_and_a_byte_more_is_not(media: MediaFetcher) -> None:
    async with receiver(kit.status(200, bytes(LIMITS.body)), kit.status(200, bytes(LIMITS.body + 1))) as there:
        assert len((await media.get(there.url)).content or b"") == 20 * 1024 * 1024
        assert await refusal(media, there.url) == "127.0.0.1: answer larger than 20480 KiB"


async def test_a_stored_file_is_asked_about_by_its_tag_else_by_its_date(media: MediaFetcher) -> None:
    async with receiver() as there:
        there.otherwise = kit.status(304, Cache_Control="max-age=7")
        tagged = MediaVersion(there.url + "/a", '"a"', DATE)
        dated = MediaVersion(there.url + "/a", None, DATE)
        assert await media.get(there.url + "/a", tagged) == FetchedMedia(None, tagged, 7.0)
        assert await media.get(there.url + "/a", dated) == FetchedMedia(None, dated, 7.0)
    first, second = there.requests
    assert first.headers["if-none-match"] == '"a"' and "if-modified-since" not in first.headers
    assert second.headers["if-modified-since"] == DATE and "if-none-match" not in second.headers


async def test_only_the_server_that_gave_a_file_is_asked_about_it(media: MediaFetcher) -> None:
    async with receiver(host="127.0.0.2") as elsewhere, receiver() as there:
        there.otherwise = kit.redirect(elsewhere.url + "/a")
        elsewhere.answers = [kit.status(200, SOUND, ETag='"a"'), kit.status(304)]
        version = (await media.get(there.url + "/a")).version
        assert version == MediaVersion(elsewhere.url + "/a", '"a"')
        assert (await media.get(there.url + "/a", version)).content is None
        assert [seen.headers.get("if-none-match") for seen in there.requests] == [None, None]
        assert [seen.headers.get("if-none-match") for seen in elsewhere.requests] == [None, '"a"']
        there.otherwise = kit.status(304)
        assert "status 304" in await refusal(media, there.url + "/a")
        with pytest.raises(SourceError, match="status 304"):
            await media.get(there.url + "/a", version)  # not from the one that was asked about


async def test_a_changed_file_comes_whole(media: MediaFetcher) -> None:
    async with receiver(kit.status(200, SOUND, ETag='"b"')) as there:
        fetched = await media.get(there.url, MediaVersion(there.url, '"a"'))
    assert (fetched.content, fetched.version) == (SOUND, MediaVersion(there.url, '"b"'))


async def test_without_validators_or_with_unusable_ones_it_comes_whole_the_next_time(media: MediaFetcher) -> None:
    answers = [kit.status(200, SOUND), kit.status(200, SOUND, ETag="\xe4\xf6"), kit.status(200, SOUND, ETag="x" * 2000)]
    async with receiver() as there:
        there.answers = answers[:1]
        assert (await media.get(there.url)).version is None
        there.answers = [kit.raw(b'HTTP/1.1 200 OK\r\nETag: "\xe4"\r\nContent-Length: 1\r\n\r\nx')]
        assert (await media.get(there.url)).version is None
        there.answers = answers[2:]
        assert (await media.get(there.url)).version is None


async def test_what_must_not_be_stored_is_said(media: MediaFetcher) -> None:
    async with receiver(kit.status(200, SOUND, Cache_Control="no-store", ETag='"a"')) as there:
        fetched = await media.get(there.url)
    assert not fetched.may_keep and fetched.fresh == 0


async def test_a_password_is_not_shown_to_another_host(media: MediaFetcher) -> None:
    async with receiver(host="127.0.0.2") as elsewhere, receiver(kit.redirect(elsewhere.url)) as there:
        elsewhere.otherwise = kit.status(200, SOUND)
        await media.get(there.url.replace("//", "//user:pass@"))
    assert there.requests[0].headers["authorization"] == BASIC
    assert "authorization" not in elsewhere.requests[0].headers


@pytest.mark.parametrize(
    "url", ["http://127.0.0.3:{port}/a.wav", "http://[::ffff:127.0.0.3]:{port}/", "http://10.0.0.1/"]
)
async def test_denied_addresses_get_no_packet(media: MediaFetcher, url: str) -> None:
    async with receiver(host="127.0.0.3") as denied, receiver() as there:
        there.otherwise = kit.redirect(url.format(port=denied.port))
        assert "address-denied" in await refusal(media, url.format(port=denied.port))
        assert "address-denied" in await refusal(media, there.url)
        assert denied.connections == 0


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (kit.status(404), "127.0.0.1: status 404"),
        (kit.status(206, SOUND), "127.0.0.1: status 206"),
        (kit.status(204), "127.0.0.1: status 204"),
        (kit.status(200), "127.0.0.1: the file is empty"),
        (kit.redirect("ftp://127.0.0.1/a"), "127.0.0.1: the URL is neither http nor https"),
    ],
)
async def test_what_is_no_file_is_told_in_a_sentence(media: MediaFetcher, reply: kit.Reply, text: str) -> None:
    async with receiver(reply) as there:
        assert text in await refusal(media, there.url + "/a?token=1")


async def test_a_server_that_says_nothing_or_drips_is_left() -> None:
    limits = replace(LIMITS, first_byte=0.3, total=0.6)
    async with Transport(Guard(ALLOWED), limits) as transport, receiver() as there:
        media = MediaFetcher(transport, seconds=1.0)
        there.answers = [kit.hang()]
        assert await refusal(media, there.url) == "127.0.0.1: no answer within 0.3 s"
        there.answers = [kit.drip()]
        assert await refusal(media, there.url) == "127.0.0.1: timeout after 0.6 s"
        there.answers = [kit.status(200, SOUND)]
        assert (await media.get(there.url)).content == SOUND


async def test_a_slow_host_has_four_turns_and_leaves_the_others_theirs(media: MediaFetcher) -> None:
    async with receiver(host="127.0.0.2") as slow, receiver() as there:
        slow.otherwise, there.otherwise = kit.hang(), kit.status(200, SOUND)
        hanging = [asyncio.create_task(media.get(slow.url)) for _ in range(20)]
        await slow.wait_for(4)
        for _ in range(5):
            assert (await media.get(there.url)).content == SOUND
        assert len(slow.requests) == 4
        for task in hanging[:4]:
            task.cancel()
        await slow.wait_for(8)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        slow.otherwise = kit.status(200, SOUND)
        assert (await media.get(slow.url)).content == SOUND
