"""Masks what nobody may read in a message that is kept: digest answers, passwords in URIs, media keys, keyed digits.

What a person needs to see why a login failed stays: scheme, username, realm, nonce, algorithm, uri, nc. The nonce is
the peer's own and public; without response and cnonce nothing can be guessed from it. In a body a mask is as long as
what it hides, so that Content-Length stays true.
"""

import re

MASK = b"***"

# Each pattern that is looked for in every message begins with a literal, which costs a tenth.
# A header and its folded lines. Bytes of a peer: CR may be missing, the case is any.
_CREDENTIALS = re.compile(
    rb"\n((?:proxy-)?authorization|(?:proxy-)?authentication-info)([ \t]*:[ \t]*)([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE,
)
_MAY_HAVE_CREDENTIALS = (b"authorization", b"authentication-info")
_SCHEME = re.compile(rb"\s*([A-Za-z0-9\-.]{1,20})\s")
_PARAMETER = re.compile(rb'([A-Za-z0-9_\-]{1,64})\s{0,8}=\s{0,8}("(?:[^"\\]|\\.)*+"|[^\s,"]++)')
_HIDDEN = {b"response", b"cnonce", b"rspauth"}
_SHOWN = {b"username", b"realm", b"nonce", b"uri", b"algorithm", b"qop", b"nc", b"opaque", b"stale", b"nextnonce"}

# user:password@ after any scheme (RFC 3261 §19.1.1). Bounded, so that no message costs more than its length.
_PASSWORD = re.compile(rb"(:(?://)?[^\s:@/<>\"?]{1,256}+):([^\s@/<>\"]{1,256}+)@")

_MAY_HAVE_KEYS = (b"inline:", b"key-mgmt:", b"ice-pwd:", b"k=")
_MEDIA_KEYS = re.compile(
    rb"^(a=crypto:[^\r\n]*?inline:|a=key-mgmt:\S+ |a=ice-pwd:|k=)([^\r\n|;]+)", re.IGNORECASE | re.MULTILINE
)
_LATER_KEYS = re.compile(rb"(;\s*inline:)([^\r\n|;]+)", re.IGNORECASE)
_DIGITS = re.compile(rb"^(\s*signal\s*=\s*)([0-9A-D*#]+)", re.IGNORECASE | re.MULTILINE)
_BARE_DIGITS = re.compile(rb"\A(\s*)([0-9A-D*#]+)\s*\Z", re.IGNORECASE)


def redact(data: bytes) -> bytes:
    """`data` with its secrets masked; any bytes will do."""
    end = _end_of_head(data)
    head, body = data[:end], data[end:]
    lowered = head.lower()
    if any(name in lowered for name in _MAY_HAVE_CREDENTIALS):
        head = _CREDENTIALS.sub(_credentials, head)
    if b"@" in head:
        head = _PASSWORD.sub(rb"\1:" + MASK + b"@", head)
    return head + _body(body, lowered) if body else head


def _end_of_head(data: bytes) -> int:
    """Where the empty line ends; a peer may leave out the CR."""
    found = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := data.find(mark)) >= 0]
    return min(found, default=len(data))


def _credentials(match: re.Match[bytes]) -> bytes:
    """The scheme and the parameters that may be seen; of what is no parameter, nothing."""
    name, colon, value = match.groups()
    scheme = b"" if name.lower().endswith(b"info") else _scheme_of(value)
    given = value[len(scheme) :]
    shown = [_parameter(found) for found in _PARAMETER.finditer(given)]
    if not shown or _PARAMETER.sub(b"", given).strip(b", \t\r\n"):
        shown.append(MASK)
    return b"\n" + name + colon + scheme + b", ".join(shown)


def _scheme_of(value: bytes) -> bytes:
    match = _SCHEME.match(value)
    return match[0] if match else b""


def _parameter(match: re.Match[bytes]) -> bytes:
    name, value = match.groups()
    if name.lower() in _SHOWN:
        return name + b"=" + value
    return name + b'="' + MASK + b'"' if name.lower() in _HIDDEN else MASK  # a token may look like a name


def _body(body: bytes, head: bytes) -> bytes:
    lowered = body.lower()
    if any(name in lowered for name in _MAY_HAVE_KEYS):
        body = _LATER_KEYS.sub(_same_length, _MEDIA_KEYS.sub(_same_length, body))
    if b"@" in body:
        body = _PASSWORD.sub(_same_length_password, body)
    if b"dtmf" in head:  # INFO: it may be a card number or a PIN
        digits = _BARE_DIGITS if b"application/dtmf\r" in head or b"application/dtmf\n" in head else _DIGITS
        body = digits.sub(_same_length, body)
    return body


def _same_length(match: re.Match[bytes]) -> bytes:
    start, secret = match.group(1), match.group(2)
    return start + b"*" * len(secret) + match[0][len(start) + len(secret) :]


def _same_length_password(match: re.Match[bytes]) -> bytes:
    return match.group(1) + b":" + b"*" * len(match.group(2)) + b"@"
