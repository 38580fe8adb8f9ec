"""RCML text to a tree of elements whose attributes know their places. Knows XML, but no verb."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from app.rcml.codes import Code
from app.rcml.report import Given, Place, printable, refusal, shown
from app.rcml.scan import Scan, Tag, scan

_WHITE = " \t\r\n"

# Nothing valid has more: <Sip> has ten attributes, and 64 KiB of the shortest <Sip> are 4,200 elements. Beyond, telling
# each mistake takes lxml and us longer (its attribute look-up is linear) than the answer is worth.
_MAX_ATTRIBUTES = 50
_MAX_ELEMENTS = 5_000


@dataclass(frozen=True, slots=True)
class Element:
    """One element; its places are looked up when a problem needs them, for a document has 16,000 tags at worst."""

    name: str  # as lxml says it: {namespace}name when it is in one
    values: dict[str, str]
    children: list["Element"]
    text: str  # all character data directly in it, without the white space around
    tag: Tag
    scan: Scan

    @property
    def place(self) -> Place:
        return self.scan.place(self.tag.offset)

    @property
    def content_place(self) -> Place:
        return self.scan.content_place(self.tag)

    def attributes(self) -> dict[str, Given]:
        """The attributes in the order written, declarations of namespaces included."""
        declared = {name: "" for name in self.tag.attributes if name == "xmlns" or name.startswith("xmlns:")}
        return {
            name: Given(f"`{printable(name)}` of <{printable(self.name)}>", value, self._place_of(name), textual=True)
            for name, value in (declared | self.values).items()
        }

    def _place_of(self, name: str) -> Place:
        offset = self.tag.attributes.get(name)
        if offset is None:  # lxml says {namespace}name where the text says prefix:name
            local = ":" + name.rpartition("}")[2]
            offset = next((at for written, at in self.tag.attributes.items() if written.endswith(local)), None)
        return self.place if offset is None else self.scan.place(offset)


def tree_of(text: str) -> Element:
    """The root element; raises BadRequest (400) for what is not well-formed or is not allowed to be there."""
    found = scan(text)
    root = _parse(found)
    if len(found.tags) > _MAX_ELEMENTS:
        detail = f"{len(found.tags)} elements cannot be a plan; no more than {_MAX_ELEMENTS} are read"
        raise refusal(Code.ELEMENT_NOT_ALLOWED, detail, found.place(found.tags[_MAX_ELEMENTS].offset))
    for tag in found.tags:
        if len(tag.attributes) > _MAX_ATTRIBUTES:
            detail = f"<{shown(tag.name)}> has {len(tag.attributes)} attributes; no element has so many"
            raise refusal(Code.UNKNOWN_ATTRIBUTE, detail, found.place(tag.offset))
    return _element(root, found, iter(found.tags))


def _parse(found: Scan) -> etree._Element:
    # A parser of its own for each document: an lxml parser is not to be shared by threads.
    parser = etree.XMLParser(
        encoding="utf-8",  # overrides what the declaration says: the text has been decoded already
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(found.safe.encode(), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        message = printable((error.msg or "").rpartition(", line ")[0].strip() or "the document is cut short")
        place = found.place_in_safe(line, max(1, column))
        raise refusal(Code.XML_SYNTAX, f"not well-formed XML: {message[:200]}", place) from error


def _element(node: etree._Element, found: Scan, tags: Iterator[Tag]) -> Element:
    """Both run through the document in the same order, so each node meets its own tag."""
    tag = next(tags)
    children = [_element(child, found, tags) for child in node]
    text = "".join([node.text or "", *(child.tail or "" for child in node)]).strip(_WHITE)
    return Element(str(node.tag), {str(k): str(v) for k, v in node.attrib.items()}, children, text, tag, found)
