"""SIP messages as they come off the wire: tolerant and lazy, never raising on access. Knows no transaction or dialog.

`SipMessage` is a pyVoIP SIPMessage whose parser we replaced: pyVoIP 1.6.8 raises on 20 of 39 mostly legal inputs.
Its typed `headers` and `body` still come from pyVoIP's parse_header and parse_body, on first use (app/sip/typed.py).
"""

import re
from typing import Any

from app.sip import typed
from app.sip.crypto import Srtp
from app.sip.headers import Address, HeaderError, Via, parse_cseq, split_list, tagged
from app.sip.lazy import lazy
from app.sip.names import KEYS, LISTS, key_of
from app.sip.pyvoip import SIPMessage, SIPMessageType, SIPStatus
from app.sip.sdp import Remote, UnusableSdp, read

_ONCE = ("from", "to", "call-id", "cseq", "content-length", "max-forwards")  # RFC 4475 §3.3.8

_CONTROLS = bytes(set(range(32)) - {10, 13}) + b"\x7f"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNICODE_BREAK = re.compile(r"[\x80-\x9f\u2028\u2029]")  # nothing that we would refuse to write (app/sip/build.py)
_FOLD = re.compile(r"\r\n[ \t]++")
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++\Z")
_VERSION = re.compile(r"SIP/[0-9]{1,9}\.[0-9]{1,9}\Z", re.IGNORECASE)
_NOT_IN_URI = re.compile(r"[\s<>\"]")
_STATUS = re.compile(r"[1-6][0-9][0-9](?: |\Z)")
_READ_ANEW = (
    "_rows", "_index", "_sdp", "headers", "body", "authentication", "status", "via_top", "branch", "cseq", "from_tag",
    "to_tag", "content",
)  # fmt: skip
_LENGTH = re.compile(r"[0-9]{1,10}\Z")

Row = tuple[str, str]


class MalformedMessage(ValueError):
    """These bytes are not a SIP message that can be answered: count and drop them."""


