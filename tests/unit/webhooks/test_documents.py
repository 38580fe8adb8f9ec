"""Documents from a real server that redirects, misbehaves and looks at the signatures."""

import asyncio
import base64
import ipaddress
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from app.calls.address import AddressPolicy
from app.calls.callback import HttpMethod
from app.calls.errors import NotFound, Unavailable
from app.calls.sid import AccountSid
from app.calls.sources import DocumentRequest, FetchedDocument, SourceError
from app.store.accounts import SigningSecrets
from app.webhooks.documents import DocumentFetcher
from app.webhooks.guard import Guard
from app.webhooks.limits import Limits
from app.webhooks.transport import Transport
from tests.kit import receiver as kit
from tests.kit.receiver import Receiver, Seen, receiver
from tests.kit.tls import Authority

ALLOWED = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.1/32"), ipaddress.ip_network("127.0.0.2/32")))
ACCOUNT = AccountSid("AC" + "1" * 32)
SECRETS = SigningSecrets("token", tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)))
PARAMETERS = (("CallSid", "CA1"), ("From", "sip:a@b"), ("SipHeader_X-Ä", "ü & 1"))
DOCUMENT = b"<Response><Hangup/></Response>"
BASIC = "Basic " + base64.b64encode(b"user:p@ss").decode()


async def secrets_of(account: AccountSid) -> SigningSecrets:
    return SECRETS


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with Transport(Guard(ALLOWED), Limits(connect=1.0)) as made:
        yield made


@pytest.fixture
def documents(transport: Transport) -> DocumentFetcher:
    return DocumentFetcher(transport, secrets_of)


async def fetch(documents: DocumentFetcher, url: str, method: HttpMethod = "POST") -> FetchedDocument:
    return await documents.fetch(DocumentRequest(ACCOUNT, url, method, PARAMETERS))


async def refusal(documents: DocumentFetcher, url: str, method: HttpMethod = "POST") -> str:
    with pytest.raises(SourceError) as raised:
        await fetch(documents, url, method)
    return str(raised.value)


def with_credentials(there: Receiver, path: str = "/") -> str:
    return there.url.replace("://", "://user:p%40ss@") + path


def check_signatures(there: Receiver, seen: Seen) -> None:
    url = there.url + seen.target
    given = seen.headers["x-twilio-signature"]
    assert RequestValidator(SECRETS.auth_token).validate(url, seen.form if seen.method == "POST" else {}, given)
    payload = seen.body if seen.method == "POST" else seen.target.partition("?")[2].encode()
    for secret in SECRETS.webhook_secrets:
        # Signed again, because the library's own check wants JSON.
        at = datetime.fromtimestamp(int(seen.headers["webhook-timestamp"]), UTC)
        expected = Webhook(secret).sign(seen.headers["webhook-id"], at, payload.decode())
        assert expected in seen.headers["webhook-signature"].split(" ")


async def test_a_post_carries_the_parameters_and_both_signatures(documents: DocumentFetcher) -> None:
    async with receiver(kit.status(200, DOCUMENT, Content_Type="text/xml")) as there:
        fetched = await fetch(documents, there.url + "/doc?a=b")
    assert fetched == FetchedDocument(there.url + "/doc?a=b", DOCUMENT, "text/xml")
    (seen,) = there.requests
    assert (seen.method, seen.target, seen.form) == ("POST", "/doc?a=b", dict(PARAMETERS))
    assert "authorization" not in seen.headers and "cookie" not in seen.headers
    check_signatures(there, seen)


async def test_a_get_has_them_behind_its_own_query(documents: DocumentFetcher) -> None:
    async with receiver(kit.status(200, DOCUMENT), kit.status(200, DOCUMENT)) as there:
        fetched = await fetch(documents, there.url + "/doc?a=b", "GET")
        await fetch(documents, there.url, "GET")
    assert fetched.url == there.url + "/doc?a=b"
    assert there.requests[0].query == {"a": "b", **dict(PARAMETERS)}
    assert there.requests[1].query == dict(PARAMETERS)
    assert there.requests[0].body == b""
    for seen in there.requests:
        check_signatures(there, seen)


async def test_an_empty_answer_is_an_empty_document(documents: DocumentFetcher) -> None:
    async with receiver(kit.status(204)) as there:
        assert (await fetch(documents, there.url)).content == b""


