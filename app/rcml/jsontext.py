"""Bytes to JSON values, strictly as RFC 8259 says and never with a surprise. Knows no field.

The standard decoder takes NaN, keeps the last of repeated members, recurses as deep as the text does and fails on
numbers of more than 4,300 digits; each of these is an answer with a code here.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from app.rcml.codes import Code
from app.rcml.report import Place, refusal

MAX_DEPTH = 16
_MAX_DIGITS = 18  # no field needs more, and int() of more than 4,300 raises
_UNQUOTED = re.compile(
    r"\"(?:[^\"\\]|\\.)*+\"|(?P<open>[\[{])|(?P<close>[\]}])|(?P<constant>NaN|-?Infinity)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class OtherNumber:
    """A JSON number that no field takes: a fraction, an exponent, or more digits than fit."""

    written: str


class Members(dict[str, Any]):
    """A JSON object that remembers which names came more than once."""

    repeated: tuple[str, ...] = ()


def value_of(body: bytes) -> Any:
    """Raises BadRequest (400) with line and column."""
    try:
        text = body.decode("utf-8-sig")  # RFC 8259 §8.1 lets a reader ignore the mark
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} of the body is not UTF-8, which JSON is always sent in"
        raise refusal(Code.ENCODING_INVALID, detail) from error
    return value_of_text(text)


def value_of_text(text: str) -> Any:
    """Like `value_of`, for text that has been decoded already."""
    _look_around(text)
    try:
        return json.loads(text, object_pairs_hook=_members, parse_int=_integer, parse_float=OtherNumber)
    except json.JSONDecodeError as error:
        place = Place(line=error.lineno, column=error.colno)
        raise refusal(Code.JSON_SYNTAX, f"not JSON: {error.msg}", place) from error


def _look_around(text: str) -> None:
    """Depth and NaN, which the decoder would take or choke on."""
    depth = 0
    for match in _UNQUOTED.finditer(text):
        if match["open"]:
            depth += 1
            if depth > MAX_DEPTH:
                raise refusal(Code.TOO_DEEP, f"nested more than {MAX_DEPTH} deep", _place(text, match.start()))
        elif match["close"]:
            depth -= 1
        elif match["constant"]:
            detail = f"not JSON: {match['constant']} is no JSON value"
            raise refusal(Code.JSON_SYNTAX, detail, _place(text, match.start()))


def _place(text: str, offset: int) -> Place:
    return Place(line=text.count("\n", 0, offset) + 1, column=offset - text.rfind("\n", 0, offset))


def _members(pairs: list[tuple[str, Any]]) -> Members:
    members = Members(pairs)
    if len(members) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        members.repeated = tuple(name for name, times in counted.items() if times > 1)
    return members


def _integer(written: str) -> int | OtherNumber:
    return int(written) if len(written) <= _MAX_DIGITS else OtherNumber(written)
