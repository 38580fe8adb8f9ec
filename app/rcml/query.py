"""A query string to names and values, strictly, and to the request-level fields of an RCML request."""

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from app.calls.errors import BadRequest
from app.rcml.codes import Code
from app.rcml.jsontext import value_of_text
from app.rcml.report import Fields, Given, Report, refusal, shown

Pairs = Sequence[tuple[str, str]]

MAX_PARAMETERS = 100
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*+\Z", re.DOTALL)


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """The parameters in order, decoded once; raises BadRequest (400) for what is not percent-encoded UTF-8."""
    parts = [part for part in raw.decode("latin-1").split("&") if part]
    if len(parts) > MAX_PARAMETERS:
        raise refusal(Code.QUERY_SYNTAX, f"the query has {len(parts)} parameters; at most {MAX_PARAMETERS} are read")
    return [(_decoded(name), _decoded(value)) for name, _, value in (part.partition("=") for part in parts)]


def query_fields(given: Pairs, report: Report) -> Fields:
    """The parameters as fields; statusCallbackEvent may be repeated, metadata is JSON text."""
    fields: dict[str, Given] = {}
    for name, value in given:
        label = f"the query parameter `{shown(name)}`"
        if name not in fields:
            fields[name] = Given(label, _metadata(value) if name == "metadata" else value, textual=True)
        elif name == "statusCallbackEvent":
            fields[name] = Given(label, f"{fields[name].value},{value}", textual=True)
        else:
            report.add(Code.REPEATED_FIELD, f"{label} is there more than once; give it once")
    return fields


def _decoded(text: str) -> str:
    if not _ESCAPES.match(text):
        raise refusal(Code.QUERY_SYNTAX, f"'{shown(text)}' in the query has a % without two hex digits")
    try:
        return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode()
    except UnicodeDecodeError as error:
        raise refusal(Code.QUERY_SYNTAX, f"'{shown(text)}' in the query is not percent-encoded UTF-8") from error


def _metadata(text: str) -> object:
    """What is not JSON stays text, and is refused as metadata later."""
    try:
        return value_of_text(text)
    except BadRequest:
        return text
