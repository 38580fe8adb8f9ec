"""Both signatures, checked with the libraries that receivers use."""

import base64
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from twilio.request_validator import RequestValidator

from app.webhooks import signature, target

TOKEN = "12345"
FORM = urlencode({"CallSid": "CA1", "From": "sip:böb@h", "Caller": "+1", "Empty": "", "To": "a b&c=d"})
SECRETS = tuple("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@pytest.mark.parametrize(
    ("given_url", "seen_url"),
    [
        ("https://app.example/cb", "https://app.example/cb"),
        ("https://app.example", "https://app.example/"),
        ("https://app.example?a=b", "https://app.example/?a=b"),
        ("https://app.example/cb?", "https://app.example/cb"),
        ("https://app.example/cb?a=b&c=%20d", "https://app.example/cb?a=b&c=%20d"),
        ("https://app.example:443/cb", "https://app.example/cb"),
        ("http://app.example:80/cb", "http://app.example/cb"),
        ("https://app.example:8443/cb", "https://app.example:8443/cb"),
        ("http://APP.example:8080/CB#frag", "http://app.example:8080/CB"),
        ("https://us%40er:p%3Ass@app.example/cb", "https://app.example/cb"),
        ("https://user:pass@app.example:8443/cb?x=1", "https://app.example:8443/cb?x=1"),
        ("http://[::1]:8080/cb", "http://[::1]:8080/cb"),
        ("https://bücher.example/ü?ü=1", "https://xn--bcher-kva.example/%C3%BC?%C3%BC=1"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_twilios_validator_accepts_what_the_receiver_sees(given_url: str, seen_url: str, method: str) -> None:
    text = target.parse(given_url, method).text
    assert text == seen_url
    form = FORM if method == "POST" else None
    signed = signature.twilio(TOKEN, text, form)
    params = dict(parse_qsl(form, keep_blank_values=True)) if form else {}
    assert RequestValidator(TOKEN).validate(seen_url, params, signed)
    assert not RequestValidator("other").validate(seen_url, params, signed)
    assert not RequestValidator(TOKEN).validate(seen_url, {**params, "CallSid": "CA2"}, signed)


def test_twilios_own_example_is_reproduced() -> None:
    form = urlencode(
        {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309"}
        | {"To": "+18005551212"}
    )
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signature.twilio("12345", url, form) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=6))
def test_any_form_is_accepted_by_twilios_validator(params: dict[str, str]) -> None:
    signed = signature.twilio(TOKEN, "https://h/", urlencode(params, errors="surrogatepass") if params else "")
    assert RequestValidator(TOKEN).validate("https://h/", params, signed)


def test_user_information_becomes_basic_auth_and_leaves_the_url() -> None:
    parsed = target.parse("https://us%40er:p%3Ass@app.example/cb", "POST")
    assert parsed.authorization == b"Basic " + base64.b64encode(b"us@er:p:ss")
    assert "p%3Ass" not in str(parsed.url) + repr(parsed.url) + parsed.text
    assert target.parse("https://user@h/", "POST").authorization == b"Basic " + base64.b64encode(b"user:")
    assert target.parse("https://h/", "POST").authorization is None


@pytest.mark.parametrize("payload", ["", FORM, "a=b&c=%20d", "ü"])
def test_every_secret_of_a_rotation_verifies(payload: str) -> None:
    headers = signature.standard(SECRETS, "msg_1", datetime.now(UTC), payload)
    assert headers["webhook-id"] == "msg_1"
    for secret in SECRETS:
        Webhook(secret).verify(payload, headers, json_parse=False)
    stranger = Webhook("whsec_" + base64.b64encode(b"x" * 32).decode())
    with pytest.raises(WebhookVerificationError):
        stranger.verify(payload, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(payload + "&a=b", headers, json_parse=False)


def test_the_signed_time_is_the_attempts_own() -> None:
    early = signature.standard(SECRETS[:1], "msg_1", datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), "a")
    late = signature.standard(SECRETS[:1], "msg_1", datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC), "a")
    assert (early["webhook-timestamp"], late["webhook-timestamp"]) == ("1767225600", "1767225601")
    assert early["webhook-signature"] != late["webhook-signature"]
