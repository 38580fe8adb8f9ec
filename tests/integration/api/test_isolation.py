"""Another account's things are not there: every route that names one, found in the OpenAPI document itself."""

import re
from typing import Any

import pytest

from app.api.app import describe
from app.api.openapi import document
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.api.conftest import Api
from tests.integration.api.test_calls import ended
from tests.integration.api.test_recordings import begun

# What each collection's members are called when nobody has them. A new collection needs a line here, and in `_mine`.
_NOBODYS = {"calls": "CA" + "0" * 32, "deliveries": "999999999", "numbers": "999", "recordings": "RE" + "0" * 32}
_BODIES: dict[str, list[dict[str, Any] | None]] = {
    "/v1/calls/{sid} post": [
        {"status": "completed"},
        {"status": "canceled"},
        {"rcml": "<Response><Hangup/></Response>"},
    ],
    "/v1/numbers/{number} post": [{"friendlyName": "mine now"}],
}
_ROUTES = [
    (method, path)
    for path, methods in document(describe())["paths"].items()
    for method in methods
    if "{" in path and method in ("get", "post", "put", "patch", "delete")
]


@pytest.mark.parametrize(("method", "path"), _ROUTES)
async def test_what_another_account_has_answers_as_what_nobody_has(
    api: Api, database: Database, sealer: Sealer, method: str, path: str
) -> None:
    collection = path.split("/")[2]
    assert collection in _NOBODYS, f"say in this test what a member of /v1/{collection} is"
    mine = await _mine(api, database, sealer, collection)
    async with api.of(await api.parts.accounts.create()) as other:
        for body in _BODIES.get(f"{path} {method}", [None]):
            theirs, nobodys = [
                await other.request(method.upper(), re.sub(r"\{.+?\}", name, path), json=body)
                for name in (mine, _NOBODYS[collection])
            ]
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.text.replace(f"/{mine}", "") == nobodys.text.replace(f"/{_NOBODYS[collection]}", "")
            assert theirs.headers.get("www-authenticate") is None


async def _mine(api: Api, database: Database, sealer: Sealer, collection: str) -> str:
    """Something of the first account's, whose routes all answer it."""
    if collection == "numbers":
        made = await api.client.post("/v1/numbers", json={"number": "100", "url": "https://app.example/"})
        return str(made.json()["number"])
    if collection == "recordings":
        return (await begun(api)).sid
    leg = (await ended(api, database, sealer, owed=True))["legs"][0]["sid"]
    if collection == "calls":
        return str(leg)
    deliveries = (await api.client.get(f"/v1/calls/{leg}/deliveries")).json()["deliveries"]
    return str(deliveries[0]["id"])
