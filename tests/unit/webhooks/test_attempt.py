"""One try of one delivery, against a real receiver."""

import base64
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from app.calls.address import AddressPolicy
from app.calls.sid import AccountSid, CallSid, MessageId
from app.store.accounts import SigningSecrets
from app.store.outbox import Delivery, Result
from app.webhooks.attempt import Attempt
from app.webhooks.backoff import Backoff
from app.webhooks.guard import Guard
from app.webhooks.limits import Limits
from app.webhooks.transport import Transport
from tests.kit import receiver as kit
from tests.kit.receiver import Seen, receiver

LOOPBACK = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))
SECRETS = SigningSecrets("token", tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)))
EXACT = Backoff((5, 30), uniform=lambda low, high: 1.0)
FORM = "CallSid=CA1&From=sip%3Aa%40b&Timestamp=Mon%2C+23+Nov+2026+04%3A04%3A01+%2B0000"


def delivery(url: str, *, method: str = "POST", attempt: int = 1) -> Delivery:
    now = datetime.now(UTC)
    return Delivery(
        id=1,
        message_id=MessageId("msg_1"),
        destination_id=1,
        origin="http://h:80",
        account_sid=AccountSid("AC1"),
        call_sid=CallSid("CA1"),
        sequence=0,
        method="GET" if method == "GET" else "POST",
        url=url,
        body=FORM if method == "POST" else None,
        attempt=attempt,
        created_at=now,
        expires_at=now + timedelta(days=1),
        lease_token=1,
        claimed_at=now,
    )


@pytest.fixture
async def attempt() -> AsyncIterator[Attempt]:
    async with Transport(Guard(LOOPBACK), Limits(total=0.3)) as transport:
        yield Attempt(transport, EXACT)


async def attempted(attempt: Attempt, owed: Delivery, secrets: SigningSecrets) -> Result:
    return (await attempt(owed, secrets)).result


def verify(seen: Seen, url: str) -> None:
    payload = seen.body.decode() if seen.method == "POST" else seen.target.partition("?")[2]
    for secret in SECRETS.webhook_secrets:
        Webhook(secret).verify(payload, seen.headers, json_parse=False)
    params = seen.form if seen.method == "POST" else {}
    assert RequestValidator(SECRETS.auth_token).validate(url, params, seen.headers["x-twilio-signature"])


async def test_a_post_carries_the_form_as_it_is_and_both_signatures(attempt: Attempt) -> None:
    async with receiver(kit.status(200, b"thanks")) as there:
        result = await attempted(attempt, delivery(there.url + "/cb?x=1"), SECRETS)
        (seen,) = there.requests
    assert (result.state, result.status, result.error, result.answer) == ("delivered", 200, None, b"thanks")
    assert (seen.method, seen.target, seen.body.decode()) == ("POST", "/cb?x=1", FORM)
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["webhook-id"] == "msg_1"
    verify(seen, there.url + "/cb?x=1")


async def test_a_get_carries_everything_in_its_query(attempt: Attempt) -> None:
    async with receiver() as there:
        await attempted(attempt, delivery(there.url + "/cb?x=1&" + FORM, method="GET"), SECRETS)
        (seen,) = there.requests
    assert (seen.method, seen.target, seen.body) == ("GET", "/cb?x=1&" + FORM, b"")
    assert "content-type" not in seen.headers
    verify(seen, there.url + seen.target)


async def test_a_repeat_has_the_same_id_and_body_and_new_signatures(attempt: Attempt) -> None:
    async with receiver() as there:
        await attempted(attempt, delivery(there.url), SECRETS)
        later = Attempt(attempt._transport, EXACT, now=lambda: datetime.now(UTC) + timedelta(seconds=7))
        await later(delivery(there.url, attempt=2), SECRETS)
        first, second = there.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_user_information_is_sent_as_basic_auth_and_signed_without(attempt: Attempt) -> None:
    async with receiver(kit.status(500)) as there:
        url = there.url.replace("http://", "http://us%40er:s3cret@")
        result = await attempted(attempt, delivery(url + "/cb"), SECRETS)
        (seen,) = there.requests
    assert seen.headers["authorization"] == "Basic " + base64.b64encode(b"us@er:s3cret").decode()
    assert "@" not in seen.headers["host"] + seen.target
    assert "s3cret" not in repr(result)
    verify(seen, there.url + "/cb")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, "status 302: redirects are not followed"),
        (400, "status 400"),
        (404, "status 404"),
        (429, "status 429"),
        (500, "status 500"),
        (503, "status 503"),
    ],
)
async def test_any_other_status_is_owed_again(attempt: Attempt, status: int, error: str) -> None:
    async with receiver(kit.status(status, b"x" * 2000, Location="http://127.0.0.1/")) as there:
        result = await attempted(attempt, delivery(there.url), SECRETS)
    assert (result.state, result.next_in, result.status, result.error) == ("owed", 5, status, error)
    assert result.answer == b"x" * 1024
    assert result.latency_ms >= 0


