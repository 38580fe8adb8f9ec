"""Every bad RCML request gets exactly the codes of its row."""

import time

import pytest

from app.calls.address import AddressPolicy
from app.calls.errors import BadRequest
from app.rcml.codes import EXPLAINED, Code
from app.rcml.fields import Rules
from app.rcml.parse import parse
from app.rcml.query import pairs
from tests.unit.rcml.bad_addresses import BAD_ADDRESSES
from tests.unit.rcml.bad_rcml import BAD_RCML, Bad

RULES = Rules(AddressPolicy("DIAL_SIP_ALLOW"), AddressPolicy("DIAL_HTTP_ALLOW"))


@pytest.mark.parametrize("bad", BAD_RCML + BAD_ADDRESSES, ids=lambda bad: bad.name)
def test_it_gets_its_codes(bad: Bad) -> None:
    started = time.process_time()
    with pytest.raises(BadRequest) as caught:
        parse(bad.body, RULES, charset=bad.charset, query=pairs(bad.query.encode()))
    assert time.process_time() - started < 2  # seconds of CPU: what is quadratic takes far longer
    problems = caught.value.problems
    assert tuple(problem.code for problem in problems) == bad.codes
    assert caught.value.status == bad.status
    for problem in problems:
        assert EXPLAINED[Code(problem.code)].status in (bad.status, 422)
        assert problem.pointer is None
        assert problem.detail.isprintable()


def test_the_table_is_long_enough_and_names_are_unique() -> None:
    assert len(BAD_RCML) >= 60
    assert len({bad.name for bad in BAD_RCML + BAD_ADDRESSES}) == len(BAD_RCML + BAD_ADDRESSES)
