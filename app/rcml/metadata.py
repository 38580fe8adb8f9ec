"""The rule for metadata: an object of strings that fits 4 KiB, in a JSON member or as JSON text in the query."""

import json
from collections.abc import Mapping

from app.rcml import values
from app.rcml.codes import Code
from app.rcml.report import Given, Report

MAX_METADATA = 4_096  # bytes of its compact JSON in UTF-8


def metadata(given: Given, report: Report) -> Mapping[str, str]:
    """The object; empty after a report."""
    value = given.value
    if not isinstance(value, dict):
        detail = f"{given.name} must be a JSON object of strings"
        report.add(Code.METADATA_INVALID, detail, given.place)
        return {}
    strings: dict[str, str] = {}
    for key, item in value.items():
        place = given.place.child(key) if given.place.pointer else given.place
        if not isinstance(item, str):
            report.add(Code.METADATA_INVALID, f"{given.name}: every value must be a string", place)
        elif (found := values.forbidden_in(key + item)) is not None:
            report.add(Code.CHARACTER_INVALID, f"{given.name} has the character {found}; remove it", place)
        else:
            strings[key] = item
    size = len(json.dumps(strings, ensure_ascii=False, separators=(",", ":")).encode())
    if size > MAX_METADATA:
        report.add(Code.TOO_LONG, f"{given.name} has {size} bytes; at most {MAX_METADATA} are allowed", given.place)
    return strings
