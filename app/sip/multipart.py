"""Finds the one SDP part of a MIME body (RFC 2046 §5.1, RFC 5621); knows nothing of what stands in it."""

import re

_BOUNDARY = re.compile(r';\s*+boundary\s*+=\s*+(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_MAX_DEPTH = 4  # multipart in multipart; nobody nests deeper for a reason


def media_type(content_type: str) -> str:
    """``type/subtype`` in lower case; white space may stand around the slash (RFC 3261 §25.1), parameters behind it."""
    return "".join(content_type.partition(";")[0].split()).lower()


def find_sdp(content: bytes, content_type: str | None, depth: int = 0) -> bytes | None:
    """The octets of the first application/sdp in `content`; None when there is none."""
    if content_type is None:
        return content if content.lstrip().startswith(b"v=0") else None  # sloppy peers leave Content-Type out
    kind = media_type(content_type)
    if kind == "application/sdp":
        return content
    boundary = _BOUNDARY.search(content_type)
    if not kind.startswith("multipart/") or boundary is None or depth == _MAX_DEPTH:
        return None
    for part in _parts(content, (boundary[1] or boundary[2]).encode()):
        found = find_sdp(*_split_part(part), depth + 1)
        if found is not None:
            return found
    return None


def _parts(content: bytes, boundary: bytes) -> list[bytes]:
    """What stands between delimiter lines; the preamble and everything from ``--boundary--`` on is left out."""
    if b"\r\n" not in content:
        content = content.replace(b"\n", b"\r\n")
    pieces = (b"\r\n" + content).split(b"\r\n--" + boundary)[1:]
    parts = []
    for piece in pieces:
        if piece.startswith(b"--"):
            break
        parts.append(piece.partition(b"\r\n")[2])
    return parts


def _split_part(part: bytes) -> tuple[bytes, str]:
    """Body and Content-Type of one part (text/plain when it has none, RFC 2046 §5.1)."""
    if part.startswith(b"\r\n"):
        return part[2:], "text/plain"
    head, _, body = part.partition(b"\r\n\r\n")
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() in ("content-type", "c"):
            return body, value.strip()
    return body, "text/plain"
