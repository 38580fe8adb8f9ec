"""Swagger UI in a real browser without the outside world: it renders, and "Try it out" places a call."""

import re

import pytest

from tests.kit.browser import page
from tests.kit.service import Customer
from tests.kit.sipp import sipp

pytestmark = [pytest.mark.browser, pytest.mark.peer]


async def test_a_call_is_placed_from_swagger_ui(customer: Customer) -> None:
    service = customer.service
    async with page() as tab:
        failed: list[str] = []
        tab.on("requestfailed", lambda request: failed.append(request.url))
        await tab.goto(f"{service.url}/docs")
        await tab.locator(".opblock").first.wait_for()
        await tab.locator(".btn.authorize").click()
        await tab.locator("#auth_username, input[name=username]").first.fill(service.account_sid)
        await tab.locator("#auth_password, input[name=password]").first.fill(service.auth_token)
        await tab.locator(".auth-btn-wrapper .authorize").click()
        await tab.locator(".btn-done").click()
        operation = tab.locator(".opblock-post").filter(has=tab.locator("[data-path='/v1/dials']"))
        await operation.locator(".opblock-summary-control").click()
        await operation.locator(".try-out__btn").click()
        await operation.locator("select[aria-label='Request content type']").first.select_option("application/json")
        with sipp("-sn", "uas") as callee:
            body = f'{{"timeLimit": 1, "sip": "{callee.uri}"}}'
            await operation.locator("textarea.body-param__text").fill(body)
            await operation.locator(".execute").click()
            answer = operation.locator(".live-responses-table")
            await answer.wait_for()
            text = await answer.inner_text()
            assert "202" in text
            sid = re.search(r"CA[0-9a-f]{32}", text)
            assert sid is not None, text
            call = await customer.wait_for(sid[0])
        assert (call["status"], call["legs"][0]["status"]) == ("completed", "completed")
        assert failed == []
