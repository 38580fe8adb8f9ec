"""Every peer from Debian is called in one go, side by side: what each must show, and that the page says the same."""

from pathlib import Path

import pytest

from tests.interop import page
from tests.interop.everybody import call_everybody
from tests.interop.ledger import failures

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"

pytestmark = pytest.mark.peer


@pytest.mark.timeout(300)
async def test_every_peer_is_called_and_the_page_says_what_was_found(tmp_path: Path) -> None:
    """One test: the longest call takes 45 s (a session timer's refresh), and all others fit into that time."""
    found = await call_everybody(tmp_path)
    problems = failures([result for results in found.values() for result in results])
    assert not problems, problems
    written = PAGE.read_text()
    assert {peer: page.features(results) for peer, results in found.items()} == page.rows(written)
    assert page.proved(found) == page.proofs(written)
