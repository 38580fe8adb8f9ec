"""The committed documents are those of the code, and what they show is true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from app.api import examples, schemas
from app.api.docs import errors_markdown
from app.api.openapi import render
from app.api.updates import update
from app.calls.address import AddressPolicy
from app.rcml import jsonform, parse
from app.rcml.fields import OF_DIAL, OF_REQUEST, OF_SIP, Rules
from app.rcml.jsontext import Members
from app.rcml.plan import Verb, Where
from app.rcml.render import to_rcml
from app.runtime.settings import Settings

ROOT = Path(__file__).parents[3]
RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))
DOCUMENT: dict[str, Any] = json.loads(render(Settings()))
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for methods in DOCUMENT["paths"].values()
    for operation in methods.values()
]


def test_the_committed_openapi_document_is_current() -> None:
    committed = (ROOT / "openapi" / "openapi.json").read_text()
    assert committed == render(Settings()), "run: python -m app.api.openapi > openapi/openapi.json"


def test_the_committed_error_codes_are_current() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == errors_markdown(), (
        "run: python -m app.api.docs > docs/errors.md"
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_described_with_an_example_and_its_errors(operation: dict[str, Any]) -> None:
    assert operation["summary"] and operation["description"] and operation["tags"]
    answers = operation["responses"]
    for answer in answers.values():
        assert answer["description"]
        for media_type, content in answer.get("content", {}).items():
            assert media_type != "application/json" or "example" in content
    if operation.get("security") != []:
        assert {"401", "503"} <= answers.keys()
        assert "application/problem+json" in answers["401"]["content"]
    for body in operation.get("requestBody", {}).get("content", {}).values():
        assert "example" in body or "examples" in body
        assert {"400", "408", "413", "415", "422"} <= answers.keys()


def test_no_reference_leads_nowhere() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(found := value.get("$ref"), str):
                yield found
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= known


def test_both_examples_of_a_dial_mean_the_same_and_are_valid() -> None:
    from_rcml = parse.parse(examples.RCML.encode(), RULES)
    assert from_rcml == jsonform.parse(json.dumps(examples.DIAL).encode(), RULES)
    jsonform.parse(json.dumps(examples.SHORTEST).encode(), RULES)
    assert jsonform.parse(json.dumps(examples.TWO_PARTIES).encode(), RULES).caller is not None


@pytest.mark.parametrize("rcml", examples.VERBS.values(), ids=examples.VERBS)
def test_the_example_of_each_verb_is_valid_with_a_caller(rcml: str) -> None:
    request = parse.parse(rcml.encode(), RULES, query=[("caller", "sip:bob@sip.example.com")])
    assert to_rcml(request.document) == rcml


def test_there_is_an_example_of_every_verb() -> None:
    parse.document(examples.REJECT.encode(), RULES, where=Where.INBOUND)
    shown = "".join(examples.VERBS.values()) + examples.REJECT
    assert all(f"<{verb.__name__}" in shown for verb in get_args(Verb))


def test_the_documented_query_parameters_are_those_that_are_read() -> None:
    parameters = DOCUMENT["paths"]["/v1/dials"]["post"]["parameters"]
    assert {found["name"] for found in parameters if found["in"] == "query"} == OF_REQUEST


def test_the_examples_of_an_update_are_valid() -> None:
    body = DOCUMENT["paths"]["/v1/calls/{sid}"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        asked = update(Members(example["value"]), RULES)
        assert asked.status or asked.document(Where.CALLER, RULES).verbs


def test_examples_of_answers_have_the_shape_that_is_documented() -> None:
    schemas.Call.model_validate(examples.PLACED)
    schemas.CallEvent.model_validate(examples.EVENT)
    schemas.Delivery.model_validate(examples.DELIVERY)
    schemas.Problem.model_validate(examples.PROBLEM)


def test_the_documented_members_are_those_that_are_read() -> None:
    documented = {field.alias for field in schemas.DialRequest.model_fields.values()}
    assert documented == OF_REQUEST | OF_DIAL | {"sip"}
    of_target = {field.alias for field in schemas.SipTarget.model_fields.values()}
    assert of_target == OF_SIP | {"uri"}
