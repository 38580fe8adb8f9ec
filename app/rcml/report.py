"""Collects every problem of a request, so that all are answered at once. Knows no rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.calls.errors import BadRequest, Problem
from app.rcml.codes import EXPLAINED, Code

# 64 KiB of <a/> are 16,000 problems and would be a megabyte of answer.
MAX_PROBLEMS = 100
_SHOWN = 60  # characters of what was sent that a detail repeats


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a JSON pointer, or line and column from 1, or neither (query, header)."""

    pointer: str | None = None
    line: int | None = None
    column: int | None = None

    def child(self, name: str | int) -> "Place":
        """The place of a member of the JSON value that stands here."""
        token = str(name).replace("~", "~0").replace("/", "~1")
        storable = token.encode(errors="replace").decode()  # no answer can carry a lone surrogate
        return Place(f"{self.pointer or ''}/{storable}")


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Given:
    """One attribute, member or query parameter as it came."""

    name: str  # for people: `timeout` of <Dial>
    value: Any
    place: Place = NOWHERE
    textual: bool = False  # attributes and query parameters: everything is text there


Fields = Mapping[str, Given]


class Report:
    """The problems found so far."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._more = False

    def add(self, code: Code, detail: str, place: Place = NOWHERE) -> None:
        if len(self._problems) >= MAX_PROBLEMS:
            self._more = True
            return
        self._problems.append(Problem(code.value, detail, place.pointer, place.line, place.column))

    @property
    def found(self) -> int:
        """How many problems there are, as far as they are listed."""
        return len(self._problems)

    def fail(self) -> BadRequest:
        """All problems as one error, in the order of the text: 400 when one of them is about the bytes, else 422."""
        problems = tuple(sorted(self._problems, key=lambda problem: (problem.line or 0, problem.column or 0)))
        if self._more:
            detail = f"only the first {MAX_PROBLEMS} problems are listed; correct them and send the request again"
            problems += (Problem(Code.TOO_MANY_PROBLEMS.value, detail),)
        return BadRequest(problems, min(EXPLAINED[Code(problem.code)].status for problem in problems))

    def raise_if_any(self) -> None:
        if self._problems:
            raise self.fail()


def refusal(code: Code, detail: str, place: Place = NOWHERE) -> BadRequest:
    """One problem that leaves nothing else to look at."""
    report = Report()
    report.add(code, detail, place)
    return report.fail()


def printable(text: str) -> str:
    """`text` with what must not reach a terminal or a log (controls, separators, surrogates) escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(text: str) -> str:
    """What was sent, fit to be repeated in a detail: printable and short."""
    return printable(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
