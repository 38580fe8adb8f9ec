"""Finds tags, attributes and raw ampersands in RCML as sent, with their places. Knows no verb and decodes nothing.

lxml decides what is well-formed; it gives neither columns of elements nor places of attributes, so this looks for them
in the text as sent. Where the text is not well-formed the scan stops early and leaves the verdict to lxml.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from app.rcml.codes import Code
from app.rcml.report import Place, refusal, shown

MAX_DEPTH = 16
_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
_AMPERSAND = re.compile(r"&(?:(?P<name>[^\W\d][\w.\-:·]*);|#[0-9]+;|#x[0-9a-fA-F]+;)?")
# Possessive throughout: 64 KiB of quotes or < must not backtrack.
_START = re.compile(r"<(?P<name>[^\s/>=\"'<&!?]++)(?P<rest>(?:[^\"'<>]++|\"[^\"]*+\"|'[^']*+')*+)>")
_ATTRIBUTE = re.compile(r"(?P<name>[^\s=/\"']++)\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')")
_VERBATIM = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))
_LEADING = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Tag:
    """One start tag; offsets are into the text as sent."""

    name: str
    offset: int
    end: int  # behind its >
    attributes: dict[str, int]


@dataclass(slots=True)
class Scan:
    """What was found: `safe` is the text with each raw ampersand escaped, fit for an XML parser."""

    text: str
    tags: list[Tag] = field(default_factory=list)
    safe: str = ""
    _lines: list[int] = field(default_factory=list)  # offset of each line's first character
    _inserted: list[int] = field(default_factory=list)  # offsets in `text` of the raw ampersands

    def place(self, offset: int) -> Place:
        """Line and column of an offset in the text as sent; only LF ends a line, as libxml2 counts."""
        line = bisect_right(self._lines, offset)
        return Place(line=line, column=offset - self._lines[line - 1] + 1)

    def content_place(self, tag: Tag) -> Place:
        """Where the text of an element begins: the first character after its tag that is not white space."""
        match = _LEADING.match(self.text, tag.end)
        return self.place(match.end() if match else tag.end)

    def place_in_safe(self, line: int, column: int) -> Place:
        """The place in the text as sent of a line and column in `safe` (escaping adds no line)."""
        if not 1 <= line <= len(self._lines):
            return self.place(len(self.text))
        start = self._lines[line - 1]
        sent = start + column - 1
        for offset in self._inserted:
            if offset >= start and offset < sent:
                sent = max(offset, sent - len("amp;"))
        return self.place(min(sent, len(self.text)))


def scan(text: str) -> Scan:
    """Raises BadRequest (400) for a DOCTYPE, an entity that is not XML's own, and for too deep a nesting."""
    found = Scan(text)
    found._lines = [0, *(match.end() for match in re.finditer("\n", text))]
    verbatim: list[tuple[int, int]] = []  # comments, CDATA sections and processing instructions
    position = depth = 0
    while (less := text.find("<", position)) >= 0:
        end, depth = _step(found, less, depth)
        if end < 0:
            break
        if text[less + 1] in "!?":
            verbatim.append((less, end))
        position = end
    found.safe = _safe(found, verbatim) if "&" in text else text
    return found


def _step(found: Scan, less: int, depth: int) -> tuple[int, int]:
    """The end of what begins at the `<`, -1 where the text is not well-formed, and the depth behind it."""
    text = found.text
    match text[less + 1 : less + 2]:
        case "/":
            return text.find(">", less) + 1 or -1, depth - 1
        case "!" | "?":
            return _verbatim(found, less), depth
    start = _START.match(text, less)
    if start is None:
        return -1, depth
    if depth >= MAX_DEPTH:
        raise refusal(Code.TOO_DEEP, f"elements are nested more than {MAX_DEPTH} deep", found.place(less))
    found.tags.append(_tag(found, start))
    return start.end(), depth if start["rest"].endswith("/") else depth + 1


def _verbatim(found: Scan, less: int) -> int:
    """The end of a comment, CDATA section or processing instruction."""
    text = found.text
    for opening, closing in _VERBATIM:
        if text.startswith(opening, less):
            end = text.find(closing, less + len(opening))
            return -1 if end < 0 else end + len(closing)
    if text[less : less + 9].upper() == "<!DOCTYPE":
        raise refusal(Code.DTD_NOT_ALLOWED, "a DOCTYPE is not allowed; remove it", found.place(less))
    return -1


def _tag(found: Scan, match: re.Match[str]) -> Tag:
    attributes = {
        attribute["name"]: attribute.start()
        for attribute in _ATTRIBUTE.finditer(found.text, match.start("rest"), match.end("rest"))
    }
    return Tag(match["name"], match.start(), match.end(), attributes)


def _safe(found: Scan, verbatim: list[tuple[int, int]]) -> str:
    """The text with its raw ampersands as ``&amp;`` (contract, section 1), outside of what is verbatim."""
    pieces: list[str] = []
    position = 0
    for start, end in verbatim:
        pieces += _escaped(found, position, start), found.text[start:end]
        position = end
    pieces.append(_escaped(found, position, len(found.text)))
    return "".join(pieces)


def _escaped(found: Scan, start: int, end: int) -> str:
    def escape(match: re.Match[str]) -> str:
        if match["name"] and match["name"] not in _ENTITIES:
            detail = f"&{shown(match['name'])}; is an entity of no XML; write the character itself, or &amp; for the &"
            raise refusal(Code.FOREIGN_ENTITY, detail, found.place(start + match.start()))
        if len(match[0]) > 1:
            return match[0]
        found._inserted.append(start + match.start())
        return "&amp;"

    return _AMPERSAND.sub(escape, found.text[start:end])
