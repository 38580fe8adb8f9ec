"""What holds for every request: who may ask, what is not there, how much is read and for how long."""

import asyncio
import base64
import json
from collections.abc import Iterator

import httpx
import pytest

from app.api import auth, connection, limits
from app.api.parts import ApiParts
from app.api.schemas import Problem
from app.calls.errors import Unavailable
from app.rcml.codes import EXPLAINED, Code
from app.store.accounts import Account, Accounts
from app.store.database import Database
from tests.integration.api.conftest import Api

Address = tuple[str, int]

PRIVATE = [
    ("POST", "/v1/dials"),
    ("POST", "/v1/dials/validate"),
    ("GET", "/v1/calls"),
    ("GET", "/v1/calls/CA" + "0" * 32),
    ("POST", "/v1/calls/CA" + "0" * 32),
    ("GET", "/v1/calls/CA" + "0" * 32 + "/events"),
    ("GET", "/v1/calls/CA" + "0" * 32 + "/deliveries"),
    ("GET", "/v1/deliveries"),
    ("POST", "/v1/deliveries/replay"),
    ("POST", "/v1/deliveries/1/replay"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("GET", "/docsx"),
    ("GET", "//healthz"),
]


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["code"])


def basic(sid: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode()


async def test_without_credentials_it_is_401(api: Api) -> None:
    for method, path in PRIVATE:
        answer = await api.client.request(method, path, auth=httpx.Auth())
        assert (answer.status_code, code_of(answer)) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


PUBLIC = ["/healthz", "/readyz", "/docs", "/docs/errors", "/docs/static/swagger-ui.css", "/openapi.json"]


async def test_what_is_public_needs_none(api: Api) -> None:
    for path in PUBLIC:
        assert (await api.client.get(path, auth=httpx.Auth())).status_code == 200


async def test_wrong_credentials_are_401(api: Api) -> None:
    sid, token = api.account.sid, api.account.token
    for given in (
        basic(sid, token + "x"),
        basic(sid, ""),
        basic("", token),
        basic("AC" + "0" * 32, token),
        basic(sid.upper(), token),
        basic("\0", "\0"),
        basic(sid, "é\0"),
        "Basic",
        "Basic %%%",
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer " + token,
        "Basic " + "QUFB" * 1_000,
    ):
        answer = await api.client.get("/v1/calls", headers={"Authorization": given}, auth=httpx.Auth())
        assert answer.status_code == 401, given
    two = [("Authorization", basic(sid, token)), ("Authorization", basic(sid, token))]
    assert (await api.client.get("/v1/calls", headers=two, auth=httpx.Auth())).status_code == 401
    assert (await api.client.get("/v1/calls")).status_code == 200


async def test_a_good_token_is_remembered_for_a_short_while(api: Api) -> None:
    class Counting(Accounts):
        asked = 0

        async def authenticate(self, sid: str, token: str) -> Account | None:
            type(self).asked += 1
            return await api.parts.accounts.authenticate(sid, token)

    async with api.with_parts(accounts=Counting.__new__(Counting)) as client:
        for _ in range(3):
            assert (await client.get("/v1/calls")).status_code == 200
    assert Counting.asked == 1
    assert auth._REMEMBERED_SECONDS <= 10


async def test_when_the_database_is_away_who_asks_is_not_known(api: Api) -> None:
    class Away(Accounts):
        async def authenticate(self, sid: str, token: str) -> Account | None:
            raise Unavailable("gone")

    async with api.with_parts(accounts=Away.__new__(Away)) as client:
        answer = await client.get("/v1/calls")
    assert (answer.status_code, code_of(answer)) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


NOT_THERE = ["/", "/v1", "/v1/", "/v1/dials/", "/v1/calls/", "/v1/dials/x", "/docs/static/x", "/docs/static/..%2fx"]


async def test_what_is_not_there_is_a_404_problem(api: Api) -> None:
    for path in NOT_THERE:
        answer = await api.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        problem = answer.json()
        assert set(problem) == {"type", "title", "status", "detail", "instance", "errors"}
        assert (problem["type"], problem["errors"][0]["code"]) == ("/docs/errors#not-found", "not-found")


OTHER_METHODS = [
    ("GET", "/v1/dials", "POST"),
    ("DELETE", "/v1/calls/CA" + "0" * 32, "GET, POST"),
    ("PATCH", "/v1/calls", "GET"),
    ("OPTIONS", "/v1/calls", "GET"),
    ("TRACE", "/healthz", "GET"),
    ("FOO", "/v1/dials", "POST"),
]


async def test_another_method_is_a_405_that_lists_all_of_the_path(api: Api) -> None:
    for method, path, allow in OTHER_METHODS:
        answer = await api.client.request(method, path)
        assert (answer.status_code, code_of(answer)) == (405, "method-not-allowed")
        assert answer.headers["allow"] == allow


async def test_every_type_of_problem_leads_to_its_explanation(api: Api) -> None:
    page = (await api.client.get("/docs/errors")).text
    for code in EXPLAINED:
        assert f'id="{code}"' in page
    assert set(EXPLAINED) == set(Code)


async def test_health_asks_nobody_and_readiness_asks_the_database(api: Api, database: Database) -> None:
    assert (await api.client.get("/healthz")).json() == {"status": "ok"}
    assert (await api.client.get("/readyz")).json() == {"status": "ready", "workers": 1}


async def test_without_a_schema_it_is_not_ready(api: Api, empty_database_url: str) -> None:
    empty = Database(empty_database_url)
    async with api.with_parts(database=empty) as client:
        answer = await client.get("/readyz")
    await empty.close()
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "reasons": ["the schema is not that of this version; run the role migrate"],
    }


