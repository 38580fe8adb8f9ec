"""Reading and ending calls over HTTP."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.calls.change import Change, Facts, Owed
from app.calls.event import Event
from app.calls.sid import new_message_id
from app.calls.status import Status
from app.rcml import serial
from app.rcml.plan import Document, Hangup, Link, Redirect, Say
from app.store.changes import Changes
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.api.conftest import Api
from tests.integration.store.make import rows

BODY = {"sip": [{"uri": "sip:alice@sip.example.com", "statusCallback": "https://app.example.com/e"}]}
NOBODY = "CA" + "0" * 32


async def ended(api: Api, database: Database, sealer: Sealer, *, owed: bool = False) -> dict[str, Any]:
    """A call whose leg was initiated and then not answered."""
    call = await api.dial(BODY)
    [claimed] = await api.parts.queue.claim(api.worker_id, limit=1, max_wait=60)
    parent, leg, now = claimed.parent, claimed.legs[0], datetime.now(UTC)
    unanswered = Facts(end_time=now, reason="timeout", sip_response_code=180)
    over = Facts(end_time=now, reason="document-end", dial_call_status="no-answer", dial_call_sid=leg.sid)
    started = Facts(start_time=now)
    delivery = Owed(new_message_id(), "POST", "https://me:hunter2@app.example.com/e", "a=1", 0) if owed else None
    changes = Changes(database, sealer)
    await changes.start()
    for change in (
        Change(parent.sid, parent.epoch, 1, now, Status.IN_PROGRESS, started, Event.INITIATED),
        Change(leg.sid, leg.epoch, 1, now, Status.INITIATED, started, Event.INITIATED),
        Change(leg.sid, leg.epoch, 2, now, Status.NO_ANSWER, unanswered, Event.COMPLETED, {"code": 180}, delivery),
        Change(parent.sid, parent.epoch, 2, now, Status.COMPLETED, over, Event.COMPLETED),
    ):
        await changes.write(change)
    await changes.stop()
    return call


def codes(answer: httpx.Response) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]


async def test_an_ended_call_shows_what_happened(api: Api, database: Database, sealer: Sealer) -> None:
    sid = (await ended(api, database, sealer))["sid"]
    call = (await api.client.get(f"/v1/calls/{sid}")).json()
    assert (call["status"], call["reason"], call["dialCallStatus"]) == ("completed", "document-end", "no-answer")
    [leg] = call["legs"]
    assert (leg["status"], leg["reason"], leg["sipResponseCode"], leg["duration"]) == ("no-answer", "timeout", 180, 0)
    assert call["dialCallSid"] == leg["sid"] and leg["startTime"].endswith("Z")
    assert (await api.client.get(leg["uri"])).json() == leg
    events = (await api.client.get(leg["uri"] + "/events")).json()["events"]
    assert [(event["id"], event["event"]) for event in events] == [(1, "initiated"), (2, "completed")]
    assert events[1]["detail"] == {"code": 180}


async def test_a_screened_leg_says_how_it_went(api: Api, database: Database, sealer: Sealer) -> None:
    leg = (await api.dial({"sip": [{"uri": "sip:alice@h.example", "url": "https://h.example/screen"}]}))["legs"][0]
    assert leg["screening"] is None
    [claimed] = await api.parts.queue.claim(api.worker_id, limit=1, max_wait=60)
    changes, stored = Changes(database, sealer), claimed.legs[0]
    await changes.start()
    await changes.write(Change(stored.sid, stored.epoch, 1, datetime.now(UTC), None, Facts(screening="running")))
    await changes.stop()
    assert (await api.client.get(leg["uri"])).json()["screening"] == "running"


async def test_calls_are_listed_newest_first_and_in_pages(api: Api) -> None:
    placed = [(await api.dial(BODY))["sid"] for _ in range(5)]
    seen, uri, pages = [], "/v1/calls?direction=outbound-api&pageSize=2", 0
    while uri:
        page = (await api.client.get(uri)).json()
        seen += [call["sid"] for call in page["calls"]]
        assert all(len(call["legs"]) == 1 for call in page["calls"])
        uri, pages = page["nextPageUri"], pages + 1
    assert (seen, pages) == (placed[::-1], 3)


FILTERED = [
    ("", 4),
    ("status=queued", 2),
    ("status=no-answer", 1),
    ("direction=outbound-dial", 2),
    ("to=sip:alice@sip.example.com", 4),
    ("to=sip:alice", 0),
    ("from=sip:anonymous@anonymous.invalid", 4),
    ("startTime={today}", 2),
    ("startTime%3E={today}", 2),
    ("startTime>={today}&startTime<={today}", 2),
    ("startTime<=2020-01-01", 0),
    ("startTime>=2020-01-01T00:00:00Z", 2),
    ("endTime>=2020-01-01T00:00:00%2B02:00", 2),
    ("endTime=2020-01-01", 0),
    ("status=completed&direction=outbound-api", 1),
]


async def test_filters(api: Api, database: Database, sealer: Sealer) -> None:
    await ended(api, database, sealer)
    await api.dial(BODY)
    for query, count in FILTERED:
        answer = await api.client.get("/v1/calls?" + query.format(today=datetime.now(UTC).date()))
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["calls"]) == count


async def test_the_legs_of_one_parent(api: Api) -> None:
    call = await api.dial(BODY)
    await api.dial(BODY)
    page = (await api.client.get(f"/v1/calls?parentCallSid={call['sid']}")).json()
    assert [leg["sid"] for leg in page["calls"]] == [call["legs"][0]["sid"]]


BAD_FILTERS = [
    ("foo=1", "unknown-parameter"),
    ("Status=queued", "unknown-parameter"),
    ("status=ringing&status=queued", "repeated-field"),
    ("status=done", "parameter-invalid"),
    ("direction=out", "parameter-invalid"),
    ("parentCallSid=CA1", "parameter-invalid"),
    ("startTime=yesterday", "parameter-invalid"),
    ("startTime=2026-02-30", "parameter-invalid"),
    ("startTime=2026-01-01T00:00:00Z", "parameter-invalid"),
    ("startTime>=2026-01-01T00:00:00", "parameter-invalid"),
    ("startTime<=0001-01-01", "parameter-invalid"),
    ("endTime<=9999-12-31", "parameter-invalid"),
    ("endTime<=9999-12-31T23:59:59-14:00", "parameter-invalid"),
    ("pageSize=0", "parameter-invalid"),
    ("pageSize=1001", "parameter-invalid"),
    ("pageSize=x", "parameter-invalid"),
    ("pageToken=x", "parameter-invalid"),
    ("pageToken=", "parameter-invalid"),
    ("pageToken=bnVsbA", "parameter-invalid"),
    ("pageToken=W1siXQ", "parameter-invalid"),
    ("pageToken=%C3%A9", "parameter-invalid"),
    ("to=%00", "parameter-invalid"),
    ("to=%E2%80%A8", "parameter-invalid"),
    ("to=" + "a" * 1_001, "parameter-invalid"),
    ("to=%zz", "query-syntax"),
    ("to=%ff", "query-syntax"),
]


async def test_bad_filters_are_problems(api: Api) -> None:
    for query, code in BAD_FILTERS:
        answer = await api.client.get("/v1/calls?" + query)
        assert answer.status_code == (400 if code == "query-syntax" else 422), answer.text
        assert codes(answer) == [code]


async def test_another_accounts_calls_are_not_there(api: Api, database: Database, sealer: Sealer) -> None:
    sid = (await ended(api, database, sealer, owed=True))["legs"][0]["sid"]
    mine = (await api.client.get(f"/v1/calls/{sid}/deliveries")).json()["deliveries"]
    async with api.of(await api.parts.accounts.create()) as other:
        for method, path, known in [
            ("GET", "/v1/calls/{}", sid),
            ("GET", "/v1/calls/{}/events", sid),
            ("GET", "/v1/calls/{}/deliveries", sid),
            ("POST", "/v1/calls/{}", sid),
            ("POST rcml", "/v1/calls/{}", sid),
            ("POST", "/v1/deliveries/{}/replay", str(mine[0]["id"])),
        ]:
            method, _, member = method.partition(" ")
            json = {"rcml": "<Response/>"} if member else {"status": "completed"} if method == "POST" else None
            theirs = await other.request(method, path.format(known), json=json)
            nobodys = await other.request(method, path.format(NOBODY if known == sid else "999999"), json=json)
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.json() | {"instance": ""} == nobodys.json() | {"instance": ""}
        assert (await other.get("/v1/calls")).json()["calls"] == []
        assert (await other.get("/v1/deliveries")).json()["deliveries"] == []
        assert (await other.get(f"/v1/calls?parentCallSid={sid}")).json()["calls"] == []
        assert (await other.post("/v1/deliveries/replay", json={"state": "owed"})).json() == {"replayed": 0}


NO_SIDS = ["x", "CA", "%00", "CA" + "G" * 32, "ca" + "0" * 32, "CA" + "0" * 33, "%F0%9F%98%80"]


async def test_a_sid_that_cannot_be_is_404(api: Api) -> None:
    for sid in NO_SIDS:
        for path in (f"/v1/calls/{sid}", f"/v1/calls/{sid}/events", f"/v1/calls/{sid}/deliveries"):
            assert (await api.client.get(path)).status_code == 404


async def test_a_call_that_waits_is_hung_up_by_wish(api: Api) -> None:
    sid = (await api.dial(BODY))["sid"]
    answer = await api.client.post(f"/v1/calls/{sid}", json={"status": "canceled"})
    assert answer.status_code == 200 and answer.json()["sid"] == sid


@pytest.mark.parametrize(("screening", "code"), [("running", 200), ("declined", 200), ("accepted", 409), (None, 409)])
async def test_a_parent_can_be_canceled_until_a_leg_is_connected(
    api: Api, database: Database, screening: str | None, code: int
) -> None:
    sid = (await api.dial(BODY))["sid"]
    await rows(
        database,
        "UPDATE calls SET status = 'in-progress', answer_time = now(), screening = :screening WHERE parent_sid = :sid",
        screening=screening,
        sid=sid,
    )
    answer = await api.client.post(f"/v1/calls/{sid}", json={"status": "canceled"})
    assert answer.status_code == code, answer.text


async def test_an_ended_call_cannot_be_ended_again(api: Api, database: Database, sealer: Sealer) -> None:
    sid = (await ended(api, database, sealer))["sid"]
    answer = await api.client.post(f"/v1/calls/{sid}", json={"status": "completed"})
    assert (answer.status_code, codes(answer)) == (409, ["call-finished"])


BAD_ENDINGS = [
    (b"{}", ["nothing-to-do"]),
    (b"[]", ["wrong-root"]),
    (b"", ["json-syntax"]),
    (b'{"status":"busy"}', ["status-invalid"]),
    (b'{"status":1}', ["status-invalid"]),
    (b'{"status":["completed"]}', ["status-invalid"]),
    (b'{"status":"completed","foo":1}', ["unknown-field"]),
    (b'{"status":"completed","status":"canceled"}', ["repeated-field"]),
    (b'{"status":null,"rcml":null}', ["nothing-to-do"]),
    (b'{"status":"completed","url":"https://a.example"}', ["fields-exclusive"]),
    (
        b'{"status":"completed","rcml":"<Response/>","url":"https://a.example"}',
        ["fields-exclusive", "fields-exclusive"],
    ),
    (b'{"rcml":"<Response/>","method":"GET"}', ["fields-exclusive"]),
    (b'{"method":"GET"}', ["fields-exclusive"]),
    (b'{"rcml":""}', ["nothing-to-do"]),
    (b'{"rcml":1}', ["type-invalid"]),
    (b'{"rcml":"<Response>"}', ["xml-syntax"]),
    (b'{"rcml":"<Response><Say>\\ud800</Say></Response>"}', ["encoding-invalid"]),
    (b'{"rcml":"<Response><Redirect>next</Redirect></Response>"}', ["url-relative"]),
    (b'{"rcml":"<Response><Dial/><Foo/></Response>"}', ["dial-empty", "unknown-verb"]),
    (b'{"rcml":"<Response><Say>x</Say></Response>"}', ["needs-caller"]),
    (b'{"rcml":"{}"}', ["wrong-root"]),
    (b'{"url":1}', ["type-invalid"]),
    (b'{"url":"next"}', ["url-relative"]),
    (b'{"url":"http://u:hunter2@127.0.0.1/"}', ["address-denied"]),
    (b'{"url":"https://a.example","method":"PUT"}', ["method-invalid"]),
    (b'{"url":"https://a.example/\\n"}', ["character-invalid"]),
]


async def test_bad_endings_are_problems(api: Api) -> None:
    for body, found in BAD_ENDINGS:
        sid = (await api.dial(BODY))["sid"]
        answer = await api.client.post(f"/v1/calls/{sid}", content=body, headers={"Content-Type": "application/json"})
        assert codes(answer) == found, answer.text
        assert "hunter" not in answer.text


async def replaced(api: Api, sid: str, body: dict[str, str]) -> Document:
    """The document that is stored for the call after `body` was asked of it."""
    answer = await api.client.post(f"/v1/calls/{sid}", json=body)
    assert (answer.status_code, answer.json()["sid"]) == (200, sid), answer.text
    [claimed] = await api.parts.queue.claim(api.worker_id, limit=1, max_wait=60)
    assert claimed.replacement is not None
    return serial.loads_document(claimed.replacement)


async def test_a_call_is_given_another_document(api: Api) -> None:
    sid = (await api.dial(BODY))["sid"]
    document = await replaced(
        api, sid, {"rcml": "<?xml version='1.0' encoding='utf-16'?><Response><Hangup/></Response>"}
    )
    assert document == Document((Hangup(),))


async def test_a_call_is_given_a_document_elsewhere(api: Api) -> None:
    sid = (await api.dial(BODY))["sid"]
    document = await replaced(api, sid, {"url": "https://u:p@a.example/next", "method": "get"})
    assert document == Document((Redirect(Link("https://u:p@a.example/next", "GET")),))


async def test_a_document_that_speaks_needs_a_call_with_a_caller(api: Api) -> None:
    sid = (await api.dial({**BODY, "caller": "sip:bob@sip.example.com"}))["sid"]
    assert await replaced(api, sid, {"rcml": "<Response><Say>é</Say></Response>"}) == Document((Say("é"),))
    refused = await api.client.post(f"/v1/calls/{sid}", json={"rcml": "<Response>\n<Reject/></Response>"})
    assert refused.status_code == 422
    [error] = refused.json()["errors"]
    assert (error["code"], error["pointer"], error["line"], error["column"]) == ("verb-not-allowed", "/rcml", 2, 1)


async def test_a_leg_runs_no_document(api: Api) -> None:
    call = await api.dial(BODY)
    answer = await api.client.post(f"/v1/calls/{call['legs'][0]['sid']}", json={"rcml": "<Response/>"})
    assert (answer.status_code, codes(answer)) == (422, ["call-is-leg"])
    assert call["sid"] in answer.json()["detail"]


async def test_neither_an_ended_call_nor_nobody_is_given_a_document(
    api: Api, database: Database, sealer: Sealer
) -> None:
    call = await ended(api, database, sealer)
    for body in ({"rcml": "<Response/>"}, {"url": "https://a.example"}):
        for sid in (call["sid"], call["legs"][0]["sid"]):
            answer = await api.client.post(f"/v1/calls/{sid}", json=body)
            assert (answer.status_code, codes(answer)) == (409, ["call-finished"])
        assert (await api.client.post(f"/v1/calls/{NOBODY}", json=body)).status_code == 404


async def test_deliveries_are_listed_and_replayed(api: Api, database: Database, sealer: Sealer) -> None:
    leg = (await ended(api, database, sealer, owed=True))["legs"][0]["sid"]
    [delivery] = (await api.client.get(f"/v1/calls/{leg}/deliveries")).json()["deliveries"]
    assert (delivery["state"], delivery["sequence"], delivery["attempts"]) == ("owed", 0, [])
    assert delivery["url"] == "https://***:***@app.example.com/e"
    page = (await api.client.get("/v1/deliveries?state=owed")).json()
    assert (page["deliveries"], page["nextPageUri"]) == ([delivery], None)
    assert (await api.client.get("/v1/deliveries?state=dead")).json()["deliveries"] == []
    again = await api.client.post(f"/v1/deliveries/{delivery['id']}/replay")
    assert (again.status_code, again.json()["id"]) == (202, delivery["id"])
    many = await api.client.post("/v1/deliveries/replay", json={"state": "owed", "callSid": leg})
    assert (many.status_code, many.json()) == (202, {"replayed": 1})
    assert (await api.client.post("/v1/deliveries/replay", json={})).json() == {"replayed": 0}


BAD_REPLAYS = [
    ({"state": "lost"}, ["status-invalid"]),
    ({"state": []}, ["status-invalid"]),
    ({"callSid": 1}, ["type-invalid"]),
    ({"callSid": "CA"}, ["type-invalid"]),
    ({"createdAfter": "yesterday", "createdBefore": 1}, ["type-invalid", "type-invalid"]),
    ({"foo": 1}, ["unknown-field"]),
    ([], ["wrong-root"]),
]


async def test_bad_replay_filters_are_problems(api: Api) -> None:
    for body, found in BAD_REPLAYS:
        assert codes(await api.client.post("/v1/deliveries/replay", json=body)) == found


NO_IDS = ["0", "x", "-1", "9" * 30, "%00"]


async def test_a_delivery_that_is_not_there_is_404(api: Api) -> None:
    for id in NO_IDS:
        assert (await api.client.post(f"/v1/deliveries/{id}/replay")).status_code == 404


async def test_events_stream_until_the_call_has_ended(api: Api, database: Database, sealer: Sealer) -> None:
    leg = (await ended(api, database, sealer))["legs"][0]["sid"]
    headers = {"Accept": "text/event-stream"}
    answer = await api.client.get(f"/v1/calls/{leg}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in answer.text.splitlines() if line.startswith(("id", "event"))] == [
        "id: 1", "event: initiated", "id: 2", "event: completed",
    ]  # fmt: skip
    rest = await api.client.get(f"/v1/calls/{leg}/events", headers=headers | {"Last-Event-ID": "1"})
    assert "id: 1" not in rest.text and "id: 2" in rest.text
    done = await api.client.get(f"/v1/calls/{leg}/events", headers=headers | {"Last-Event-ID": "2"})
    assert done.status_code == 204