class SipMessage(SIPMessage):
    """One request or response. Everything but `decode` (and the constructor) never raises, whatever was received.

    Names are given in lower case or as the RFC writes them; values come unfolded and stripped.
    """

    @classmethod
    def decode(cls, data: bytes) -> "SipMessage":
        """Read one datagram, or one framed message; raises MalformedMessage and nothing else."""
        return cls(data)

    def parse(self, data: bytes) -> None:
        """Called by pyVoIP's constructor. Splits into start line, rows and body; the rest waits until asked for."""
        known = self.__dict__  # pyVoIP's constructor put defaults where our lazy attributes belong
        del known["headers"], known["body"], known["status"], known["authentication"]
        if data[:2] == b"\r\n":
            data = data.lstrip(b"\r\n")  # §7.5
        end = data.find(b"\r\n\r\n")
        if end < 0:
            raise MalformedMessage("no empty line after the header")
        self._head = data[:end]
        self._payload = data[end + 4 :]
        self._odd = len(self._head.translate(None, _CONTROLS)) != len(self._head)
        lines = _lines(self._head, self._odd)
        self.heading = lines[0].encode()
        self._read_start_line(lines[0])
        known["_rows"], known["_index"] = _read_rows(lines)

    # -- start line

    def _read_start_line(self, line: str) -> None:
        if line.startswith("SIP/2.0 ") and _STATUS.match(line, 8):  # nearly every message that we receive
            self._is_response("SIP/2.0", line[8:])
        elif line[:4].upper() == "SIP/":
            version, _, rest = line.partition(" ")
            if not _STATUS.match(rest) or not _VERSION.match(version):
                raise MalformedMessage("the first line is no status line, or its code not between 100 and 699")
            self._is_response(version.upper(), rest)
        else:
            self._is_request(line)

    def _is_response(self, version: str, rest: str) -> None:
        self.is_request = False
        self.type = SIPMessageType.RESPONSE
        self.version = version
        self.request_uri = ""
        self.status_code = int(rest[:3])
        self.reason_phrase = rest[4:].strip().replace("\t", " ")

    def _is_request(self, line: str) -> None:
        method, _, rest = line.partition(" ")
        uri, _, version = rest.rstrip(" ").rpartition(" ")
        uri = uri.strip(" ")
        if not _TOKEN.match(method) or not uri or not _VERSION.match(version):
            raise MalformedMessage("the first line is neither a request line nor a status line")
        self.is_request = True
        self.type = SIPMessageType.MESSAGE
        self.version = version.upper()
        self.method = method
        self.request_uri = uri
        self.status_code = 0
        self.reason_phrase = ""

    @property
    def method_name(self) -> str:
        """A request's method; for a response that of its CSeq."""
        return self.method if self.is_request else self.cseq[1]

    @lazy
    def status(self) -> SIPStatus:
        """pyVoIP's enum; a code it does not know is the x00 of its class, 183 for 1xx (§8.1.3.2)."""
        return typed.status(self.status_code)

    # -- headers

    @lazy
    def _rows(self) -> list[Row]:
        """Read with the rest by `parse`; this is for one that was shrunk."""
        return _read_rows(_lines(self._head, self._odd))[0]

    @lazy
    def _index(self) -> dict[str, list[str]]:
        return _read_rows(_lines(self._head, self._odd))[1]

    @property
    def raw_headers(self) -> tuple[Row, ...]:
        """(name as received, value unfolded), in order."""
        return tuple(self._rows)

    def first(self, name: str) -> str | None:
        """The first value: of a list header its first element, else the first row whole; None when absent."""
        values = self._index.get(KEYS.get(name) or key_of(name))
        if values is None:
            return None
        value = values[0]
        if "," in value and (KEYS.get(name) or key_of(name)) in LISTS:
            return next(iter(split_list(value)), "")
        return value

    def all(self, name: str) -> list[str]:
        """Every value in order, comma lists split for the headers that are lists."""
        key = KEYS.get(name) or key_of(name)
        values = self._index.get(key, [])
        if key not in LISTS:
            return list(values)
        return [part for value in values for part in split_list(value)]

    def rows(self, name: str) -> list[str]:
        """Every row of that name, unsplit."""
        return list(self._index.get(KEYS.get(name) or key_of(name), []))

    def echoed(self, name: str) -> list[str]:
        """The rows of that name byte for byte but unfolded, as latin-1, for responses, which must repeat them."""
        key = KEYS.get(name) or key_of(name)
        if self._head.isascii() and not self._odd:
            return list(self._index.get(key, ()))
        return _read_rows(_FOLD.sub(" ", self._head.decode("latin-1")).split("\r\n"))[1].get(key, [])

    # -- what every layer asks for

    @lazy
    def via_top(self) -> Via | None:
        """The topmost Via; None when there is none or it cannot be read."""
        value = self.first("via")
        try:
            return Via.parse(value) if value else None
        except HeaderError:
            return None

    @lazy
    def branch(self) -> str:
        """The topmost Via's branch, ``""`` when it has none."""
        values = self._index.get("via")
        if values is None:
            return ""
        value = values[0]
        if '"' in value or "," in value or " ;" in value or value.count(";branch=") != 1:
            via = self.via_top
            return (via.branch or "") if via else ""
        return value[value.index(";branch=") + 8 :].partition(";")[0].strip(" \t")

    @lazy
    def cseq(self) -> tuple[int, str]:
        """Number and method; (-1, "") when missing or not legal."""
        try:
            return parse_cseq(self._index["cseq"][0])
        except (KeyError, HeaderError):
            return -1, ""

    @property
    def call_id(self) -> str:
        """``""`` when missing."""
        values = self._index.get("call-id")
        return values[0] if values else ""

    @lazy
    def from_tag(self) -> str | None:
        return self._tag("from")

    @lazy
    def to_tag(self) -> str | None:
        return self._tag("to")

    @property
    def to_value(self) -> str:
        """To as our ACK and later requests repeat it."""
        return tagged(self.first("to") or "", self.to_tag)

    def _tag(self, name: str) -> str | None:
        values = self._index.get(name)
        if values is None or "tag" not in values[0].lower():
            return None
        try:
            return Address.parse(values[0]).tag
        except HeaderError:
            return None

    # -- body

    @lazy
    def content(self) -> bytes:
        """The body: cut at Content-Length, whole without one or when it promises more than came (§18.3)."""
        length = self._content_length
        return self._payload if length is None else self._payload[:length]

    @property
    def content_type(self) -> str | None:
        """As received, parameters included."""
        values = self._index.get("content-type")
        return values[0] if values else None

    @property
    def _content_length(self) -> int | None:
        values = self._index.get("content-length")
        return int(values[0]) if values and _LENGTH.match(values[0]) else None

    _srtp = Srtp.OFF

    @lazy
    def _sdp(self) -> Remote | str:
        """Else why not: the exception itself has a traceback, whose frames have this message."""
        encoding = self.first("content-encoding")
        if encoding and encoding.lower() != "identity":
            return "the body is encoded"
        try:
            return read(self.content, self.content_type, self._srtp)
        except UnusableSdp as error:
            return str(error)

    def sdp(self, srtp: Srtp | None = None) -> Remote:
        """The SDP offer or answer in the body; raises UnusableSdp with a reason (the one thing here that raises).

        `srtp` is what the session may do; None: what was said the last time, at first that it may not.
        """
        if srtp is not None and srtp is not self._srtp:
            self._srtp = srtp
            self.__dict__.pop("_sdp", None)
        if isinstance(self._sdp, str):
            raise UnusableSdp(self._sdp)
        return self._sdp

    # -- judgement

    def validate(self) -> str | None:
        """Why a request deserves a 400 (505 when `version` is not SIP/2.0) and a response the bin; None: well-formed.

        Header fields that nobody needs may be as odd as they like (§16.3).
        """
        if self.version != "SIP/2.0":
            return f"{self.version} is not SIP/2.0"
        for name in ("via", "from", "to", "call-id", "cseq"):
            if name not in self._index or not self._index[name][0]:
                return f"{name} is missing"
        for name in _ONCE:
            values = self._index.get(name)
            if values is not None and len(values) > 1:
                return f"{name} is there more than once"
        return self._validate_vias() or self._validate_method() or self._validate_length()

    def _validate_vias(self) -> str | None:
        vias = self.all("via")
        if not self.is_request:
            if len(vias) > 1:
                return "more than one Via is left: it was meant for somebody behind us (§8.1.3.3)"
            return None if self.branch else "the Via has no branch"
        for value in vias:
            try:
                Via.parse(value)
            except HeaderError as error:
                return f"via: {error}"
        return None

    def _validate_method(self) -> str | None:
        number, method = self.cseq
        if number < 0:
            return "CSeq is not a number below 2^31 and a method"
        if not self.is_request:
            return None
        if method != self.method:
            return "the method in CSeq is not that of the request line"
        if _NOT_IN_URI.search(self.request_uri):
            return "the Request-URI has white space, quotes or angle brackets"
        for name in ("from", "to"):
            try:
                Address.parse(self._index[name][0])
            except HeaderError as error:
                return f"{name}: {error}"
        return None

    def _validate_length(self) -> str | None:
        values = self._index.get("content-length")
        if values is None:
            return None
        length = self._content_length
        if length is None:
            return "Content-Length is not a number"
        return "Content-Length promises more than came" if length > len(self._payload) else None

    # -- pyVoIP's view

    @lazy
    def headers(self) -> dict[str, Any]:
        """Typed as pyVoIP types them, each by its parse_header when looked up; what it relies on is always there."""
        return typed.TypedHeaders(self)

    def release(self) -> None:
        """Drop the typed headers, which refer back to this message: freed when it is let go, not by a later collection.

        They are made anew when they are asked for again.
        """
        self.__dict__.pop("headers", None)

    def shrink(self) -> None:
        """Drop whatever can be read anew: 1.4 of 4.8 kB are left of what is kept for nothing but repeats."""
        for name in _READ_ANEW:
            self.__dict__.pop(name, None)

    @lazy
    def body(self) -> dict[str, Any]:
        """The SDP as pyVoIP types it, through its parse_body: only what we can use of it (one audio, known codecs)."""
        return typed.body(self)

    @lazy
    def authentication(self) -> dict[str, str]:
        """The first challenge or credentials."""
        return typed.authentication(self)