async def test_user_information_becomes_basic_authentication_and_stays_in_the_base(documents: DocumentFetcher) -> None:
    async with receiver(kit.status(200, DOCUMENT)) as there:
        fetched = await fetch(documents, with_credentials(there, "/a"))
    assert there.requests[0].headers["authorization"] == BASIC
    assert fetched.url == with_credentials(there, "/a")
    check_signatures(there, there.requests[0])


@pytest.mark.parametrize(("code", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_a_redirect_keeps_the_method_only_when_it_says_so(
    documents: DocumentFetcher, code: int, method: str
) -> None:
    async with receiver(kit.status(code, Location="/there?x=1#part"), kit.status(200, DOCUMENT)) as there:
        fetched = await fetch(documents, there.url + "/here")
    first, second = there.requests
    assert (second.method, second.target) == (method, "/there?x=1")
    assert second.form == (dict(PARAMETERS) if method == "POST" else {})
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert fetched.url == there.url + "/there?x=1"
    check_signatures(there, second)


async def test_a_password_stays_with_its_origin(documents: DocumentFetcher) -> None:
    async with (
        receiver() as there,
        receiver(host="127.0.0.2") as elsewhere,
        receiver() as other_port,
    ):
        there.answers = [
            kit.status(302, Location="/same"),
            kit.status(302, Location=there.url + "/whole"),
            kit.redirect(elsewhere.url + "/out"),
            kit.redirect(other_port.url + "/port"),
            kit.status(200, DOCUMENT),
        ]
        elsewhere.answers = [kit.redirect(there.url + "/back")]
        other_port.answers = [kit.redirect(there.url + "/end")]
        fetched = await fetch(documents, with_credentials(there))
        assert [seen.headers.get("authorization") for seen in there.requests] == [BASIC] * 5
        for others in (elsewhere, other_port):
            assert [seen.headers.get("authorization") for seen in others.requests] == [None]
        assert fetched.url == with_credentials(there, "/end")


async def test_the_base_of_another_host_has_no_password(documents: DocumentFetcher) -> None:
    async with receiver(host="127.0.0.2") as elsewhere, receiver(kit.redirect(elsewhere.url + "/out")) as there:
        elsewhere.otherwise = kit.status(200, DOCUMENT)
        assert (await fetch(documents, with_credentials(there))).url == elsewhere.url + "/out"


async def test_a_password_that_the_redirect_brings_along_is_used(documents: DocumentFetcher) -> None:
    async with receiver(host="127.0.0.2") as elsewhere, receiver(kit.redirect(with_credentials(elsewhere))) as there:
        elsewhere.otherwise = kit.status(200, DOCUMENT)
        await fetch(documents, there.url)
    assert elsewhere.requests[0].headers["authorization"] == BASIC


async def test_ten_redirects_are_followed_and_eleven_are_not(documents: DocumentFetcher) -> None:
    async with receiver(*[kit.redirect("/again")] * 10, kit.status(200, DOCUMENT)) as there:
        assert (await fetch(documents, there.url)).content == DOCUMENT
    async with receiver() as there:
        there.otherwise = kit.redirect("/again")
        assert await refusal(documents, there.url) == "127.0.0.1: more than 10 redirects"
        assert len(there.requests) == 11


async def test_cookies_are_not_kept(documents: DocumentFetcher) -> None:
    async with receiver(
        kit.status(302, Location="/b", Set_Cookie="a=b; Path=/"), kit.status(200, DOCUMENT, Set_Cookie="c=d")
    ) as there:
        there.otherwise = kit.status(200, DOCUMENT)
        await fetch(documents, there.url)
        await fetch(documents, there.url)
    assert not [seen for seen in there.requests if "cookie" in seen.headers]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.3:{port}/", "http://[::1]:{port}/", "http://169.254.169.254/x", "http://2130706435:{port}/"]
)
async def test_an_address_that_is_denied_gets_no_packet_from_a_redirect_either(
    documents: DocumentFetcher, url: str
) -> None:
    async with receiver(host="127.0.0.3") as denied, receiver() as there:
        there.otherwise = kit.redirect(url.format(port=denied.port))
        assert "address-denied" in await refusal(documents, url.format(port=denied.port))
        assert "address-denied" in await refusal(documents, there.url)
        assert "address-denied" in await refusal(documents, there.url, "GET")
        assert denied.connections == 0


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (kit.status(404), "127.0.0.1: status 404"),
        (kit.status(500, b"x"), "127.0.0.1: status 500"),
        (kit.status(304), "127.0.0.1: status 304"),
        (kit.status(302), "127.0.0.1: status 302 without a Location"),
        (kit.redirect("file:///etc/passwd"), "redirects to where nothing can be fetched"),
        (kit.redirect("http://"), "127.0.0.1: "),
        (kit.redirect("http://[::1/"), "127.0.0.1: "),
        (kit.endless(), "127.0.0.1: answer larger than 64 KiB"),
        (kit.status(200, b"x" * 65_537), "127.0.0.1: answer larger than 64 KiB"),
        (kit.gzip_bomb(), "127.0.0.1: the answer is compressed, which was not asked for"),
        (kit.reset(), "127.0.0.1: connection"),
        (kit.raw(b"nonsense\r\n\r\n", close=True), "127.0.0.1: the answer is not HTTP/1"),
    ],
)
async def test_what_is_no_document_is_told_in_a_sentence(
    documents: DocumentFetcher, reply: kit.Reply, text: str
) -> None:
    async with receiver() as there:
        there.otherwise = reply
        said = await refusal(documents, with_credentials(there, "/path?token=1"))
    assert text in said
    assert "p%40ss" not in said and "p@ss" not in said and "token" not in said and len(said) < 300


