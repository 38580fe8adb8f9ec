"""The whole road with real parts: HTTP in, a SIP call to SIPp, records in PostgreSQL, callbacks out."""

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from tests.kit.receiver import Receiver, Seen, status
from tests.kit.service import Customer
from tests.kit.sipp import Sipp, sipp

pytestmark = pytest.mark.peer


def rcml(target: str, callback: str, **dial: str) -> str:
    attributes = "".join(f' {name}="{value}"' for name, value in dial.items())
    return f'<Response><Dial{attributes}><Sip statusCallback="{callback}">{target}</Sip></Dial></Response>'


async def finished(callee: Sipp) -> None:
    code = await asyncio.to_thread(callee.wait)
    assert code == 0, callee.said()


async def test_one_request_places_a_call_and_its_four_events_arrive(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        placed = await customer.dial(rcml(callee.uri, f"{app.url}/events?app=1", timeLimit="1", callerId="bob"))
        assert (placed["status"], placed["direction"]) == ("queued", "outbound-api")
        parent = await customer.wait_for(placed["sid"])
        await finished(callee)
    [leg] = parent["legs"]
    said = [seen.form for seen in await app.wait_for(4)]
    assert [one["CallStatus"] for one in said] == ["initiated", "ringing", "in-progress", "completed"]
    assert [one["SequenceNumber"] for one in said] == ["0", "1", "2", "3"]
    for one in said:
        assert one["CallSid"] == leg["sid"]
        assert one["ParentCallSid"] == parent["sid"]
        assert one["AccountSid"] == customer.service.account_sid
        assert (one["From"], one["To"]) == ("sip:bob@127.0.0.1", callee.uri)
        assert (one["Direction"], one["ApiVersion"]) == ("outbound-dial", "2012-04-24")
        assert one["CallbackSource"] == "call-progress-events"
        assert one["SipCallId"] == leg["sipCallId"]
        assert one["Timestamp"].endswith("+0000")
    assert said == sorted(said, key=lambda one: parsedate_to_datetime(one["Timestamp"]))
    assert (said[3]["CallDuration"], said[3]["SipResponseCode"], said[3]["Reason"]) == ("1", "200", "time-limit")
    assert (leg["status"], leg["reason"], leg["duration"]) == ("completed", "time-limit", 1)
    assert (leg["sipResponseCode"], leg["sipResponseReason"]) == (200, "OK")
    assert (parent["status"], parent["reason"], parent["dialCallStatus"]) == ("completed", "document-end", "completed")
    assert (parent["dialCallSid"], parent["dialCallDuration"]) == (leg["sid"], 1)
    events = (await customer.get(f"/v1/calls/{leg['sid']}/events"))["events"]
    assert [event["event"] for event in events] == ["initiated", "ringing", "answered", "completed"]
    deliveries = await delivered(customer, leg["sid"], 4)
    assert [one["sequence"] for one in deliveries] == [0, 1, 2, 3]
    assert all(one["state"] == "delivered" and len(one["attempts"]) == 1 for one in deliveries)


async def test_callbacks_are_signed_as_twilio_and_standard_webhooks_sign(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        await customer.dial(rcml(callee.uri, f"{app.url}/events", timeLimit="1"))
        seen = await app.wait_for(4)
    validator = RequestValidator(customer.service.auth_token)
    webhook = Webhook((customer.service.data_dir / "webhook-secret").read_text().strip())
    for one in seen:
        assert validator.validate(app.url + one.target, one.form, one.headers["x-twilio-signature"])
        webhook.verify(one.body, one.headers, json_parse=False)
    assert len({one.headers["webhook-id"] for one in seen}) == 4


async def test_get_callbacks_carry_the_parameters_in_the_query(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        sip = {"uri": callee.uri, "statusCallback": f"{app.url}/e?app=1", "statusCallbackMethod": "GET"}
        await customer.dial({"timeLimit": 1, "sip": [sip]})
        seen = await app.wait_for(4)
    assert {one.method for one in seen} == {"GET"}
    assert [one.query["CallStatus"] for one in seen] == ["initiated", "ringing", "in-progress", "completed"]
    assert all(one.query["app"] == "1" and one.body == b"" for one in seen)


async def test_only_the_events_that_were_asked_for_come(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        sip = {"uri": callee.uri, "statusCallback": app.url, "statusCallbackEvent": "answered completed"}
        placed = await customer.dial({"timeLimit": 1, "sip": [sip]})
        await customer.wait_for(placed["sid"])
        seen = await app.wait_for(2)
    assert [(one.form["CallStatus"], one.form["SequenceNumber"]) for one in seen] == [
        ("in-progress", "0"),
        ("completed", "1"),
    ]


async def test_the_parents_own_callback_gets_initiated_and_completed(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        placed = await customer.dial({"timeLimit": 1, "sip": callee.uri, "statusCallback": app.url})
        seen = await app.wait_for(2)
    assert [one.form["CallStatus"] for one in seen] == ["initiated", "completed"]
    assert {one.form["CallSid"] for one in seen} == {placed["sid"]}
    assert {one.form["Direction"] for one in seen} == {"outbound-api"}


async def test_a_failing_receiver_is_asked_again_with_the_same_id_and_body(customer: Customer, app: Receiver) -> None:
    app.answers[:] = [status(500), status(500)]
    with sipp("-sn", "uas") as callee:
        sip = {"uri": callee.uri, "statusCallback": app.url, "statusCallbackEvent": ["completed"]}
        await customer.dial({"timeLimit": 1, "sip": [sip]})
        seen = await app.wait_for(3)
    assert len({one.headers["webhook-id"] for one in seen}) == 1
    assert len({one.body for one in seen}) == 1


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_hanging_up_over_the_api_ends_the_call_on_the_wire(customer: Customer, app: Receiver, tcp: bool) -> None:
    with sipp("-sn", "uas", tcp=tcp) as callee:
        target = callee.uri + (";transport=tcp" if tcp else "")
        placed = await customer.dial(rcml(target, app.url))
        await app.wait_for(3)
        answer = await customer.http.post(f"/v1/calls/{placed['sid']}", json={"status": "completed"})
        assert answer.status_code == 200
        parent = await customer.wait_for(placed["sid"])
        await finished(callee)
    assert (parent["status"], parent["reason"]) == ("completed", "api")
    assert (parent["legs"][0]["status"], parent["legs"][0]["reason"]) == ("completed", "api")
    again = await customer.http.post(f"/v1/calls/{placed['sid']}", json={"status": "completed"})
    assert again.status_code == 409


async def test_an_idempotency_key_places_one_call_however_often_it_is_sent(customer: Customer) -> None:
    with sipp("-sn", "uas") as callee:
        headers = {"Idempotency-Key": f"key-{callee.port}"}
        body = {"timeLimit": 1, "sip": callee.uri}
        answers = await asyncio.gather(
            *(customer.http.post("/v1/dials", json=body, headers=headers) for _ in range(20))
        )
        assert {answer.status_code for answer in answers} == {202}
        [sid] = {answer.json()["sid"] for answer in answers}
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 19
        other = await customer.http.post("/v1/dials", json={**body, "timeLimit": 2}, headers=headers)
        assert other.status_code == 409
        assert len((await customer.wait_for(sid))["legs"]) == 1
        await finished(callee)


async def test_credentials_are_shown_nowhere(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        url = app.url.replace("http://", "http://me:hush-url@")
        sip = {"uri": callee.uri, "username": "alice", "password": "hush-sip", "statusCallback": url}
        placed = await customer.dial({"timeLimit": 1, "sip": [sip]})
        await customer.wait_for(placed["sid"])
        seen = await app.wait_for(4)
    assert {one.headers["authorization"] for one in seen} == {"Basic bWU6aHVzaC11cmw="}
    leg = (await customer.get(f"/v1/calls/{placed['sid']}"))["legs"][0]
    shown = [
        (await customer.http.get(path)).text
        for path in (
            f"/v1/calls/{placed['sid']}",
            f"/v1/calls/{leg['sid']}/events",
            f"/v1/calls/{leg['sid']}/deliveries",
            "/v1/deliveries",
            "/metrics",
        )
    ]
    assert not [text for text in [*shown, *customer.service.lines, *bodies(seen)] if "hush" in text]


def bodies(seen: list[Seen]) -> list[str]:
    return [one.body.decode() + one.target for one in seen]


async def delivered(customer: Customer, sid: str, count: int) -> list[dict[str, Any]]:
    """The deliveries of a call once all of them are delivered; finishing is written just after the answer came."""
    for _ in range(200):
        deliveries: list[dict[str, Any]] = (await customer.get(f"/v1/calls/{sid}/deliveries"))["deliveries"]
        if sum(one["state"] == "delivered" for one in deliveries) == count:
            return deliveries
        await asyncio.sleep(0.02)
    raise AssertionError(f"{sid}: {deliveries}")


async def test_the_metrics_show_what_every_role_did(customer: Customer, app: Receiver) -> None:
    with sipp("-sn", "uas") as callee:
        placed = await customer.dial(rcml(callee.uri, app.url, timeLimit="1"))
        await customer.wait_for(placed["sid"])
        await app.wait_for(4)
    await delivered(customer, (await customer.get(f"/v1/calls/{placed['sid']}"))["legs"][0]["sid"], 4)
    lines = (await customer.http.get("/metrics")).text.splitlines()
    for name in ("dial_http_requests_total", "dial_rtp_packets_total", "dial_webhook_attempts_total"):
        assert any(line.startswith(name) and float(line.split()[-1]) > 0 for line in lines), name
