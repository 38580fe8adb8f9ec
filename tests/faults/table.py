"""The table of the faults as last run, as text and as a document; rows that were not run again stay. Judges nothing."""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.faults.suite import FAULTS
from tests.faults.verdict import Row

COLUMNS = (
    ("calls", "calls"), ("finals", "finals"), ("lost", "lost"), ("owed", "owed"), ("accepted", "accepted"),
    ("twice", "twice"), ("missing", "missing"), ("dead", "dead"), ("holes", "holes"),
    ("re-INVITE", "reinvited"), ("up", "up"), ("final s", "final_s"), ("wire s", "wire_s"), ("left", "left"),
    ("took s", "took_s"),
)  # fmt: skip

_PREFACE = """# Faults

What `python -m tests.faults --full --write docs/faults.md` printed for each row when it was last run. Each row injects
one fault into the real processes, with a real PostgreSQL, a SIP callee and a webhook receiver beside them, under load;
what came out is counted from the database, the callee's log and the receiver's log. `--list` says what there is, names
after the command run those rows alone (the other rows of this file stay), and without `--full` the numbers are smaller
and the long rows are left out. `tests/faults/test_short.py` is the short form that every test run contains. The numbers
in a row are those of its own run, full or not; a machine that is busy with other things delays what must be in time.

Of every row: each call of a 202 is stored and has one final status; events only go forward and end with one
`completed`; each owed delivery is accepted at least once with the same id, number and body; nothing reaches the
receiver or the callee that is not stored; no leg has a second INVITE dialog; no RTP port, lease or held row is left.

* **calls** legs and parents, **finals** those that ended, **lost** ended `worker-lost`
* **owed** deliveries, **accepted** at least once, **twice** more than once, **missing** never accepted,
  **dead** given up and kept, **holes** calls whose SequenceNumbers have one
* **re-INVITE** legs with a second INVITE, **up** dialogs left at the callee
* **final s**, **wire s** the longest from the kill to the end of a record, and to the end at the callee
* **left** RTP sockets, held rows and leases afterwards

"""


def heading() -> str:
    return f"{'fault':<28}" + "".join(f"{title:>10}" for title, _ in COLUMNS) + "  verdict"


def line(row: Row) -> str:
    cells = "".join(f"{getattr(row, name):>10}" for _, name in COLUMNS)
    notes = f"  ({'; '.join(row.notes)})" if row.notes else ""
    return f"{row.fault:<28}{cells}  {_verdict(row)}{notes}"


def write(path: Path, rows: Sequence[Row]) -> None:
    """The document with these rows in place of those of the same name."""
    kept = _rows_of(path.read_text()) if path.exists() else {}
    kept |= {row.fault: _cells(row) for row in rows}
    titles = ["fault", *(title for title, _ in COLUMNS), "verdict", "what was done, and what was seen"]
    text = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    text += [f"| {' | '.join(kept[name])} |" for name in FAULTS if name in kept]
    path.write_text(_PREFACE + "\n".join(text) + "\n")


def _cells(row: Row) -> list[str]:
    seen = "; ".join([FAULTS[row.fault].what.rstrip("."), *row.notes])
    numbers = [str(getattr(row, name)) for _, name in COLUMNS]
    return [f"`{row.fault}`", *numbers, _verdict(row).replace("|", "/"), seen.replace("|", "/")]


def _verdict(row: Row) -> str:
    return "passed" if row.passed else "FAILED: " + "; ".join(row.problems)


def _rows_of(text: str) -> dict[str, list[str]]:
    found = (re.match(r"\| `([a-z0-9-]+)` \|", each) for each in text.splitlines())
    rows = (each.string.strip("| ").split(" | ") for each in found if each)
    return {cells[0].strip("`"): cells for cells in rows}