async def test_a_document_may_have_64_kib(documents: DocumentFetcher) -> None:
    async with receiver(kit.status(200, b"x" * 65_536)) as there:
        assert len((await fetch(documents, there.url)).content) == 65_536


@pytest.mark.parametrize(
    "reply", [kit.hang(), kit.drip(), kit.drip(b"HTTP/1.1 200 OK\r\nX-A: ")], ids=["hang", "drip", "head"]
)
async def test_a_slow_server_has_so_many_seconds_in_all(transport: Transport, reply: kit.Reply) -> None:
    documents = DocumentFetcher(transport, secrets_of, seconds=0.5)
    async with receiver(kit.redirect("/b"), kit.redirect("/c")) as there:
        there.otherwise = reply
        started = time.monotonic()
        assert await refusal(documents, there.url) == "127.0.0.1: timeout after 0.5 s"
        assert time.monotonic() - started < 3


async def test_a_refused_connection_and_an_unknown_host_name_themselves(documents: DocumentFetcher) -> None:
    async with receiver() as there:
        pass
    assert await refusal(documents, there.url) == "127.0.0.1: connect: refused"
    assert "host.invalid: dns" in await refusal(documents, "http://user:secret@host.invalid/x")


async def test_a_bad_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        receiver(tls=authority.server("127.0.0.1"), name="127.0.0.1") as good,
        receiver(tls=authority.server("127.0.0.1", expired=True)) as bad,
        Transport(Guard(ALLOWED), tls=authority.client()) as transport,
    ):
        documents = DocumentFetcher(transport, secrets_of)
        good.otherwise = kit.status(200, DOCUMENT)
        assert (await fetch(documents, good.url)).content == DOCUMENT
        good.otherwise = kit.redirect(bad.url)
        assert await refusal(documents, good.url) == "127.0.0.1: tls: certificate expired"
        assert bad.requests == []


async def test_running_calls_go_on_with_the_last_secrets_while_the_database_is_away(transport: Transport) -> None:
    away: list[Exception] = []

    async def read(account: AccountSid) -> SigningSecrets:
        if away:
            raise away[0]
        return SECRETS

    documents = DocumentFetcher(transport, read)
    async with receiver() as there:
        there.otherwise = kit.status(200, DOCUMENT)
        await fetch(documents, there.url)
        away.append(Unavailable("away"))
        assert (await fetch(documents, there.url)).content == DOCUMENT
        check_signatures(there, there.requests[1])
        other = DocumentRequest(AccountSid("AC" + "2" * 32), there.url, "POST", ())
        with pytest.raises(SourceError, match="cannot be read now"):
            await documents.fetch(other)
        away[0] = NotFound("gone")
        assert "secrets cannot be read" in await refusal(documents, there.url)
        assert len(there.requests) == 2


async def test_parallel_fetches_do_not_wait_for_each_other(documents: DocumentFetcher) -> None:
    async with receiver() as slow, receiver() as there:
        slow.otherwise, there.otherwise = kit.hang(), kit.status(200, DOCUMENT)
        hanging = [asyncio.create_task(fetch(documents, slow.url)) for _ in range(30)]
        await slow.wait_for(30)
        assert (await fetch(documents, there.url)).content == DOCUMENT
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
