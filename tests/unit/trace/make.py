"""Calls, legs and messages for the tests of the trace: what a peer might have said, at whatever time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.calls.call import Call, Direction
from app.calls.sid import CallSid, new_account_sid, new_call_sid
from app.calls.status import Status
from app.calls.wire import Address, Sense, WireCopy
from app.trace.story import Story

BEGAN = datetime(2026, 1, 31, 12, 0, 0, 12_345, tzinfo=UTC)
US: Address = ("192.0.2.1", 5060)
ALICE: Address = ("198.51.100.7", 5080)
SDP = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\n"

_ACCOUNT = new_account_sid()


def leg(to: str = "sip:alice@198.51.100.7:5080", **columns: Any) -> Call:
    columns.setdefault("status", Status.COMPLETED)
    parent = columns.pop("parent", new_call_sid())
    return Call(
        new_call_sid(),
        _ACCOUNT,
        parent,
        0,
        Direction.OUTBOUND_DIAL,
        "sip:bob@192.0.2.1",
        to,
        created_at=BEGAN,
        **columns,
    )


def message(start: str, cseq: str, *headers: str, body: str = "", to_tag: str = "") -> bytes:
    lines = [start, "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx" + cseq.replace(" ", ""), f"CSeq: {cseq}"]
    lines += [f"To: <sip:alice@198.51.100.7>{';tag=' + to_tag if to_tag else ''}", "Call-ID: one@192.0.2.1", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def copy(of: CallSid, ms: float, direction: Sense, data: bytes, **more: Any) -> WireCopy:
    values: dict[str, Any] = {"transport": "udp", "local": US, "remote": ALICE, **more}
    return WireCopy(of, round(ms), BEGAN + timedelta(milliseconds=ms), direction, data=data, **values)


INVITE = message("INVITE sip:alice@198.51.100.7 SIP/2.0", "1 INVITE")
OK = message("SIP/2.0 200 OK", "1 INVITE", "Content-Type: application/sdp", body=SDP, to_tag="b")
ACK = message("ACK sip:alice@198.51.100.7 SIP/2.0", "1 ACK", to_tag="b")
BYE = message("BYE sip:alice@198.51.100.7 SIP/2.0", "2 BYE", to_tag="b")
BYE_OK = message("SIP/2.0 200 OK", "2 BYE", to_tag="b")
REINVITE = message("INVITE sip:bob@192.0.2.1 SIP/2.0", "7 INVITE", to_tag="a", body=SDP + "a=sendonly\r\n")
REINVITE_OK = message("SIP/2.0 200 OK", "7 INVITE", to_tag="a", body=SDP + "a=recvonly\r\n")
REINVITE_ACK = message("ACK sip:bob@192.0.2.1 SIP/2.0", "7 ACK", to_tag="a")


def talk(of: CallSid, **more: Any) -> list[WireCopy]:
    """A call that is answered, whose 200 comes three times, that is put on hold and hung up."""
    steps: list[tuple[float, Sense, bytes]] = [
        (0, "sent", INVITE), (12, "received", OK), (512, "received", OK), (513, "sent", ACK), (1512, "received", OK),
        (1513, "sent", ACK), (9000, "received", REINVITE), (9001, "sent", REINVITE_OK),
        (9010, "received", REINVITE_ACK), (75_000, "sent", BYE), (75_040, "received", BYE_OK),
    ]  # fmt: skip
    return [copy(of, ms, direction, data, **more) for ms, direction, data in steps]


def story(*legs: Call, **parts: Any) -> Story:
    parts.setdefault("copies", [each for one in legs for each in talk(one.sid)])
    return Story(legs[0], legs, **parts)
