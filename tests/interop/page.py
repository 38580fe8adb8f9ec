"""Writes `docs/interop.md` from what a run found, and reads its tables back. Runs nothing."""

import re
from collections.abc import Mapping, Sequence

from tests.interop.ledger import FEATURES, Result

_PASSED, _NOT_OFFERED = "✓", "–"

_HEAD = """# Who it talks to

What was proved with SIP software that other people wrote. `python -m tests.interop --write docs/interop.md` makes this
page from a run: it calls every peer below from a running service, through the API and over the loopback interface, and
checks the messages, the record and the callbacks of each call. `./test` does the same and fails when it finds something
else than this page says; versions may differ.

✓: every call about it went as it should. –: no call was about it, mostly because Debian's package does not offer it.

"""

_WORDS = """
* **login**: digest for 401 and 407; **media**: G.711 both ways, and answers without any; **other requests**: BYE,
  OPTIONS, REFER, NOTIFY and unknown methods, in dialogs and outside; **odd forms**: what is legal and seldom seen.
* SIPp plays scenarios of our own ([tests/interop/scenarios](../tests/interop/scenarios)); it checks what we send, so a
  deviation fails its run. Every credential that it gets is computed again by the test.
* Kamailio is a proxy: it asks for a login, records its route, changes between UDP and TCP, and forks. It stands before
  the callee as the target's own proxy and as `DIAL_SIP_PROXY`.
"""


def written(found: Mapping[str, Sequence[Result]], versions: Mapping[str, str]) -> str:
    """The whole page."""
    lines = [_HEAD + f"| peer | {' | '.join(FEATURES)} |", f"|---|{'---|' * len(FEATURES)}"]
    for peer, results in found.items():
        passed = features(results)
        cells = [_PASSED if feature in passed else _NOT_OFFERED for feature in FEATURES]
        lines.append(f"| {peer} {versions[peer]} | {' | '.join(cells)} |")
    lines.append(_WORDS)
    for peer, results in found.items():
        lines += [f"## {peer}", "", "| | proved |", "|---|---|"]
        lines += [f"| {result.proof.feature} | {_proved(result.proof.name)} |" for result in _in_order(results)]
        lines.append("")
    return "\n".join(lines)


def features(results: Sequence[Result]) -> set[str]:
    """Those of which every proof held."""
    failed = {result.proof.feature for result in results if result.problem}
    return {result.proof.feature for result in results} - failed


def rows(page: str) -> dict[str, set[str]]:
    """The features of each peer by the page's own table, whatever the versions."""
    header, *body = re.findall(r"^\| (.*) \|$", page.partition("\n* ")[0], re.M)
    columns = header.split(" | ")[1:]
    found = {}
    for line in body:
        peer, *cells = line.split(" | ")
        found[peer.split()[0]] = {name for name, cell in zip(columns, cells, strict=True) if cell == _PASSED}
    return found


def proofs(page: str) -> set[str]:
    """What the page says was proved, with whom."""
    said = set()
    for section in page.split("\n## ")[1:]:
        peer, _, table = section.partition("\n")
        said |= {f"{peer}: {line}" for line in re.findall(r"^\| [^|]+ \| (.+) \|$", table, re.M) if line != "proved"}
    return said


def proved(found: Mapping[str, Sequence[Result]]) -> set[str]:
    """The same of a run."""
    return {f"{peer}: {_proved(result.proof.name)}" for peer, results in found.items() for result in results}


def _in_order(results: Sequence[Result]) -> list[Result]:
    return sorted(results, key=lambda result: FEATURES.index(result.proof.feature))


def _proved(name: str) -> str:
    """``file: sentence`` of a scenario with the file as a link's text would be too wide: the sentence alone."""
    return name.partition(": ")[2] if re.match(r"\w+: ", name) else name
