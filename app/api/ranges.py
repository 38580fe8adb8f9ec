"""Which bytes of a file a request asks for (RFC 9110 §14): one range, or the whole. Reads nothing."""

import re

from starlette.requests import Request

from app.api.problems import Refused
from app.rcml.codes import Code

_ONE = re.compile(r"\s*bytes\s*=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*\Z", re.IGNORECASE)


def wanted(request: Request, size: int, etag: str) -> range | None:
    """The bytes; None: the whole file, which is also the answer to several ranges and to what is not understood.

    Raises Refused (416) when there are none of those bytes.
    """
    match = _ONE.match(request.headers.get("range", ""))
    if match is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        found = range(max(0, size - int(suffix)), size)
    else:
        found = range(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return None  # not a range at all (§14.1.2)
    if not found:
        raise Refused(Code.RANGE_INVALID, headers={"Content-Range": f"bytes */{size}"})
    return found


def is_known(request: Request, etag: str) -> bool:
    """Whether the client has that version already (§13.1.2)."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))
