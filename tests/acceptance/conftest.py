"""One running product per test process; each test is a customer with a webhook receiver of its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.kit.receiver import Receiver, receiver
from tests.kit.service import Customer, Service, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # All telephones are one source, 127.0.0.1, and some ask again and again until a number is known or forgotten.
    settings = {"DIAL_WEBHOOK_RETRIES": "0.2,0.4,0.8", "DIAL_INBOUND_RATE": "0"}
    with running_service(tmp_path_factory.mktemp("service"), **settings) as running:
        yield running


@pytest.fixture
async def customer(service: Service) -> AsyncIterator[Customer]:
    async with service.customer() as customer:
        yield customer


@pytest.fixture
async def app() -> AsyncIterator[Receiver]:
    """The customer's application, which takes every callback."""
    async with receiver() as running:
        yield running
