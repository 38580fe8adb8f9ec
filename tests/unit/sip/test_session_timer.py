"""Session timers against RFC 4028."""

import pytest

from app.sip.message import SipMessage
from app.sip.session_timer import SessionTimer, demanded, settled, too_small


def response(value: str | None) -> SipMessage:
    row = "" if value is None else f"Session-Expires: {value}\r\n"
    return SipMessage.decode(f"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n{row}\r\n".encode())


def request(value: str) -> SipMessage:
    return SipMessage.decode(f"UPDATE sip:x SIP/2.0\r\nCSeq: 1 UPDATE\r\nx: {value}\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("value", "timer"),
    [
        (None, None),
        ("soon", None),
        ("1800", SessionTimer(1800, ours=True)),
        ("1800;refresher=uac", SessionTimer(1800, ours=True)),
        ("1800 ; Refresher = UAS", SessionTimer(1800, ours=False)),
        ("30;refresher=uac", SessionTimer(90, ours=True, asked=30)),
        ("30;refresher=uas", SessionTimer(90, ours=False, asked=30)),
    ],
)
def test_a_2xx_settles_who_refreshes(value: str | None, timer: SessionTimer | None) -> None:
    assert settled(response(value), request_is_ours=True) == timer


@pytest.mark.parametrize(("value", "ours"), [("600;refresher=uac", False), ("600;refresher=uas", True), ("600", False)])
def test_in_a_request_of_the_peer_the_uac_is_the_peer(value: str, ours: bool) -> None:
    timer = settled(request(value), request_is_ours=False)
    assert timer == SessionTimer(600, ours=ours)
    assert timer.value(request_is_ours=False) == f"600;refresher={'uas' if ours else 'uac'}"


def test_we_refresh_at_the_half_and_give_the_peer_up_a_little_before_the_end() -> None:
    assert SessionTimer(600, ours=True).due == 300
    assert SessionTimer(600, ours=False).due == 568
    assert SessionTimer(90, ours=False).due == 60


def test_a_peer_that_counts_faster_than_it_may_is_refreshed_in_its_time_and_has_ours() -> None:
    assert SessionTimer(90, ours=True, asked=30).due == 15
    assert SessionTimer(90, ours=True, asked=0).due == 45
    assert SessionTimer(90, ours=False, asked=30).due == 60


@pytest.mark.parametrize(("least", "seconds"), [("120", 120), ("90", None), ("60", None), ("", None), ("x", None)])
def test_a_422_asks_for_a_longer_interval(least: str, seconds: int | None) -> None:
    refusal = SipMessage.decode(f"SIP/2.0 422 X\r\nCSeq: 1 UPDATE\r\nMin-SE: {least}\r\n\r\n".encode())
    longer = demanded(refusal, SessionTimer(90, ours=True))
    assert longer == (SessionTimer(seconds, ours=True) if seconds else None)


def test_less_than_ninety_seconds_is_too_small() -> None:
    assert too_small(request("89"))
    assert not too_small(request("90"))
    assert not too_small(response(None))
