"""Placing over HTTP: what is answered, what is stored, and what is not."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.calls.address import AddressPolicy
from app.calls.errors import Unavailable
from app.dialing.place import Place
from app.rcml import parse, serial
from app.rcml.fields import Rules
from app.rcml.plan import Dial, Where
from app.store.accounts import Account, Accounts
from app.store.allowance import Allowance
from app.store.database import Database
from app.store.placing import Placing
from app.store.queue import Capacity, DialQueue
from app.store.seal import Sealer
from tests.integration.api.conftest import Api
from tests.unit.rcml.bad_addresses import BAD_ADDRESSES
from tests.unit.rcml.bad_json import BAD_JSON
from tests.unit.rcml.bad_rcml import BAD_RCML

BODY: dict[str, Any] = {"sip": "sip:alice@sip.example.com"}
RCML = (
    '<Response><Dial callerId="bob"><Sip username="u" password="hunter2" '
    'statusCallback="https://me:hunter3@app.example.com/e">sip:alice@sip.example.com?X-A=1&X-B=2</Sip>'
    "<Sip>sip:carol:hunter4@sip.example.com</Sip></Dial></Response>"
)
RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))
XML = {"Content-Type": "application/xml"}


async def stored(database: Database) -> int:
    async def work(connection: Any) -> int:
        return int((await connection.execute(text("SELECT count(*) FROM calls"))).scalar())

    return await database.run(work)


async def test_json_is_answered_with_the_parent_and_its_leg(api: Api) -> None:
    answer = await api.client.post(
        "/v1/dials", json={**BODY, "callerId": '"Bob" <sip:bob@example.com>', "metadata": {"order": "é"}}
    )
    assert answer.status_code == 202
    call = answer.json()
    assert answer.headers["location"] == f"/v1/calls/{call['sid']}" == call["uri"]
    assert (call["status"], call["direction"], call["parentCallSid"]) == ("queued", "outbound-api", None)
    assert (call["from"], call["to"]) == ("sip:bob@example.com", "sip:alice@sip.example.com")
    assert call["metadata"] == {"order": "é"} and call["accountSid"] == api.account.sid
    [leg] = call["legs"]
    assert (leg["parentCallSid"], leg["direction"], leg["status"]) == (call["sid"], "outbound-dial", "queued")
    assert (await api.client.get(answer.headers["location"])).json() == call


async def test_rcml_is_stored_whole_and_shown_without_its_passwords(api: Api) -> None:
    answer = await api.client.post("/v1/dials", content=RCML, headers=XML)
    assert answer.status_code == 202, answer.text
    call = answer.json()
    assert [leg["to"] for leg in call["legs"]] == ["sip:alice@sip.example.com", "sip:carol@sip.example.com"]
    assert call["from"] == "sip:bob@192.0.2.1"
    assert "X-A=1&amp;X-B=2" in call["rcml"]
    assert "hunter" not in (await api.client.get("/v1/calls")).text + answer.text
    [claimed] = await api.parts.queue.claim(api.worker_id, limit=1, max_wait=60)
    (dial,) = serial.loads(claimed.document).document.verbs
    assert isinstance(dial, Dial)
    first, second = dial.targets
    assert (first.password, second.uri.password) == ("hunter2", "hunter4")
    assert first.status_callback is not None and "hunter3" in first.status_callback.url


WHOLE = (
    '<Response><Dial callerId="bob" timeout="20" hangupOnStar="true" answerOnBridge="false" record="true" method="GET"'
    ' action="https://a:hunter5@app.example.com/after" recordingStatusCallback="https://a:hunter6@app.example.com/r">'
    '<Sip username="u" password="hunter2" url="https://a:hunter7@h.example/s" timeout="9">sip:alice@h.example</Sip>'
    "</Dial></Response>"
)
CALLER = "?caller=sip:bob:hunter8@h.example&from=%2B1555&callerTimeout=9&callerUsername=bob&callerPassword=hunter9"


async def test_both_notations_mean_the_same(api: Api) -> None:
    for rcml, query in ((RCML, ""), (WHOLE, ""), (WHOLE, CALLER)):
        from_rcml = (await api.client.post(f"/v1/dials/validate{query}", content=rcml, headers=XML)).json()
        assert "hunter" not in str(from_rcml)
        from_json = await api.client.post("/v1/dials/validate", json=from_rcml["json"])
        assert from_json.json() == from_rcml, from_json.text


async def test_a_caller_and_what_it_hears_are_stored_and_its_secrets_shown_to_nobody(api: Api) -> None:
    rcml = (
        '<Response><Say language="en">Hello</Say><Gather action="https://a:hunter1@h.example/g"><Play>'
        "https://a:hunter3@h.example/p.wav</Play></Gather><Redirect>https://a:hunter4@h.example/r</Redirect></Response>"
    )
    answer = await api.client.post(f"/v1/dials{CALLER}", content=rcml, headers=XML)
    assert answer.status_code == 202, answer.text
    call = answer.json()
    assert (call["to"], call["legs"]) == ("sip:bob@h.example", [])
    assert "<Say" in call["rcml"] and "hunter" not in answer.text
    [claimed] = await api.parts.queue.claim(api.worker_id, limit=1, max_wait=60)
    request = serial.loads(claimed.document)
    assert request.caller is not None
    assert (request.caller.timeout, request.caller.username, request.caller.password) == (9, "bob", "hunter9")
    assert request.document == parse.document(rcml.encode(), RULES, where=Where.CALLER)


async def test_validate_places_nothing_and_says_null_for_what_json_cannot_say(api: Api, database: Database) -> None:
    two = RCML.replace("</Response>", "<Dial><Sip>sip:a@example.com</Sip></Dial></Response>")
    answer = await api.client.post("/v1/dials/validate", content=two, headers=XML)
    assert answer.status_code == 200 and answer.json()["json"] is None
    assert await stored(database) == 0


async def test_no_bad_request_of_the_tables_stores_anything(api: Api, database: Database) -> None:
    for bad in BAD_RCML + BAD_ADDRESSES:
        kind = "application/xml" + (f"; charset={bad.charset}" if bad.charset else "")
        for path in ("/v1/dials", "/v1/dials/validate"):
            url = path + (f"?{bad.query}" if bad.query else "")
            answer = await api.client.post(url, content=bad.body, headers={"Content-Type": kind})
            assert answer.status_code == bad.status, (bad.name, answer.text)
            assert tuple(error["code"] for error in answer.json()["errors"]) == bad.codes, bad.name
            assert answer.headers["content-type"] == "application/problem+json"
    for row in BAD_JSON:
        answer = await api.client.post("/v1/dials", content=row.body, headers={"Content-Type": "application/json"})
        assert answer.status_code == row.status, (row.name, answer.text)
        found = tuple((error["code"], error.get("pointer")) for error in answer.json()["errors"])
        assert [code for code, _ in found] == [code for code, _ in row.found], row.name
        assert [pointer for _, pointer in found] == [pointer for _, pointer in row.found], row.name
    assert await stored(database) == 0


async def test_the_same_key_and_body_is_one_call_also_in_parallel(api: Api, database: Database) -> None:
    headers = {"Idempotency-Key": "order 42"}
    answers = await asyncio.gather(*(api.client.post("/v1/dials", json=BODY, headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["sid"] for answer in answers}) == 1
    assert sum(answer.headers.get("idempotency-replayed") == "true" for answer in answers) == 19
    assert await stored(database) == 2
    again = await api.client.post("/v1/dials", json=BODY, headers=headers)
    assert again.json()["idempotencyKey"] == "order 42" and len(again.json()["legs"]) == 1


async def test_a_repeated_request_is_answered_also_when_nothing_new_would_be(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await api.client.post("/v1/dials", json=BODY, headers=headers)
    async with api.with_parts(queue=Queue(Capacity(workers=0, free=0, waiting=0, rate=0))) as client:
        again = await client.post("/v1/dials", json=BODY, headers=headers)
        other = await client.post("/v1/dials", json=BODY, headers={"Idempotency-Key": "other"})
    assert (again.status_code, again.json()["sid"]) == (202, first.json()["sid"])
    assert other.status_code == 503


async def test_the_same_key_with_another_body_or_query_conflicts(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await api.client.post("/v1/dials", content=RCML, headers=headers | XML)).status_code == 202
    for url, content in [("/v1/dials", RCML + " "), ("/v1/dials?statusCallback=https://a.example", RCML)]:
        answer = await api.client.post(url, content=content, headers=headers | XML)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "idempotency-conflict")


async def test_a_request_that_was_refused_is_not_remembered_under_its_key(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await api.client.post("/v1/dials", json={"sip": []}, headers=headers)).status_code == 422
    assert (await api.client.post("/v1/dials", json=BODY, headers=headers)).status_code == 202


BAD_KEYS = ["", "x" * 256, "a\tb", "é"]


async def test_a_key_that_is_not_printable_is_refused(api: Api) -> None:
    for key in BAD_KEYS:
        answer = await api.client.post("/v1/dials", json=BODY, headers=[(b"Idempotency-Key", key.encode())])
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "idempotency-key-invalid")


async def test_two_keys_are_refused(api: Api) -> None:
    answer = await api.client.post("/v1/dials", json=BODY, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    assert answer.status_code == 422


OTHER_TYPES = ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]


async def test_another_content_type_is_415(api: Api) -> None:
    for kind in OTHER_TYPES:
        answer = await api.client.post("/v1/dials", content=b"{}", headers={"Content-Type": kind} if kind else {})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (415, "media-type-unsupported")


async def test_a_compressed_body_is_415(api: Api) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await api.client.post("/v1/dials", content=b"x", headers=headers)).status_code == 415


async def test_json_takes_no_query(api: Api) -> None:
    answer = await api.client.post("/v1/dials?baseUrl=https://a.example", json=BODY)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown-parameter")


async def test_64_kib_are_read_and_one_byte_more_is_413(api: Api) -> None:
    filler = " " * (64 * 1024 - len('{"sip":"sip:a@example.com"}'))
    body = '{"sip":"sip:a@example.com"}' + filler
    headers = {"Content-Type": "application/json"}
    assert (await api.client.post("/v1/dials", content=body, headers=headers)).status_code == 202
    answer = await api.client.post("/v1/dials", content=body + " ", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "body-too-large")


async def test_without_a_worker_it_is_503(api: Api, database: Database, sealer: Sealer) -> None:
    await api.parts.queue.unregister(api.worker_id)
    async with api.with_parts(queue=DialQueue(database, sealer)) as client:
        answer = await client.post("/v1/dials", json=BODY)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "no-worker")
    assert int(answer.headers["retry-after"]) >= 1


class Queue(DialQueue):
    """A queue that says what it is told to say of its capacity."""

    def __init__(self, answer: Capacity | Exception) -> None:
        self.answer = answer

    async def capacity(self) -> Capacity:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


LOADS = [
    (Capacity(workers=1, free=2, waiting=0, rate=0.0), 202),
    (Capacity(workers=1, free=0, waiting=0, rate=0.0), 503),
    (Capacity(workers=1, free=0, waiting=3, rate=1.0), 202),
    (Capacity(workers=1, free=0, waiting=9, rate=1.0), 503),
    (Capacity(workers=4, free=0, waiting=49, rate=10.0), 202),
]


async def test_503_when_what_waits_would_take_longer_than_max_wait(api: Api) -> None:
    for capacity, status in LOADS:
        async with api.with_parts(queue=Queue(capacity)) as client:
            answer = await client.post("/v1/dials", json=BODY)
        assert answer.status_code == status
        if status == 503:
            assert answer.json()["errors"][0]["code"] == "no-capacity"
            assert 1 <= int(answer.headers["retry-after"]) <= 30


async def test_requests_between_two_looks_at_the_queue_are_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.capacity.FRESH_SECONDS", 60.0)  # all five come between two looks
    full_soon = Capacity(workers=1, free=2, waiting=0, rate=0.0)
    async with api.with_parts(queue=Queue(full_soon)) as client:
        answers = await asyncio.gather(*(client.post("/v1/dials", json=BODY) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 202, 503, 503, 503]


async def test_a_database_that_is_away_is_503_with_retry_after(api: Api) -> None:
    async with api.with_parts(queue=Queue(Unavailable("gone", retry_after=3))) as client:
        answer = await client.post("/v1/dials", json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["errors"][0]["code"] == "unavailable"


class Slow(DialQueue, Accounts):
    """Queue and accounts whose database takes its time over each answer, and may never give one."""

    def __init__(self, seconds: float, accounts: Accounts) -> None:
        self.seconds = seconds
        self.accounts = accounts
        self.asked = 0

    async def capacity(self) -> Capacity:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return LOADS[0][0]

    async def authenticate(self, sid: str, token: str) -> Account | None:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        return await self.accounts.authenticate(sid, token)


async def test_a_request_has_one_patience_for_all_that_it_asks_the_database(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(0.2, api.parts.accounts)
    for seconds, status in ((0.3, 503), (60.0, 202)):  # each answer is soon enough, both together are not
        monkeypatch.setattr("app.api.limits.DATABASE_SECONDS", seconds)
        async with api.with_parts(queue=slow, accounts=slow) as client:
            answer = await client.post("/v1/dials", json=BODY)
        assert answer.status_code == status
    assert await stored(api.parts.database) == 2


async def test_who_asks_at_once_asks_once_and_nobody_waits_for_ever(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.limits.DATABASE_SECONDS", 0.3)
    silent = Slow(3600, api.parts.accounts)
    async with api.with_parts(accounts=silent) as client:
        answers = await asyncio.gather(*(client.post("/v1/dials", json=BODY) for _ in range(3)))
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")] * 3
    assert silent.asked == 1


async def test_what_an_account_may_not_place_is_a_429(api: Api, database: Database, sealer: Sealer) -> None:
    placing = Placing(database, sealer, Allowance(calls=1))
    await placing.start()
    place = Place(placing, api.parts.calls, lambda target: "192.0.2.1")
    headers = {"Idempotency-Key": "k"}
    async with api.with_parts(place=place) as client:
        first = await client.post("/v1/dials", json=BODY, headers=headers)
        answer = await client.post("/v1/dials", json=BODY)
        again = await client.post("/v1/dials", json=BODY, headers=headers)
    await placing.stop()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert [error["code"] for error in answer.json()["errors"]] == ["rate-limited"]
    assert "DIAL_ACCOUNT_CALLS" in answer.json()["detail"]
    assert (again.status_code, again.json()["sid"]) == (202, first.json()["sid"])


def problems_of(answer: httpx.Response) -> list[str]:
    return [error["code"] for error in answer.json()["errors"]]


async def test_a_mistake_of_ours_is_a_500_without_a_trace(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of ours")

    async with api.with_parts(place=broken) as client:
        answer = await client.post("/v1/dials", json=BODY)
    assert (answer.status_code, problems_of(answer)) == (500, ["internal-error"])
    assert "secret of ours" not in answer.text and "Traceback" not in answer.text
