"""Calls and outbox against a model, with crashes between any two steps (`python -m tests.proof` goes deeper)."""

import os

import pytest

from tests.proof.proof import prove

_EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "45"))


@pytest.mark.timeout(60 + 10 * _EXAMPLES)
def test_calls_and_deliveries_do_what_the_model_does_whatever_dies_when(database_url: str) -> None:
    prove(database_url, examples=_EXAMPLES, steps=40, derandomize="PROOF_EXAMPLES" not in os.environ)
