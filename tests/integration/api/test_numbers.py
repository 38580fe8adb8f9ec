"""Numbers over HTTP: made, shown, changed and gone; wrong ones refused with every reason; nobody sees another's."""

from dataclasses import replace
from typing import Any

from app.calls.address import AddressPolicy
from tests.integration.api.conftest import LOOPBACK, Api

WHOLE: dict[str, Any] = {
    "number": "+4930123456",
    "url": "https://user:secret@app.example/voice?a=b",
    "method": "get",
    "fallbackUrl": "https://app.example/fallback",
    "fallbackMethod": "GET",
    "statusCallback": "https://app.example/events",
    "statusCallbackMethod": "GET",
    "statusCallbackEvent": "ringing completed",
    "friendlyName": "Front desk",
}


async def add(api: Api, **members: Any) -> dict[str, Any]:
    answer = await api.client.post("/v1/numbers", json={"number": "100", "url": "https://app.example/", **members})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def problems(answer: Any) -> set[tuple[str, str | None]]:
    return {(one["code"], one.get("pointer")) for one in answer.json()["errors"]}


async def test_a_number_is_made_shown_where_it_says_and_listed(api: Api) -> None:
    answer = await api.client.post("/v1/numbers", json=WHOLE)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/numbers/%2B4930123456" == answer.json()["uri"]
    made = answer.json()
    times = {"createdAt": made["createdAt"], "updatedAt": made["createdAt"]}
    assert made == WHOLE | times | {
        "accountSid": api.account.sid,
        "url": "https://***:***@app.example/voice?a=b",
        "method": "GET",
        "statusCallbackEvent": ["completed", "ringing"],
        "uri": "/v1/numbers/%2B4930123456",
    }
    assert (await api.client.get(made["uri"])).json() == made
    assert (await api.client.get("/v1/numbers")).json() == {"numbers": [made], "nextPageUri": None}
    [stored] = (await api.parts.numbers.all()).values()
    assert stored.url == WHOLE["url"]


async def test_defaults_are_post_and_all_events(api: Api) -> None:
    made = await add(api, statusCallback="https://app.example/events", friendlyName=None)
    assert (made["method"], made["fallbackUrl"], made["fallbackMethod"]) == ("POST", None, "POST")
    assert made["statusCallbackEvent"] == ["answered", "completed", "initiated", "ringing"]


async def test_a_change_leaves_alone_what_it_does_not_name_and_null_takes_away(api: Api) -> None:
    made = (await api.client.post("/v1/numbers", json=WHOLE)).json()
    changes = {"friendlyName": None, "fallbackUrl": None, "method": None, "statusCallbackMethod": "POST"}
    answer = await api.client.post(made["uri"], json=changes)
    assert answer.status_code == 200
    expected = made | changes | {"method": "POST", "updatedAt": answer.json()["updatedAt"]}
    assert answer.json() == expected
    assert answer.json()["updatedAt"] > made["updatedAt"]
    without = (await api.client.post(made["uri"], json={"statusCallback": None})).json()
    assert [without[name] for name in without if name.startswith("statusCallback")] == [None, None, None]


async def test_a_number_goes_and_comes_back_as_another(api: Api) -> None:
    made = await add(api)
    assert (await api.client.delete(made["uri"])).status_code == 204
    for request in (
        api.client.get(made["uri"]),
        api.client.delete(made["uri"]),
        api.client.post(made["uri"], json={"url": "https://a.example/"}),
    ):
        assert (await request).status_code == 404
    assert (await add(api, url="https://b.example/"))["url"] == "https://b.example/"


async def test_every_user_part_can_be_a_number_and_is_found_at_its_address(api: Api) -> None:
    for number in ("100", "+49-30", "a/b", "a;b?c", "*21#", "ümlaut", "a=b&c,d", "x" * 255, "~'()!$."):
        made = await add(api, number=number)
        assert (await api.client.get(made["uri"])).json() == made