async def test_without_a_database_it_lives_but_is_not_ready(api: Api) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/x")
    async with api.with_parts(database=away) as client:
        ready, alive = await client.get("/readyz"), await client.get("/healthz")
    await away.close()
    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json()["reasons"] == ["the database is away"]


async def test_metrics_count_routes_and_not_paths(api: Api) -> None:
    call = (await api.client.post("/v1/dials", json={"sip": "sip:alice@sip.example.com"})).json()
    await api.client.get(f"/v1/calls/{call['sid']}")
    await api.client.get("/v1/nothing/of/that/name")
    text = (await api.client.get("/metrics")).text
    assert 'dial_http_requests_total{method="GET",route="/v1/calls/{sid}",status="200"}' in text
    assert call["sid"] not in text and "nothing" not in text
    for line in (
        "dial_database_up 1.0",
        'dial_calls_running{status="queued"} 2.0',
        "dial_workers_alive 1.0",
        "dial_dials_waiting ",
        "dial_deliveries_owed 0.0",
        "dial_deliveries_dead 0.0",
    ):
        assert line in text, text


async def raw(address: Address, sent: bytes) -> bytes:
    """Everything the server says until it closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def head(api: Api, path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: {basic(api.account.sid, api.account.token)}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *headers, "", ""]).encode()


async def test_a_body_that_says_it_is_too_large_is_not_read(api: Api, address: Address) -> None:
    answer = await raw(address, head(api, "/v1/dials", "Content-Length: 1073741824"))
    assert answer.startswith(b"HTTP/1.1 413") and b"body-too-large" in answer and b"connection: close" in answer


async def test_a_body_of_unknown_length_is_read_no_further_than_its_limit(api: Api, address: Address) -> None:
    chunk = b"%x\r\n" % 70_000 + b" " * 70_000 + b"\r\n"
    answer = await raw(address, head(api, "/v1/dials", "Transfer-Encoding: chunked") + chunk)
    assert answer.startswith(b"HTTP/1.1 413") and b"connection: close" in answer


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    assert limits.MAX_SECONDS == connection.MAX_SECONDS == 15
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(connection, "MAX_SECONDS", 0.2)
    yield


@pytest.mark.usefixtures("impatient")
async def test_a_body_that_drips_is_408_and_the_connection_ends(api: Api, address: Address) -> None:
    answer = await raw(address, head(api, "/v1/dials", "Content-Length: 10") + b"{")
    assert answer.startswith(b"HTTP/1.1 408") and b"body-too-slow" in answer and b"connection: close" in answer


@pytest.mark.usefixtures("impatient")
async def test_a_head_that_drips_is_408_and_the_connection_ends(api: Api, address: Address) -> None:
    assert (await raw(address, b"GET /healthz HTTP/1.1\r\nHo")).startswith(b"HTTP/1.1 408")
    assert (await raw(address, b"")).startswith(b"HTTP/1.1 408")
    first, _, rest = (await raw(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he")).partition(
        b'{"status":"ok"}'
    )
    assert first.startswith(b"HTTP/1.1 200") and rest.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("split", [False, True])
async def test_a_head_over_16_kib_is_431(api: Api, address: Address, split: bool) -> None:
    end = b"" if split else b"\r\n\r\n"
    for start in (b"GET /healthz HTTP/1.1\r\nX: ", b"GET /healthz?"):
        tail = end if start.endswith(b": ") else b" HTTP/1.1" + end
        answer = await raw(address, start + b"a" * 20_000 + tail)
        assert answer.startswith(b"HTTP/1.1 431")
        assert Problem.model_validate_json(answer.partition(b"\r\n\r\n")[2]).errors[0].code == "head-too-large"


async def test_an_answer_before_the_body_ends_the_connection(api: Api, address: Address) -> None:
    answer = await raw(address, b"POST /v1/dials HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 401") and b"connection: close" in answer


async def test_a_connection_serves_many_requests(api: Api, address: Address) -> None:
    ok = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await raw(address, ok * 3 + ok.replace(b"Host", b"Connection: close\r\nHost"))
    assert answer.count(b"HTTP/1.1 200") == 4


NOT_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/dials HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/dials HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/dials HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
]


async def test_what_is_not_http_is_400(api: Api, address: Address) -> None:
    for sent in NOT_HTTP:
        assert (await raw(address, sent)).startswith(b"HTTP/1.1 400")


async def test_events_stream_while_they_happen(api: Api, address: Address) -> None:
    call = await api.dial({"sip": "sip:alice@sip.example.com"})
    url = f"http://{address[0]}:{address[1]}{call['uri']}/events"
    auth_pair = (api.account.sid, api.account.token)
    async with (
        httpx.AsyncClient(auth=auth_pair) as client,
        client.stream("GET", url, headers={"Accept": "text/event-stream"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == ": events of a call"
        api.app.state.streams.stopping.set()
        assert [line async for line in lines] == [""]


async def test_problems_are_json_whatever_was_sent(api: Api, parts: ApiParts) -> None:
    answer = await api.client.post(
        "/v1/dials", content=b'{"\\ud800\\u202e\xe2\x80\xa8": 1}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert json.loads(answer.content)["errors"][0]["pointer"] == "/?\u202e\u2028"
