"""Swagger UI in a real browser, also behind a proxy that takes a prefix away."""

import asyncio
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.integration.api.conftest import Api
from tests.kit.browser import page
from tests.kit.ports import free_port


@pytest.mark.browser
async def test_it_renders_behind_a_prefix_and_shows_what_an_operation_answers(api: Api, tmp_path: Path) -> None:
    async def behind_proxy(scope: Scope, receive: Receive, send: Send) -> None:
        await api.app({**scope, "root_path": "/dial"}, receive, send)

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(behind_proxy, port=port, lifespan="off", log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())
    async with page() as tab:
        wrong: list[str] = []
        tab.on("requestfailed", lambda request: wrong.append(request.url))
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        while not server.started:
            await asyncio.sleep(0.01)
        await tab.goto(f"http://127.0.0.1:{port}/dial/docs")
        await tab.locator(".opblock").first.wait_for()
        assert await tab.locator(".opblock").count() == 27
        await tab.locator(".btn.authorize").click()
        await tab.locator("input[name=username]").fill(api.account.sid)
        await tab.locator("input[name=password]").fill(api.account.token)
        await tab.locator(".auth-btn-wrapper .authorize").click()
        await tab.locator(".btn-done").click()
        operation = tab.locator(".opblock-get").filter(has=tab.locator("[data-path='/v1/calls']"))
        await operation.locator(".opblock-summary-control").click()
        await operation.locator(".try-out__btn").click()
        await operation.locator(".execute").click()
        answer = operation.locator(".live-responses-table")
        await answer.wait_for()
        assert "nextPageUri" in await answer.inner_text()
        await tab.screenshot(path=tmp_path / "docs.png", full_page=True)
        assert wrong == []
    server.should_exit = True
    await serving


async def test_addresses_in_answers_have_the_prefix(api: Api) -> None:
    transport = httpx.ASGITransport(api.app, root_path="/dial")
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test/dial", auth=(api.account.sid, api.account.token)
    ) as client:
        placed = await client.post("/v1/dials", json={"sip": "sip:alice@sip.example.com"})
        assert placed.headers["location"] == f"/dial/v1/calls/{placed.json()['sid']}"
        assert (await client.get("/openapi.json")).json()["servers"] == [{"url": "/dial"}]
        assert (await client.get("/nothing")).json()["type"] == "/dial/docs/errors#not-found"
        assert (await client.get("/healthz", auth=httpx.Auth())).status_code == 200
