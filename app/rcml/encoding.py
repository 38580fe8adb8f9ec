"""Bytes to text as RFC 7303 §3 says: byte order mark, then charset, then XML declaration. Reads no markup."""

import re

from app.rcml.codes import Code
from app.rcml.report import refusal

_UTF_8 = ("utf-8", "utf8")
_LATIN_1 = ("iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1", "iso_8859-1:1987")
_KNOWN = dict.fromkeys(_UTF_8, "utf-8") | dict.fromkeys(_LATIN_1, "iso-8859-1")

# Longest first: FF FE 00 00 is UTF-32, not UTF-16 and a NUL.
_MARKS = (
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xfe\xff", "utf-16"),
    (b"\xff\xfe", "utf-16"),
)
_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([^\"'>]{0,100})[\"']")


def charset_of(content_type: str) -> str | None:
    """The parameter charset of a Content-Type."""
    match = _CHARSET.search(content_type)
    return (match[1] or match[2]) if match else None


def text_of(body: bytes, charset: str | None) -> str:
    """The text without its byte order mark; raises BadRequest (400). `charset` is Content-Type's."""
    mark, name = next(((mark, name) for mark, name in _MARKS if body.startswith(mark)), (b"", ""))
    if name == "utf-16":
        return _decode(body, "utf-16")  # takes the mark away itself
    if name == "utf-32":
        raise _unsupported("UTF-32")
    return _decode(body[len(mark) :], name or _named(body, charset))


def _named(body: bytes, charset: str | None) -> str:
    if charset is None:
        if b"\x00" in body[:4]:
            raise _unsupported("UTF-16 without a byte order mark")
        match = _DECLARED.match(body)
        charset = match[1].decode("latin-1") if match else "utf-8"
    encoding = _KNOWN.get(charset.strip().lower())
    if encoding is None:
        # utf-16 comes here only without its mark: RFC 7303 §3.3 leaves the byte order open then.
        raise _unsupported(f"'{charset[:40]}'")
    return encoding


def _decode(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        detail = f"byte {error.start} of the body is not {encoding.upper()}; encode the body as it says, best as UTF-8"
        raise refusal(Code.ENCODING_INVALID, detail) from error


def _unsupported(name: str) -> Exception:
    known = "UTF-8, UTF-16 with a byte order mark and ISO-8859-1 are read"
    return refusal(Code.ENCODING_UNSUPPORTED, f"the encoding {name} is not read; {known}")