def _lines(head: bytes, odd: bool) -> list[str]:
    """Start line and unfolded rows; raises MalformedMessage for a bare CR or LF.

    Other control characters are legal only as a quoted-pair (RFC 4475 §3.1.1.2), but a stray one in a header that
    nobody needs must not lose a call its answer. All are read as U+FFFD, for PostgreSQL refuses NUL; but a tab is a
    space (§25.1), which we can write where we must repeat what came.
    """
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("latin-1")  # a display name from a phone that does not know UTF-8
    if odd:
        text = _CONTROL.sub("\ufffd", text)
    if not text.isascii():
        text = _UNICODE_BREAK.sub("\ufffd", text)
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        raise MalformedMessage("a bare CR or LF in the header")
    if odd:
        lines[1:] = [line.replace("\t", " ") for line in lines[1:]]
    return lines


def _read_rows(lines: list[str]) -> tuple[list[Row], dict[str, list[str]]]:
    """Rows in order, and their values by lower-case full name; a line without a colon is skipped."""
    rows: list[Row] = []
    index: dict[str, list[str]] = {}
    known = KEYS.get
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        key = known(name)
        if key is None:
            name = name.rstrip(" \t")
            if not colon or not name:
                continue
            key = key_of(name)
        rows.append((name, value))
        if key in index:
            index[key].append(value)
        else:
            index[key] = [value]
    return rows, index
