"""The real web application on a real database, asked in process or over TCP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from app.api.app import create_app
from app.api.parts import ApiParts
from app.api.server import serve
from app.calls.address import AddressPolicy
from app.dialing.hangup import HangUp
from app.dialing.place import Place
from app.dialing.replace import Replace
from app.recordings.disk import DiskStorage
from app.recordings.links import Links, link_key
from app.recordings.storage import Shelves
from app.runtime import log
from app.runtime.settings import Settings
from app.store.accounts import Accounts, FirstAccount
from app.store.calls import CallReads
from app.store.database import Database
from app.store.deliveries import Deliveries
from app.store.numbers import Numbers
from app.store.placing import Placing
from app.store.queue import DialQueue
from app.store.recordings import RecordingRows
from app.store.seal import Sealer
from app.store.trace import TraceStore
from tests.kit.ports import free_port

LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass
class Api:
    """One application with its account, a worker that is alive, and a client that is logged in."""

    app: FastAPI
    parts: ApiParts
    account: FirstAccount
    client: httpx.AsyncClient
    worker_id: int

    async def dial(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = await self.client.post("/v1/dials", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def of(self, account: FirstAccount) -> httpx.AsyncClient:
        """A client of another account."""
        return client_of(self.app, account)

    def with_parts(self, **changes: Any) -> httpx.AsyncClient:
        """A client of another application that shares all other parts."""
        return client_of(create_app(replace(self.parts, **changes)), self.account)


def client_of(app: FastAPI, account: FirstAccount) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://test", auth=(account.sid, account.token))


@pytest.fixture(scope="package", autouse=True)
def _plain_log() -> None:
    log.configure("warning", "json", "test")  # without it structlog draws a traceback with every local, for seconds


@pytest_asyncio.fixture
async def parts(database: Database, sealer: Sealer, tmp_path: Path) -> AsyncIterator[ApiParts]:
    placing, calls, queue = (
        Placing(database, sealer),
        CallReads(database, sealer),
        DialQueue(database, sealer, lease=600),
    )
    await placing.start()
    yield ApiParts(
        settings=Settings(),
        database=database,
        place=Place(placing, calls, lambda target: "192.0.2.1"),
        hang_up=HangUp(calls, queue),
        replace=Replace(calls, queue),
        calls=calls,
        queue=queue,
        deliveries=Deliveries(database, sealer),
        trace=TraceStore(database),
        numbers=Numbers(database, sealer),
        recordings=RecordingRows(database, sealer),
        shelves=Shelves(DiskStorage(tmp_path / "recordings")),
        links=Links("https://dial.example", link_key("a key for tests")),
        accounts=Accounts(database, sealer),
        sip_policy=AddressPolicy("DIAL_SIP_ALLOW"),
        http_policy=AddressPolicy("DIAL_HTTP_ALLOW"),
    )
    await placing.stop()


@pytest_asyncio.fixture
async def api(parts: ApiParts) -> AsyncIterator[Api]:
    account = await parts.accounts.create()
    worker_id = await parts.queue.register(role="worker", capacity=1_000_000, sip_host="127.0.0.1", sip_port=5060)
    app = create_app(parts)
    async with client_of(app, account) as client:
        yield Api(app, parts, account, client, worker_id)


@pytest_asyncio.fixture
async def address(api: Api) -> AsyncIterator[tuple[str, int]]:
    """Host and port of the same application behind uvicorn."""
    ready, port = asyncio.Event(), free_port()
    server = asyncio.create_task(serve(api.app, host="127.0.0.1", port=port, root_path="", ready=ready.set))
    await asyncio.wait([asyncio.create_task(ready.wait()), server], return_when=asyncio.FIRST_COMPLETED)
    yield "127.0.0.1", port
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
