"""Settings come from the environment, and what is wrong with one is said by its name."""

import ipaddress

import pytest
from pydantic import ValidationError

from app.runtime.settings import Settings


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL_HTTP_ALLOW", "127.0.0.0/8, ::1/128")
    monkeypatch.setenv("DIAL_WEBHOOK_RETRIES", "0.1,0.5,2")
    settings = Settings()
    assert settings.http_allow == (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert settings.webhook_retries == (0.1, 0.5, 2.0)


def test_the_rtp_range_has_its_last_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL_RTP_PORTS", "10000-10003")
    assert list(Settings().rtp_range) == [10000, 10001, 10002, 10003]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIAL_SIP_TLS_PORT", "5061"),
        ("DIAL_SRTP", "yes"),
        ("DIAL_SIP_PROXY", "proxy.example.com"),
        ("DIAL_DNS", "a b"),
        ("DIAL_HTTP_PORT", "70000"),
        ("DIAL_HTTP_ALLOW", "everything"),
        ("DIAL_RTP_PORTS", "10"),
        ("DIAL_WORKERS", "0"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_an_empty_tls_port_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL_SIP_TLS_PORT", "")
    monkeypatch.setenv("DIAL_SIP_TLS_CA", "")
    assert (Settings().sip_tls_port, Settings().sip_tls_ca) == (None, None)


def test_secrets_are_not_in_the_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL_AUTH_TOKEN", "very-secret")
    monkeypatch.setenv("DIAL_SECRET_KEY", "very-secret")
    assert "very-secret" not in repr(Settings())


@pytest.mark.parametrize(
    ("ports", "most", "calls"),
    [("29000-29019", 200, 10), ("29001-29019", 200, 9), ("29000-29018", 200, 9), ("20000-29999", 200, 200)],
)
def test_a_worker_takes_no_more_calls_than_it_has_ports_for(ports: str, most: int, calls: int) -> None:
    assert Settings(rtp_ports=ports, max_calls=most).calls_at_once == calls


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://127.0.0.1:8080"),
        (Settings(http_host="0.0.0.0", http_port=80, root_path="/dial"), "http://localhost:80/dial"),
        (Settings(http_host="::1"), "http://[::1]:8080"),
        (Settings(http_host="::", public_url="https://dial.example/"), "https://dial.example"),
    ],
)
def test_the_api_has_an_address_that_a_customer_can_open(settings: Settings, url: str) -> None:
    assert settings.api_url == url
