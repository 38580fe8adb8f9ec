"""Schemathesis against the real application on the real database: it must find nothing."""

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.api.openapi import document
from tests.integration.api.conftest import Api

EXAMPLES = 20  # of valid and of invalid data each, for every operation: about 20 s on one core


async def test_it_finds_nothing(api: Api, address: tuple[str, int]) -> None:
    schema = schemathesis.openapi.from_dict(document(api.app))
    schema.config.generation.update(with_security_parameters=False)  # every request is sent with the account's
    # Data that breaks a schema by its length may break a limit of the whole request first: 413, 431.
    rejection = schema.config.checks.negative_data_rejection
    rejection.expected_statuses = [*rejection.expected_statuses, "413", "431"]
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == 27
    base_url = f"http://{address[0]}:{address[1]}"
    for operation in operations:
        takes_data = operation.path.startswith("/v1/")
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes_data else (GenerationMode.POSITIVE,)
        for mode in modes:
            await asyncio.to_thread(attack, operation, mode, base_url, (api.account.sid, api.account.token))


def attack(operation: Any, mode: GenerationMode, base_url: str, auth: tuple[str, str]) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(case: Any) -> None:
        # A schema cannot say which SIP URIs, URLs and documents make sense: 422 for data that fits it is right.
        case.call_and_validate(base_url=base_url, auth=auth, excluded_checks=[positive_data_acceptance], timeout=10)

    send()