async def test_what_no_user_part_can_be_is_refused(api: Api) -> None:
    wrong: list[Any] = ["", "sip:100@host", "100@host", "a b", "a%20b", "a\nb", "a\u0085b", "x" * 256, ".", "..", 'a"b']
    for number in [*wrong, "<100>", 100, ["1"]]:
        answer = await api.client.post("/v1/numbers", json={"number": number, "url": "https://app.example/"})
        assert answer.status_code == 422
        assert {pointer for _, pointer in problems(answer)} == {"/number"}


async def test_everything_that_is_wrong_is_told_with_its_place(api: Api) -> None:
    body = {
        "number": "sip:100",
        "url": "/relative",
        "method": "PUT",
        "fallbackUrl": "https://127.0.0.1/",
        "statusCallback": "ftp://app.example/",
        "statusCallbackEvent": ["rang"],
        "friendlyName": "a\u2028b",
        "Url": "https://app.example/",
        "voice": 1,
    }
    answer = await api.client.post("/v1/numbers", json=body)
    assert answer.status_code == 422
    assert problems(answer) == {
        ("number-invalid", "/number"),
        ("url-relative", "/url"),
        ("method-invalid", "/method"),
        ("address-denied", "/fallbackUrl"),
        ("url-invalid", "/statusCallback"),
        ("event-unknown", "/statusCallbackEvent"),
        ("character-invalid", "/friendlyName"),
        ("unknown-field", "/Url"),
        ("unknown-field", "/voice"),
    }
    assert problems(await api.client.post("/v1/numbers", json={})) == {("field-missing", "")}
    assert len((await api.client.post("/v1/numbers", json={})).json()["errors"]) == 2


async def test_limits_hold_and_a_change_is_as_strict(api: Api) -> None:
    made = await add(api)
    cases = [
        ({"url": None}, ("field-missing", "/url")),
        ({"url": "https://app.example/" + "x" * 4000}, ("too-long", "/url")),
        ({"friendlyName": "x" * 256}, ("too-long", "/friendlyName")),
        ({"number": "101"}, ("unknown-field", "/number")),
        ({}, ("nothing-to-do", "")),
        ({"url": ""}, ("url-invalid", "/url")),
    ]
    for changes, problem in cases:
        answer = await api.client.post(made["uri"], json=changes)
        assert (answer.status_code, problems(answer)) == (422, {problem})
    repeated = b'{"url": "https://a.example/", "url": "https://b.example/"}'
    answer = await api.client.post(made["uri"], content=repeated, headers={"Content-Type": "application/json"})
    assert problems(answer) == {("repeated-field", "/url")}
    assert (await api.client.get(made["uri"])).json() == made


async def test_an_address_that_the_setting_allows_is_taken(api: Api) -> None:
    allowing = api.with_parts(http_policy=replace(AddressPolicy("DIAL_HTTP_ALLOW"), allow=LOOPBACK))
    answer = await allowing.post("/v1/numbers", json={"number": "1", "url": "http://127.0.0.1:9/"})
    assert answer.status_code == 201


async def test_a_number_has_one_owner_whom_nobody_is_told(api: Api) -> None:
    mine = await add(api)
    own = await api.client.post("/v1/numbers", json=WHOLE | {"number": "100"})
    async with api.of(await api.parts.accounts.create()) as stranger:
        theirs = await stranger.post("/v1/numbers", json=WHOLE | {"number": "100"})
        assert (theirs.status_code, theirs.json()) == (409, own.json())
        assert problems(theirs) == {("number-taken", None)}
        assert api.account.sid not in theirs.text
        assert (await stranger.get(mine["uri"])).status_code == 404
        assert (await stranger.post(mine["uri"], json={"method": "GET"})).status_code == 404
        assert (await stranger.delete(mine["uri"])).status_code == 404
        assert (await stranger.get("/v1/numbers")).json()["numbers"] == []
    assert (await api.client.get(mine["uri"])).json() == mine


async def test_pages_follow_each_other(api: Api) -> None:
    names = [(await add(api, number=str(index)))["number"] for index in range(5)]
    found: list[str] = []
    uri: str | None = "/v1/numbers?pageSize=2"
    while uri:
        page = (await api.client.get(uri)).json()
        found += [number["number"] for number in page["numbers"]]
        uri = page["nextPageUri"]
    assert found == names[::-1]
    assert (await api.client.get("/v1/numbers?pageToken=nonsense")).status_code == 422
