"""Every bad JSON request gets exactly the codes and pointers of its row."""

import pytest

from app.calls.address import AddressPolicy
from app.calls.errors import BadRequest
from app.rcml.fields import Rules
from app.rcml.jsonform import parse
from tests.unit.rcml.bad_json import BAD_JSON, Bad

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))


@pytest.mark.parametrize("bad", BAD_JSON, ids=lambda bad: bad.name)
def test_it_gets_its_codes_and_pointers(bad: Bad) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(bad.body, RULES)
    problems = caught.value.problems
    assert tuple((problem.code, problem.pointer) for problem in problems) == bad.found
    assert caught.value.status == bad.status
    for problem in problems:
        assert problem.detail.isprintable()


def test_the_table_is_long_enough_and_names_are_unique() -> None:
    assert len(BAD_JSON) >= 60
    assert len({bad.name for bad in BAD_JSON}) == len(BAD_JSON)