async def test_the_last_attempt_that_fails_makes_it_dead(attempt: Attempt) -> None:
    async with receiver(otherwise := kit.status(500), otherwise) as there:
        assert (await attempted(attempt, delivery(there.url, attempt=2), SECRETS)).next_in == 30
        assert (await attempted(attempt, delivery(there.url, attempt=3), SECRETS)).state == "dead"


async def test_gone_makes_it_dead_at_once(attempt: Attempt) -> None:
    async with receiver(kit.status(410)) as there:
        result = await attempted(attempt, delivery(there.url), SECRETS)
    assert (result.state, result.next_in, result.status) == ("dead", None, 410)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_or_as_a_date_lengthens_the_wait(attempt: Attempt, status: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=90), usegmt=True)
    values = ["60", date, past, "2", "soon", "-1", "1e9", "Sun, 99 Foo 2026", ""]
    async with receiver(*(kit.status(status, Retry_After=value) for value in values)) as there:
        waits = [(await attempted(attempt, delivery(there.url), SECRETS)).next_in for _ in values]
    assert waits[0] == 60
    assert waits[1] is not None and 85 < waits[1] <= 90
    assert waits[2:] == [5] * 7


async def test_retry_after_with_another_status_means_nothing(attempt: Attempt) -> None:
    async with receiver(kit.status(500, Retry_After="60")) as there:
        assert (await attempted(attempt, delivery(there.url), SECRETS)).next_in == 5


async def test_an_endless_answer_counts_by_its_status(attempt: Attempt) -> None:
    async with receiver(kit.endless(), kit.endless(b"HTTP/1.1 500 Oops\r\n\r\n")) as there:
        good = await attempted(attempt, delivery(there.url), SECRETS)
        bad = await attempted(attempt, delivery(there.url), SECRETS)
    assert (good.state, good.status, len(good.answer)) == ("delivered", 200, 1024)
    assert (bad.state, bad.status, bad.error) == ("owed", 500, "status 500")


async def test_an_answer_that_never_ends_in_time_is_a_failure(attempt: Attempt) -> None:
    async with receiver(kit.drip()) as there:
        result = await attempted(attempt, delivery(there.url), SECRETS)
    assert (result.state, result.status, result.error) == ("owed", None, "timeout after 0.3 s")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://10.0.0.1/", "address-denied: 10.0.0.1 is in a refused range; DIAL_HTTP_ALLOW"),
        ("ftp://h/", "the URL is neither http nor https"),
        ("http://h:99999/", "the URL has no host, or a port"),
        ("http://u:s3cret@h:x/", "Invalid port"),
        ("http://u:s3cret@a\nb/", "Invalid non-printable ASCII"),
        ("no url at all", "the URL is neither http nor https"),
        ("http://[::1", "Invalid"),
    ],
)
async def test_what_cannot_be_sent_is_owed_again_with_a_short_reason(attempt: Attempt, url: str, error: str) -> None:
    result = await attempted(attempt, delivery(url), SECRETS)
    assert (result.state, result.next_in, result.status) == ("owed", 5, None)
    assert result.error is not None
    assert result.error.startswith(error)
    assert "s3cret" not in result.error


async def test_a_poison_row_burns_its_attempt_like_any_other(attempt: Attempt) -> None:
    async with receiver() as there:
        broken = replace(delivery(there.url), body="\udcff")
        no_secret = replace(SECRETS, webhook_secrets=("whsec_",))
        assert (await attempted(attempt, broken, SECRETS)).error == "cannot be sent: UnicodeEncodeError"
        assert (
            await attempted(attempt, delivery(there.url), no_secret)
        ).error == "cannot be sent: EmptyWebhookSecretError"


@pytest.mark.parametrize(
    ("reply", "well"),
    [
        (kit.status(204), True),
        (kit.status(302), True),
        (kit.status(404), True),
        (kit.status(410), True),
        (kit.status(429), False),
        (kit.status(500), False),
        (kit.reset(), False),
        (kit.hang(), False),
    ],
)
async def test_the_breaker_hears_of_what_the_destination_is_to_blame_for(
    attempt: Attempt, reply: kit.Reply, well: bool
) -> None:
    async with receiver(reply) as there:
        assert (await attempt(delivery(there.url), SECRETS)).well is well


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "ftp://h/"])
async def test_the_breaker_hears_nothing_of_what_was_not_sent(attempt: Attempt, url: str) -> None:
    assert (await attempt(delivery(url), SECRETS)).well is None


async def test_a_machine_whose_clock_is_a_day_ahead_does_not_think_a_delivery_expired(attempt: Attempt) -> None:
    async with receiver(kit.status(500)) as there:
        ahead = Attempt(attempt._transport, EXACT, now=lambda: datetime.now(UTC) + timedelta(days=1, hours=1))
        result = await attempted(ahead, delivery(there.url), SECRETS)
    assert result.state == "owed"
